"""Named starting points for a configuration: the YAML files beside this module."""

import difflib
from importlib.resources import files

from common.errors import ConfigError

_SUFFIX = ".yaml"


def names() -> list[str]:
    """Returns the names of all presets, sorted."""
    return sorted(
        entry.name.removesuffix(_SUFFIX)
        for entry in files("deploy").joinpath("presets").iterdir()
        if entry.name.endswith(_SUFFIX)
    )


def text(name: str) -> str:
    """Returns a preset as YAML text.

    Raises:
        ConfigError: there is no preset of that name.
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1) or known[-1:]
        raise ConfigError(
            f"There is no preset {name!r}.",
            f"the presets are: {', '.join(known)}",
            f"--preset {near[0]}",
        )
    return files("deploy").joinpath("presets", name + _SUFFIX).read_text(encoding="utf-8")
