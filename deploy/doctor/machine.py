"""Checks of this machine. Each is small, ends in time, and says how to fix what it found."""

import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Literal

import psutil

from common.errors import ApexManiaError, ConfigError
from deploy.doctor.finding import Finding
from deploy.import_names import import_name_problems

Role = Literal["actor", "learner", "replay", "all"]

_TIME_LIMIT_S = 60.0
_ENOUGH_DISK = 5 * 10**9
_LITTLE_DISK = 10**9
_ENOUGH_MEMORY = 4 * 10**9
_LITTLE_MEMORY = 2 * 10**9
_ENOUGH_CORES = 2
_OLDEST_PYTHON = (3, 11)
_TRY_RAY = """
import tempfile
from pathlib import Path
import ray
from deploy.ray_cluster import private_ray
folder = Path(tempfile.mkdtemp())
(folder / "logs").mkdir()
with private_ray(num_cpus=1, run_folder=folder, logs=folder / "logs"):
    assert ray.get(ray.put(1)) == 1
"""
_TRY_TORCH = """
import torch
x = torch.ones(8, 8)
assert float((x @ x).sum()) == 512.0
print(torch.__version__, torch.cuda.is_available() and torch.cuda.get_device_name(0))
"""


Check = Callable[[], Finding]


def examine_machine(role: Role = "all") -> list[Finding]:
    """Runs the checks that a role needs and returns their findings in order.

    Args:
        role: what this machine shall do.
    """
    chosen = [(name, check) for name, (check, roles) in CHECKS.items() if role in (*roles, "all")]
    if not chosen:
        raise ConfigError(
            f"There is no role {role!r}.",
            "the roles are actor, learner, replay and all",
            "apexmania doctor --role all",
        )
    pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="doctor")
    futures = [(name, pool.submit(_guarded, name, check)) for name, check in chosen]
    findings = []
    for name, future in futures:
        try:
            findings.append(future.result(timeout=_TIME_LIMIT_S))
        except FutureTimeoutError:
            findings.append(
                Finding(name, "fail", f"no answer within {_TIME_LIMIT_S:.0f} s", "try it again")
            )
    pool.shutdown(wait=False, cancel_futures=True)
    return findings


def _guarded(name: str, check: Check) -> Finding:
    try:
        return check()
    except ApexManiaError as error:
        return Finding(name, "fail", f"{error.what} {error.why}", error.fix)
    except subprocess.TimeoutExpired as error:
        return Finding(name, "fail", f"no answer within {error.timeout:.0f} s", "try it again")
    except OSError as error:
        return Finding(name, "fail", str(error), "see the message")


def _python() -> Finding:
    found = sys.version.split()[0]
    if sys.version_info < _OLDEST_PYTHON:
        return Finding("python", "fail", found, "make setup PYTHON=/path/to/python3.11")
    return Finding("python", "ok", found)


def _packages() -> Finding:
    """Compares what is installed with the constraints that were tested together."""
    file = Path(__file__).resolve().parents[2] / "constraints.txt"
    if not file.exists():
        return Finding("packages", "ok", "installed from a wheel, no constraints to compare with")
    wrong = []
    for line in file.read_text(encoding="utf-8").splitlines():
        name, separator, wanted = line.partition("==")
        if not separator or name.startswith("#"):
            continue
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if found.partition("+")[0] != wanted:
            wrong.append(f"{name} {found} instead of {wanted}")
    if wrong:
        return Finding("packages", "warn", "; ".join(wrong), "make clean setup")
    return Finding("packages", "ok", "as in constraints.txt")


def _import_names() -> Finding:
    problems = import_name_problems()
    if problems:
        return Finding(
            "import names",
            "fail",
            "; ".join(problems),
            "install apexmania into an environment of its own: make clean setup",
        )
    return Finding("import names", "ok", "all packages are ours")


def _redis() -> Finding:
    from deploy.redis_program import find_program  # noqa: PLC0415 - only where it is asked for

    program = find_program()
    return Finding("redis server", "ok", f"{program.path} {program.version} ({program.source})")


def _redis_start() -> Finding:
    from deploy.redis_program import find_program  # noqa: PLC0415 - only where it is asked for
    from deploy.redis_server import PrivateRedis  # noqa: PLC0415 - same

    with tempfile.TemporaryDirectory(prefix="am-doctor-") as name:
        folder = Path(name)
        server = PrivateRedis(
            find_program(), folder=folder / "redis", log=folder / "log", max_bytes=10**8
        )
        server.start()
        server.stop()
    return Finding("redis start", "ok", "a private server started, answered and stopped")


