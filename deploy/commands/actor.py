"""``apexmania actor``: this machine drives for a head elsewhere, by one outgoing connection."""

import logging
import os
import sys
from typing import Annotated

from cyclopts import Parameter, validators

from common.errors import ConfigError
from deploy.actor_text import counted
from deploy.interrupts import Interrupts
from deploy.join_string import PREFIX, Invitation, decode_invitation
from deploy.options import Json

_LOCAL = "game.trackmania."
_SETTINGS = ("telemetry_port", "screen_x_offset", "screen_y_offset")
_LONGEST_LOG_BYTES = 5_000_000
_PATIENCE_S = 600.0
Name = Annotated[str, Parameter(help="Name by which this machine joined.")]
Word = Annotated[
    str,
    Parameter(
        allow_leading_hyphen=True,
        help="Join string that apexmania token create printed on the head; - reads it from "
        "standard input; or the NAME of an earlier join.",
    ),
]
LocalSettings = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        help="game.trackmania.telemetry_port, screen_x_offset or screen_y_offset of this machine, as "
        "key=value; may be repeated.",
        show_default=False,
    ),
]


Patience = Annotated[
    float,
    Parameter(
        help="How long a head that does not take this actor's password is asked again, in seconds: it "
        "may be starting.",
        validator=validators.Number(gte=0),
    ),
]


def join(
    invitation: Word,
    /,
    *,
    settings: LocalSettings = (),
    patience_s: Patience = _PATIENCE_S,
) -> int:
    """Drives for whatever the head trains, until Ctrl-C; prints a line now and then."""
    from deploy.joined_home import JoinedHome  # noqa: PLC0415 - Redis only when it is typed
    from deploy.joined_status import JoinedStatus  # noqa: PLC0415 - same
    from deploy.joined_supervisor import own_command, supervise  # noqa: PLC0415 - same

    local_settings(settings)
    words = [word for setting in settings for word in ("--set", setting)]
    words += ["--patience-s", str(patience_s)]
    accepted = _accepted(invitation)
    name = invitation if accepted is None else accepted.name
    if accepted is not None and sys.platform != "win32":
        # The string holds a password, and a command line is for everybody to see.
        os.execv(sys.executable, own_command("actor", "join", name, *words))  # noqa: S606 - our own command line
    known = JoinedHome(name).invitation()
    status = JoinedStatus(name, f"{known.host}:{known.port}")
    with Interrupts() as interrupts:
        return supervise(
            own_command("actor", "drive", name, *words), interrupts=interrupts, say=status.say
        )


def store(invitation: Word, /) -> None:
    """Prints name, host and port as JSON; for scripts that set a machine up."""
    import json  # noqa: PLC0415 - only when it is typed

    accepted = _accepted(invitation)
    if accepted is None:
        decode_invitation(invitation)
        return
    print(json.dumps({"name": accepted.name, "host": accepted.host, "port": accepted.port}))


def drive(
    name: Name, /, *, settings: LocalSettings = (), patience_s: Patience = _PATIENCE_S
) -> None:
    """Drives in this process, as join has it done; for a service manager of your own."""
    from deploy.joined_actor import JoinedActor  # noqa: PLC0415 - torch only when it is typed
    from deploy.joined_home import JoinedHome  # noqa: PLC0415 - same
    from deploy.joined_lock import JoinedLock  # noqa: PLC0415 - same
    from deploy.joined_status import JoinedStatus  # noqa: PLC0415 - same
    from deploy.launch_logging import log_to  # noqa: PLC0415 - same

    home = JoinedHome(name)
    known = home.invitation()
    status = JoinedStatus(name, f"{known.host}:{known.port}")
    log = home.log_file
    with JoinedLock(home.folder / "lock", name=name):
        if log.exists() and log.stat().st_size > _LONGEST_LOG_BYTES:
            log.replace(log.with_name(f"{log.name}.1"))
        with Interrupts() as interrupts, log_to(log, level=logging.INFO):
            JoinedActor(home, local_settings(settings), status, patience_s).run(interrupts)


def list_joined(*, json_output: Json = False) -> None:
    """Prints by which names this machine joined which head, and what waits on its disk."""
    import json  # noqa: PLC0415 - only when it is typed

    from deploy.joined_home import JoinedHome, joined_names  # noqa: PLC0415 - same

    homes = [JoinedHome(name) for name in joined_names()]
    rows = []
    for home in homes:
        known, left = home.invitation(), home.leftovers()
        rows.append(
            {
                "name": home.name,
                "head": f"{known.host}:{known.port}",
                "waiting_segments": {item.run: item.segments for item in left},
                "waiting_bytes": sum(item.size_bytes for item in left),
            }
        )
    if json_output:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        sys.stderr.write("this machine has joined nothing\n")
        return
    print(f"{'name':<24} {'head':<28} waits on disk")
    for row in rows:
        print(f"{row['name']:<24} {row['head']:<28} {row['waiting_bytes']:,} bytes")


def leave(name: Name, /) -> None:
    """Prints what was given up: credentials, reward lines, and what waited for the head."""
    from deploy.joined_home import JoinedHome, joined_names  # noqa: PLC0415 - only when it is typed
    from deploy.joined_lock import JoinedLock  # noqa: PLC0415 - same

    if name not in joined_names():
        raise ConfigError(
            f"This machine has not joined as {name!r}.",
            f"it knows: {', '.join(joined_names()) or 'none'}",
            "apexmania actor list",
        )
    home = JoinedHome(name)
    with JoinedLock(home.folder / "lock", name=name):
        segments = sum(left.segments for left in home.leftovers())
    home.forget()
    print(f"{name} has left; {counted(segments, 'segment')} that waited on disk: given up")


def local_settings(settings: tuple[str, ...]) -> dict[str, int]:
    """Returns the settings of this machine's link to the game, by their names in game.trackmania.

    Raises:
        ConfigError: a setting belongs to the run, or is no number.
    """
    found = {}
    for text in settings:
        key, _, value = text.partition("=")
        name = key.removeprefix(_LOCAL)
        if not key.startswith(_LOCAL) or name not in _SETTINGS:
            raise ConfigError(
                f"--set {text!r} is not for one machine to choose.",
                "all else belongs to the run, and the head says it",
                f"here: {', '.join(_LOCAL + name for name in _SETTINGS)}; the rest: "
                "apexmania train --set on the head",
            )
        if not value.isdecimal():
            raise ConfigError(
                f"--set {text!r} has no whole number.",
                "ports and pixels are counted from 0",
                f"--set {key}=9000",
            )
        found[name] = int(value)
    return found


def _accepted(word: str) -> Invitation | None:
    """Stores the credentials in a join string and returns them, None where the word is a name."""
    from deploy.joined_home import JoinedHome  # noqa: PLC0415 - Redis only when it is typed

    text = sys.stdin.read() if word == "-" else word
    if not text.strip(" \n'\""):
        raise ConfigError(
            "The join string is empty.",
            "it is the line that apexmania token create NAME printed on the head",
            "apexmania actor join 'THE STRING'",
        )
    if word != "-" and not text.strip(" \n'\"").startswith(PREFIX):
        return None
    accepted = decode_invitation(text)
    JoinedHome(accepted.name).keep(accepted)
    return accepted
