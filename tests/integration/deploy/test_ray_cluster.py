"""The folder of a private Ray: closed to others, and gone even after a killed launcher."""

import fcntl
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import ray

from deploy.ray_cluster import private_ray, remove_abandoned
from tests.support.open_ports import addresses_outside


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(120)
def test_nobody_else_reaches_the_token_or_a_port(tmp_path: Path) -> None:
    with private_ray(num_cpus=1, run_folder=tmp_path, logs=tmp_path):
        folder = (tmp_path / "ray-live").readlink().parents[2]
        assert folder.name.startswith("am-")
        assert folder.stat().st_mode & 0o077 == 0
        assert (folder / "token").stat().st_mode & 0o077 == 0
        assert (tmp_path / "ray-live").is_dir()
        remove_abandoned(folder.parent)
        assert (folder / "token").exists()
        assert ray.get(ray.put(1)) == 1
        assert addresses_outside(psutil.Process()) == {}
    assert not folder.exists()


def _folder(parent: Path, name: str, *, claim: bool = True) -> Path:
    folder = parent / name
    (folder / "r").mkdir(parents=True)
    if claim:
        (folder / "launcher").write_text("4711")
    return folder


def test_only_what_nobody_uses_is_removed(tmp_path: Path) -> None:
    dead, claimed, named = (
        _folder(tmp_path, f"am-{name}") for name in ("dead", "claimed", "named")
    )
    starting = _folder(tmp_path, "am-starting", claim=False)
    foreign = _folder(tmp_path, "other")
    (tmp_path / "am-link").symlink_to(foreign)
    waiting = "import sys; sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", waiting, f"--session={named}/r"], stdin=subprocess.PIPE
    )
    with (claimed / "launcher").open("rb") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        remove_abandoned(tmp_path)
    assert not dead.exists()
    assert all(folder.exists() for folder in (claimed, named, starting, foreign))
    process.communicate()
    remove_abandoned(tmp_path)
    assert not named.exists()
