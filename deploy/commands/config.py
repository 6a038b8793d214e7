"""``apexmania config``: show, explain, diff and schema."""

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from common.config import Config
from deploy import config_file, presets
from deploy.options import ConfigFile, Json, Preset, Settings


def show(
    *,
    config: ConfigFile = None,
    preset: Preset = None,
    settings: Settings = (),
    json_output: Json = False,
) -> None:
    """Prints the merged configuration."""
    resolved = config_file.load_config(
        file=config,
        preset=preset,
        settings=settings,
        say=lambda text: print(text, file=sys.stderr),
    )
    print(
        resolved.model_dump_json(indent=2) if json_output else config_file.to_yaml(resolved), end=""
    )


def explain(
    key: Annotated[str, Parameter(help="Dotted key or section, such as learner.target.")],
    /,
    *,
    json_output: Json = False,
) -> None:
    """Prints type, default and help of a key or section."""
    entries = config_file.explain(key)
    if json_output:
        rows = [
            {"key": e.key, "type": e.type_name, "default": e.default, "help": e.help}
            for e in entries
        ]
        print(json.dumps(rows, indent=2))
        return
    for entry in entries:
        print(f"{entry.key} = {entry.default!r}\n    {entry.type_name}\n    {entry.help}")


def diff(
    first: Annotated[str, Parameter(help="Preset, YAML file or run folder.")],
    second: Annotated[str, Parameter(help="Preset, YAML file or run folder.")],
    /,
    *,
    json_output: Json = False,
) -> None:
    """Prints the keys that differ."""
    changes = config_file.changed_keys(_load(first), _load(second))
    if json_output:
        rows = [{"key": key, "first": one, "second": other} for key, one, other in changes]
        print(json.dumps(rows, indent=2))
        return
    for key, one, other in changes:
        print(f"{key}: {one!r} -> {other!r}")


def schema() -> None:
    """Prints the JSON schema."""
    print(json.dumps(Config.model_json_schema(), indent=2))


def _load(source: str) -> Config:
    path = Path(source)
    if path.is_dir():
        return config_file.load_config(file=path / "config.yaml")
    if source in presets.names() or not path.exists():
        return config_file.load_config(preset=source)
    return config_file.load_config(file=path)
