"""Reward lines: what they are, their file, and files that are none."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.progress import ProgressReward
from actors.sim.catalogue import TRACK_NAMES, load_track
from actors.standin.map_place import game_points
from actors.trackmania.reward_line import (
    RewardLine,
    check_line_file,
    load_line,
    load_lines,
    nearest_line,
    save_line,
)
from common.errors import ConfigError, CorruptError


def straight(
    length_m: float = 30.0, *, start: tuple[float, float, float] = (0, 0, 0)
) -> RewardLine:
    along = np.arange(round(length_m / 0.1) + 1) * 0.1
    points = np.stack([along, np.zeros_like(along), np.zeros_like(along)], axis=1)
    return RewardLine("straight", points + np.asarray(start))


def write_npz(path: Path, **arrays: Any) -> Path:
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


def good() -> dict[str, Any]:
    return {"version": np.int64(1), "name": np.array("m"), "points": straight().points}


def test_a_line_comes_back_from_its_file(tmp_path: Path) -> None:
    line = straight(start=(5.0, 1.0, -7.0))
    file = tmp_path / "lines" / "straight.npz"
    save_line(line, file)
    again = load_line(file)
    assert again.name == "straight"
    np.testing.assert_array_equal(again.points, line.points)
    assert again.content_hash == line.content_hash
    assert again.start == (5.0, 1.0, -7.0)
    assert again.length_m == pytest.approx(30.0)
    assert not again.points.flags.writeable
    assert list(file.parent.iterdir()) == [file]


def test_the_hash_sees_millimetres_and_no_names() -> None:
    line = straight()
    assert RewardLine("other", line.points).content_hash == line.content_hash
    assert RewardLine("straight", line.points + 1e-5).content_hash == line.content_hash
    assert RewardLine("straight", line.points + 1e-3).content_hash != line.content_hash


@pytest.mark.parametrize("name", TRACK_NAMES)
def test_tracks_of_the_simulation_have_lines_with_y_up(name: str) -> None:
    track = load_track(name)
    line = RewardLine.from_track(track)
    shape = line.points - line.points[0]
    truth = (track.reward_line - track.reward_line[0])[:, (0, 2, 1)]
    np.testing.assert_allclose(shape, truth, atol=1e-9)
    assert line.start == pytest.approx(tuple(game_points(track, track.reward_line)[0]))
    assert line.length_m == pytest.approx(track.length_m)
    reward = ProgressReward(line.points)
    reward.advance((line.start[0], line.start[1], line.start[2]))
    assert reward.furthest_m == 0.0


def test_the_nearest_start_within_ten_metres_is_the_map() -> None:
    here, there = straight(), straight(start=(12.0, 0.0, 0.0))
    assert nearest_line((here, there), (5.0, 0.0, 0.0)) is here
    assert nearest_line((here, there), (7.0, 0.0, 0.0)) is there
    assert nearest_line((here, there), (0.0, 10.5, 0.0)) is None
    assert nearest_line((here, there), (0.0, 10.5, 0.0), within_m=11.0) is here
    assert nearest_line((), (0.0, 0.0, 0.0)) is None


def test_a_folder_holds_the_lines_of_many_maps(tmp_path: Path) -> None:
    for name in ("b", "a"):
        save_line(RewardLine(name, straight().points), tmp_path / f"{name}.npz")
    (tmp_path / "notes.txt").write_text("not a line")
    assert [line.name for line in load_lines(tmp_path)] == ["a", "b"]
    assert [line.name for line in load_lines(tmp_path / "a.npz")] == ["a"]


def test_missing_lines_say_how_to_record_one(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.npz"):
        with pytest.raises(ConfigError, match="record-line"):
            load_lines(path)


@pytest.mark.parametrize("name", ["line.txt", "folder.npz"])
def test_a_line_is_written_to_an_npz_file_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ConfigError):
        check_line_file(tmp_path / name)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        (np.zeros((5, 2)), "shape"),
        (np.zeros(5), "shape"),
        (np.zeros((1, 3)), "1 points"),
        (np.zeros((5, 3)), "apart"),
        (straight().points * 2.0, "apart"),
        (np.where(straight().points > 2.0, np.nan, straight().points), "finite"),
        (straight().points + 1e6, "100 km"),
    ],
)
def test_points_that_are_no_line(tmp_path: Path, points: npt.NDArray[Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        RewardLine("bad", points)
    file = write_npz(tmp_path / "bad.npz", **{**good(), "points": points})
    with pytest.raises(CorruptError, match=why):
        load_line(file)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": np.int64(2)}, "version is 2"),
        ({"version": np.array("one")}, "version"),
        ({"name": np.array(7)}, "name is no text"),
        ({"name": np.array("x" * 201)}, "name is no text"),
        ({"points": straight().points.astype(np.float32)}, "float32"),
        ({"more": np.zeros(1)}, "it holds"),
        ({"points": np.array([{}], dtype=object)}, "no plain array"),
    ],
)
def test_files_that_are_no_lines(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    with pytest.raises(CorruptError, match=why):
        load_line(write_npz(tmp_path / "bad.npz", **{**good(), **change}))


def test_a_file_without_a_key(tmp_path: Path) -> None:
    values = good()
    del values["name"]
    with pytest.raises(CorruptError, match="name"):
        load_line(write_npz(tmp_path / "bad.npz", **values))


def test_a_header_that_promises_a_terabyte_allocates_nothing(tmp_path: Path) -> None:
    header = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (1 << 37, 3)}
    np.lib.format.write_array_header_1_0(header, shape)
    file = write_npz(tmp_path / "bad.npz", **{k: v for k, v in good().items() if k != "points"})
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("points.npy", header.getvalue() + bytes(24))
    with pytest.raises(CorruptError, match="no plain array"):
        load_line(file)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("version", "name", "points"):
            archive.writestr(f"{name}.npy", bytes(30_000_000))
    assert file.stat().st_size < 100_000
    with pytest.raises(CorruptError, match="limit"):
        load_line(file)


@given(at=st.integers(min_value=0, max_value=10_000), flip=st.integers(1, 255), cut=st.booleans())
def test_damaged_files_are_refused_or_still_lines(
    tmp_path_factory: pytest.TempPathFactory, at: int, flip: int, *, cut: bool
) -> None:
    file = tmp_path_factory.mktemp("hostile") / "line.npz"
    save_line(straight(), file)
    content = bytearray(file.read_bytes())
    at %= len(content)
    if cut:
        del content[at:]
    else:
        content[at] ^= flip
    file.write_bytes(content)
    try:
        line = load_line(file)
    except CorruptError:
        return
    assert line.length_m > 0.0
