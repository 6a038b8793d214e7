"""The folder of this machine that holds what must never lie in a run folder: passwords, tokens, keys."""

import os
import secrets
from pathlib import Path

VARIABLE = "APEXMANIA_HOME"
"""Names another folder than ``~/.apexmania``."""
_PASSWORD_BYTES = 32


def machine_home() -> Path:
    """Returns the folder, made for its owner alone where it is not there yet."""
    return private_folder(Path(os.environ.get(VARIABLE) or Path.home() / ".apexmania").absolute())


def private_folder(path: Path) -> Path:
    """Returns a folder that only its owner can enter, made with its parents where it is missing.

    Args:
        path: the folder.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


def write_private(file: Path, content: str | bytes) -> None:
    """Writes a file that only its owner can read, whole or not at all.

    Args:
        file: its folder is made where it is missing.
        content: replaces what is there.
    """
    beside = _written_beside(file, content)
    beside.replace(file)


def create_private(file: Path, content: str | bytes) -> bool:
    """Writes a private file unless it is there already, and returns whether it was written.

    Of several processes that come at once, one wins, and nobody sees half a file.

    Args:
        file: its folder is made where it is missing.
        content: of the new file.
    """
    beside = _written_beside(file, content)
    try:
        os.link(beside, file)
    except FileExistsError:
        return False
    finally:
        beside.unlink()
    return True


def kept_password(file: Path) -> str:
    """Returns the password in a file, made up and stored at the first call.

    Args:
        file: in the machine's home.
    """
    if not file.exists():
        create_private(file, secrets.token_hex(_PASSWORD_BYTES))
    return file.read_text(encoding="ascii")


def _written_beside(file: Path, content: str | bytes) -> Path:
    beside = private_folder(file.parent) / f".{file.name}.{secrets.token_hex(8)}"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content.encode() if isinstance(content, str) else content)
        stream.flush()
        os.fsync(stream.fileno())
    return beside
