"""A private Ray cluster for one run: loopback, token authentication, its own temporary folder."""

import fcntl
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import psutil
import ray
from ray._private import ray_constants
from ray._raylet import (  # type: ignore[attr-defined] # an extension module without stubs
    AuthenticationTokenLoader,
    Config,
)

from common.errors import MachineError

_TEMPORARY = Path("/tmp")  # noqa: S108 - Ray's sockets need a short path; each folder is made private
_PREFIX = "am-"
_RAY = "r"  # Ray opens its own folder to everybody; the one above stays private and has the token
_CLAIM = "launcher"
_OBJECT_STORE_BYTES = 80_000_000
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)
WORKER_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray would run the learner at niceness 15, level with the actors that must yield to it.
    "RAY_worker_niceness": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    **dict.fromkeys(_THREAD_VARIABLES, "1"),
}
"""What every Ray process of ours is started with, on whichever machine."""


@contextmanager
def private_ray(*, num_cpus: int, run_folder: Path, logs: Path) -> Iterator[None]:
    """Starts Ray for the length of a block and stops exactly that Ray afterwards.

    The working folder is the run folder while Ray runs, because Ray puts it on the workers' import
    path: a stray ``common.py`` where the user happens to stand must not reach them. Workers inherit
    one thread each from the environment; the learner raises its own. What Ray prints goes to a log,
    because standard output belongs to the data of the command.

    Args:
        num_cpus: logical CPUs, one for each process that is placed.
        run_folder: becomes the working folder.
        logs: takes the workers' output.

    Raises:
        MachineError: Ray did not start here.
    """
    remove_abandoned(_TEMPORARY)
    temporary = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_TEMPORARY))
    token = temporary / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32), encoding="ascii")
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        # Ray's own switch for one machine alone: without it every part listens on all interfaces.
        ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0",
        "PYTHONPATH": absolute_search_path(os.environ.get("PYTHONPATH", "")),
        **WORKER_ENVIRONMENT,
    }
    with (
        environment_of(environment),
        working_folder(run_folder),
        _removed(temporary),
        _claimed(temporary),
        _linked(logs, temporary),
        (logs / "ray-driver.log").open("a", encoding="utf-8") as chatter,
        redirect_stdout(chatter),
    ):
        try:
            _start(num_cpus, temporary / _RAY)
            yield
        finally:
            ray.shutdown()


def remove_abandoned(parent: Path) -> None:
    """Removes what launchers that were killed left behind, token included.

    A folder goes only if it is ours, its launcher's claim is free and no process names it.

    Args:
        parent: where the folders are.
    """
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / _CLAIM).open("rb") as claim:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not _in_a_command_line(str(folder)):
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue


def _in_a_command_line(text: str) -> bool:
    return any(
        text in word
        for process in psutil.process_iter(["cmdline"])
        for word in process.info["cmdline"] or ()
    )


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Marks a folder as in use until we die; the claim appears only once it is held."""
    beside = folder / f".{_CLAIM}"
    with beside.open("w", encoding="ascii") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        claim.write(str(os.getpid()))
        claim.flush()
        beside.rename(folder / _CLAIM)
        yield


def _start(num_cpus: int, temporary: Path) -> None:
    read_environment_again()
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        ray.init(
            address="local",
            num_cpus=num_cpus,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(temporary),
        )
    except (RuntimeError, OSError, ValueError, TimeoutError) as error:
        raise MachineError(
            "Ray did not start on this machine.",
            " ".join(str(error).split()) or type(error).__name__,
            "apexmania doctor",
        ) from error
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def read_environment_again() -> None:
    """Lets Ray see what changed in the environment since it was imported."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def absolute_search_path(search_path: str) -> str:
    """Returns a search path that means the same in another working folder."""
    parts = [str(Path(part).resolve()) for part in search_path.split(os.pathsep) if part]
    return os.pathsep.join(parts)


@contextmanager
def _removed(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def environment_of(values: dict[str, str]) -> Iterator[None]:
    """Sets variables for the length of a block, ``RAY_ADDRESS`` out of the way.

    Args:
        values: by name.
    """
    before = {name: os.environ.get(name) for name in (*values, "RAY_ADDRESS")}
    os.environ.update(values)
    os.environ.pop("RAY_ADDRESS", None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def working_folder(path: Path) -> Iterator[None]:
    """Works in a folder for the length of a block.

    Args:
        path: the folder.
    """
    before = Path.cwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _linked(logs: Path, temporary: Path) -> Iterator[None]:
    """Shows Ray's logs as ``ray-live`` while it runs; keeps what its workers printed in ``ray``."""
    live = logs / "ray-live"
    source = temporary / _RAY / "session_latest" / "logs"
    live.unlink(missing_ok=True)
    live.symlink_to(source, target_is_directory=True)
    try:
        yield
    finally:
        live.unlink(missing_ok=True)
        kept = logs / "ray"
        kept.mkdir(exist_ok=True)
        for file in [*source.glob("worker-*.out"), *source.glob("worker-*.err")]:
            if file.stat().st_size > 0:
                shutil.copy(file, kept)
