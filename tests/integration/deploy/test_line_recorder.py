"""Recording and importing lines as a user does: over the telemetry of a game, into files."""

import contextlib
import json
import pickle  # noqa: TID251 - a file as tmrl writes it
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from actors.sim.catalogue import load_track
from actors.trackmania.line_recording import RecordedLap
from actors.trackmania.reward_line import RewardLine, load_line
from common.errors import UnreachableError
from deploy import cli
from deploy.line_recorder import LineRecorder, Patience
from tests.support.fast_game import FastGame


class Notes:
    """Keeps what a watcher is told."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.said: list[str] = []

    def show(self, state: str, *, driven_m: float, speed_mps: float) -> None:
        assert driven_m >= 0.0
        assert speed_mps >= 0.0
        self.states.append(state)

    def say(self, text: str) -> None:
        self.said.append(text)


def record(
    port: int, *, laps: int = 1, notes: Notes | None = None, **patience: float
) -> RecordedLap:
    recorder = LineRecorder(
        "map", laps=laps, patience=Patience(**patience), watcher=notes or Notes()
    )
    return recorder.run(port)


def check_first_lap(line: RewardLine) -> None:
    truth = RewardLine.from_track(load_track("first-lap"))
    assert line.length_m == pytest.approx(truth.length_m, rel=0.05)
    assert np.linalg.norm(line.points[0] - truth.points[0]) < 1.0
    off_m = [np.linalg.norm(truth.points - point, axis=1).min() for point in line.points[::50]]
    assert max(off_m) < 8.0


def test_a_lap_of_the_stand_in_is_recorded() -> None:
    notes = Notes()
    with FastGame("first-lap") as game:
        lap = record(game.port, notes=notes, laps_s=120.0)
    check_first_lap(lap.line)
    assert lap.fastest_mps > 10.0
    assert notes.said[0].startswith("Lap 1 of 1")
    assert "driving" in notes.states


def test_of_several_laps_the_fastest_is_kept() -> None:
    notes = Notes()
    with FastGame("first-lap") as game:
        lap = record(game.port, laps=2, notes=notes, laps_s=120.0)
    assert len(notes.said) == 2
    times = [float(text.split("finished ")[1].split(" s")[0]) for text in notes.said]
    assert lap.seconds == pytest.approx(min(times), abs=0.01)


@contextlib.contextmanager
def server(content: bytes) -> Iterator[int]:
    """A server that says a few bytes to one client after another, as the plugin does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, contextlib.suppress(ConnectionError):
                    client.sendall(content)
                    client.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_where_nobody_listens_the_plugin_is_named() -> None:
    with pytest.raises(UnreachableError, match="plugin does not run"):
        record(free_port(), refused_s=0.5)


def test_a_silent_plugin_asks_for_a_map() -> None:
    with server(b"") as port, pytest.raises(UnreachableError, match="not_on_map"):
        record(port, silent_s=0.5)


def test_other_bytes_are_no_telemetry() -> None:
    page = b"HTTP/1.1 400 Bad Request " * 20
    with server(page) as port, pytest.raises(UnreachableError, match="44 bytes"):
        record(port, silent_s=0.5)


def test_a_lap_that_never_ends_is_given_up() -> None:
    with FastGame("grand-tour") as game, pytest.raises(UnreachableError, match="0 of 1 laps"):
        record(game.port, laps_s=1.0)


@pytest.mark.parametrize("name", ["../../evil", "a\\b", "..", "", " ", "x" * 101, "two\nlines"])
def test_a_name_that_is_no_file_name_is_refused(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["game", "record-line", f"--name={name}"]) == 2
    assert "cannot be the name of a map" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [["standin"], ["record-line", "--name=m", "--game=standin"]])
def test_a_track_that_is_none_is_refused_before_a_display_is_started(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["game", *command, "--track", "first-lapp"]) == 2
    assert "fix: --track first-lap;" in capsys.readouterr().err


def test_the_command_writes_line_and_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lines" / "first-lap.npz"
    with FastGame("first-lap") as game:
        arguments = ["game", "record-line", "--name", "first-lap", "--out", str(file)]
        arguments += ["--port", str(game.port)]
        assert cli.main(arguments) == 0
        captured = capsys.readouterr()
        assert str(file) in captured.out
        assert "Restart the race" in captured.err
        check_first_lap(load_line(file))
        with Image.open(file.with_suffix(".png")) as picture:
            assert picture.size[0] > 800
        assert cli.main(arguments) == 2
        assert "--force" in capsys.readouterr().err
        assert cli.main([*arguments, "--force", "--json"]) == 0
        values = json.loads(capsys.readouterr().out)
    assert values["file"] == str(file)
    assert values["sha256"] == load_line(file).content_hash
    assert values["length_m"] == pytest.approx(522.0, rel=0.05)


@pytest.mark.slow
@pytest.mark.display
def test_the_stand_in_records_its_own_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "first-lap.npz"
    arguments = ["game", "record-line", "--game", "standin", "--name", "first-lap"]
    assert cli.main([*arguments, "--out", str(file), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["messages"] > 600
    check_first_lap(load_line(file))


def test_a_trajectory_of_tmrl_is_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = RewardLine.from_track(load_track("hairpins"))
    reward, file = tmp_path / "reward.pkl", tmp_path / "hairpins.npz"
    reward.write_bytes(pickle.dumps(truth.points))
    arguments = ["game", "import-line", str(reward), "--name", "hairpins", "--out", str(file)]
    assert cli.main(arguments) == 0
    assert "788.9 m" in capsys.readouterr().out
    line = load_line(file)
    assert line.length_m == pytest.approx(truth.length_m, abs=0.5)
    assert file.with_suffix(".png").is_file()
    reward.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert cli.main([*arguments, "--force"]) == 5
    assert "refused" in capsys.readouterr().err
