"""Makes the folder that a file is to be written to, or says why it cannot be."""

from pathlib import Path

from common.errors import ConfigError, MachineError


def make_output_folder(folder: Path) -> None:
    """Makes a folder with all folders above it; one that is there is fine.

    Args:
        folder: where output shall go.

    Raises:
        ConfigError: a file stands where the folder, or one above it, should be.
        MachineError: the system refuses it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(
            f"The folder {str(folder)!r} cannot be made.",
            f"a file stands where a folder should be ({error})",
            "name another path, for instance one below ./out",
        ) from error
    except OSError as error:
        raise MachineError(
            f"The folder {str(folder)!r} cannot be made.",
            str(error),
            "name a path in a folder of your own, for instance one below ./out",
        ) from error
