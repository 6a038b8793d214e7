import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import MismatchError
from deploy import cli, command_help, training
from deploy.run_folder import RunFolder
from deploy.train_plan import TrainRequest

HEAVY = ("torch", "ray", "matplotlib", "pydantic", "numba", "redis", "yaml")


def _fresh(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys\nfrom deploy.cli import main\ncode = main(sys.argv[1:])\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
        "sys.exit(code)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_imports_nothing_heavy() -> None:
    result = _fresh("--help")
    assert result.returncode == 0
    assert "LOADED []" in result.stderr
    assert "train" in result.stdout


@pytest.mark.parametrize("name", command_help.EPILOGUES)
def test_every_help_ends_with_two_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*name.split()[1:], "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[-3] == "Examples:"
    assert all(line.startswith("apexmania ") for line in lines[-2:])


def test_the_help_of_train_needs_neither_torch_nor_ray() -> None:
    result = _fresh("train", "--help")
    assert "'torch'" not in result.stderr
    assert "'ray'" not in result.stderr


def test_each_command_exists() -> None:
    for command in command_help.COMMANDS:
        module, _, function = command.target.partition(":")
        assert hasattr(__import__(module, fromlist=[function]), function), command.target


def test_a_misspelt_command_is_a_usage_error_with_a_suggestion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["trian"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert 'Did you mean "train"?' in captured.err
    assert "  why: " in captured.err
    assert "  fix: apexmania --help" in captured.err
    assert "Traceback" not in captured.err


def test_a_config_error_has_three_lines_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "show", "--set", "learner.batchsize=3"]) == 2
    assert capsys.readouterr().err.count("\n") == 3


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "explain", "nothing.like.this", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_errors_carry_their_exit_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: BaseException) -> int:
        def run(_tokens: list[str]) -> int:
            raise error

        monkeypatch.setattr(cli, "_run", run)
        return cli.main(["x"])

    assert fail(MismatchError("a", "b", "c")) == 5
    assert fail(KeyboardInterrupt()) == 130
    assert fail(ZeroDivisionError("a bug")) == 1


def test_data_goes_to_standard_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["config", "diff", "proven", "quickstart", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("[")
    assert captured.err == ""
    assert cli.main(["runs", "list", "--runs-dir", str(tmp_path), "--json"]) == 0
    assert capsys.readouterr().out.strip() == "[]"


@pytest.mark.parametrize(("interrupted", "code"), [(False, 0), (True, 130)])
def test_train_prints_the_folder_that_other_commands_take(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    *,
    interrupted: bool,
    code: int,
) -> None:
    def trained(_request: TrainRequest) -> training.Trained:
        return training.Trained(RunFolder(tmp_path), {"run": tmp_path.name}, interrupted)

    monkeypatch.setattr(training, "run_training", trained)
    assert cli.main(["train"]) == code
    assert capsys.readouterr().out == f"{tmp_path}\n"