def _ports() -> Finding:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    return Finding("ports", "ok", f"127.0.0.1 gives free ports, such as {port}")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / 10**9:.1f} GB free in {Path.cwd()}"
    if free < _LITTLE_DISK:
        return Finding("disk", "fail", found, "free 5 GB, or start in a folder on another disk")
    if free < _ENOUGH_DISK:
        return Finding("disk", "warn", found, "free 5 GB for a long run's log and checkpoints")
    return Finding("disk", "ok", found)


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    found = f"{free / 10**9:.1f} GB available"
    if free < _LITTLE_MEMORY:
        return Finding("memory", "fail", found, "close programs; a run needs 2 GB at least")
    if free < _ENOUGH_MEMORY:
        return Finding("memory", "warn", found, "--set replay.capacity=30000 takes less")
    return Finding("memory", "ok", found)


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    if cores < _ENOUGH_CORES:
        return Finding("cores", "warn", f"{cores}", "it works, but slowly: actor and learner share")
    return Finding("cores", "ok", f"{cores}")


def _temporary() -> Finding:
    # Ray and Redis put their sockets into /tmp itself, wherever TMPDIR points; Windows has none.
    folder = None if sys.platform == "win32" else "/tmp"  # noqa: S108 - a name
    with tempfile.TemporaryDirectory(prefix="am-", dir=folder) as name:
        (Path(name) / "probe").write_text("x", encoding="ascii")
    return Finding("/tmp", "ok", "writable")  # noqa: S108 - a name


def _torch() -> Finding:
    answer = _python_try(_TRY_TORCH)
    if answer.returncode != 0:
        return Finding("torch", "fail", _last_line(answer.stderr), "make clean setup")
    return Finding("torch", "ok", answer.stdout.strip().rpartition(" ")[0])


def _gpu() -> Finding:
    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding("gpu", "ok", "none; the learner takes the CPU")
    answer = subprocess.run(  # noqa: S603 - found on the user's own PATH
        [program, "--query-gpu=name,driver_version,memory.free", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=_TIME_LIMIT_S / 2,
        check=False,
    )
    seen = answer.stdout.strip().replace("\n", "; ")
    usable = _python_try("import torch, sys; sys.exit(not torch.cuda.is_available())")
    if answer.returncode != 0 or usable.returncode != 0:
        return Finding(
            "gpu",
            "warn",
            f"{seen or 'a driver without a GPU'}, which torch cannot use",
            "install a torch build for this driver, or --set learner.device=cpu",
        )
    return Finding("gpu", "ok", seen)


def _ray() -> Finding:
    answer = _python_try(_TRY_RAY)
    if answer.returncode != 0:
        return Finding(
            "ray start",
            "fail",
            _last_line(answer.stderr),
            "look for a full /tmp or a firewall on 127.0.0.1, then: make clean setup",
        )
    return Finding("ray start", "ok", "a private cluster started, answered and stopped")


def _ffmpeg() -> Finding:
    import imageio_ffmpeg  # noqa: PLC0415 - only where it is asked for

    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        return Finding(
            "ffmpeg",
            "warn",
            str(error),
            "pip install --force-reinstall imageio-ffmpeg; videos need it",
        )
    return Finding("ffmpeg", "ok", f"{Path(program).name} {imageio_ffmpeg.get_ffmpeg_version()}")


def _python_try(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=_TIME_LIMIT_S - 5,
        check=False,
    )


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it printed nothing"


CHECKS: dict[str, tuple[Check, tuple[Role, ...]]] = {
    "python": (_python, ("actor", "learner", "replay")),
    "packages": (_packages, ("actor", "learner", "replay")),
    "import names": (_import_names, ("actor", "learner", "replay")),
    "disk": (_disk, ("actor", "learner", "replay")),
    "memory": (_memory, ("actor", "learner", "replay")),
    "cores": (_cores, ("actor", "learner")),
    "/tmp": (_temporary, ("actor", "learner", "replay")),  # noqa: S108 - a name
    "ports": (_ports, ("replay",)),
    "redis server": (_redis, ("replay",)),
    "redis start": (_redis_start, ("replay",)),
    "ray start": (_ray, ("actor", "learner", "replay")),
    "torch": (_torch, ("actor", "learner")),
    "gpu": (_gpu, ("learner",)),
    "ffmpeg": (_ffmpeg, ("actor",)),
}
