"""The command line: names, help and exit codes. Commands are loaded only when they are typed."""

import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError, Parameter

from common.errors import ApexManiaError, ConfigError
from deploy import command_help
from deploy.interrupts import INTERRUPTED
from deploy.redis_address import redacted_text

BUG = 1
_DEBUG = "--debug"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Args:
        arguments: the command line without the program's name; None takes ``sys.argv``.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = _DEBUG in tokens
    tokens = [word for word in tokens if word != _DEBUG]
    try:
        return _run(tokens)
    except ApexManiaError as error:
        return _failed(error, exit_code=error.exit_code, debug=debug)
    except CycloptsError as error:
        return _failed(_usage_error(error, tokens), exit_code=ConfigError.exit_code, debug=debug)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the process's top: whatever is left is a bug of ours
        bug = ApexManiaError(
            redacted_text(f"{type(error).__name__}: {error}"),
            "this is a bug in apexmania, not a mistake of yours",
            f"apexmania {redacted_text(shlex.join(tokens))} --debug shows the traceback to report",
        )
        return _failed(bug, exit_code=BUG, debug=debug)


def build_app() -> App:
    """Returns the command tree, with no command's module imported yet."""
    app = App(
        name="apexmania",
        help="Teach a network to drive TrackMania from the camera, with one learner and any number of actors.",
        help_epilogue=command_help.EPILOGUES["apexmania"],
        help_format="plaintext",
        version=version("apexmania"),
        default_parameter=Parameter(negative=()),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    groups: dict[str, App] = {"": app}
    for name, text in command_help.GROUPS.items():
        groups[name] = App(
            name=name, help=text, help_epilogue=command_help.EPILOGUES[f"apexmania {name}"]
        )
        app.command(groups[name])
    for command in command_help.COMMANDS:
        groups[command.group].command(
            command.target,
            name=command.name,
            help=command.help,
            help_epilogue=command_help.EPILOGUES[command.full_name],
        )
    return app


def _run(tokens: list[str]) -> int:
    result = build_app()(tokens)
    return result if isinstance(result, int) else 0


def _usage_error(error: CycloptsError, tokens: list[str]) -> ConfigError:
    words = [token for token in tokens if not token.startswith("-")]
    known = [
        name for name in command_help.EPILOGUES if f"apexmania {' '.join(words)}".startswith(name)
    ]
    command = max(known, key=len, default="apexmania")
    return ConfigError(
        redacted_text(" ".join(str(error).split())),
        "the command line does not say what it should",
        f"{command} --help",
    )


def _failed(error: ApexManiaError, *, exit_code: int, debug: bool) -> int:
    if debug:
        sys.stderr.write(redacted_text(traceback.format_exc()))
    sys.stderr.write(f"error: {error}\n")
    return exit_code
