"""Reads a configuration: preset, then file, then ``--set``, merged in that order, validated once."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from common.config import Config
from common.errors import ConfigError
from deploy import presets
from deploy.game_layers import drop_other_games

Tree = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """The safe loader, except that ``1e-4`` is a number as everybody expects."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


@dataclass(frozen=True, slots=True)
class KeyHelp:
    """What ``config explain`` says about one key.

    Attributes:
        key: dotted name.
        type_name: what the value may be.
        default: the proven value.
        help: one line with the unit.
    """

    key: str
    type_name: str
    default: object
    help: str


def load_config(
    *,
    file: Path | None = None,
    preset: str | None = None,
    settings: Sequence[str] = (),
    say: Callable[[str], None] | None = None,
) -> Config:
    """Returns the merged and validated configuration.

    Args:
        file: YAML file, or None.
        preset: name of a preset, or None for the proven run.
        settings: ``key=value`` texts, the last one wins.
        say: told what was left out because it belongs to another game.

    Raises:
        ConfigError: with all problems together, each with its key, value and a fix.
    """
    layers: list[tuple[str | None, Tree]] = []
    if preset is not None:
        # A preset that names no game was made for the simulated one.
        layer: Tree = {"game": {"name": "sim"}}
        _merge(layer, _mapping(presets.text(preset), source=f"preset {preset}"))
        layers.append((None, layer))
    if file is not None:
        layers.append((str(file), _read_file(file)))
    typed: Tree = {}
    for setting in settings:
        _merge(typed, _parse_setting(setting))
    layers.append(("--set", typed))
    for line in drop_other_games([layer for _, layer in layers]):
        if say is not None:
            say(line)
    tree: Tree = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        if origin is not None:
            origins |= dict.fromkeys(_leaves(layer), origin)
        _merge(tree, layer)
    _make_absolute(tree)
    return validate(tree, origins=origins)


def changed_config(tree: Tree, settings: Sequence[str]) -> Config:
    """Returns the configuration of a tree with a few keys changed.

    Args:
        tree: a whole configuration as plain values; changed.
        settings: ``key=value`` texts, the last one wins.

    Raises:
        ConfigError: with all problems together.
    """
    for setting in settings:
        _merge(tree, _parse_setting(setting))
    _make_absolute(tree)
    return validate(tree, origins=dict.fromkeys(_leaves(tree), "--set"))


def _make_absolute(tree: Tree) -> None:
    """Makes the paths in a tree absolute, since actors run in other folders than whoever typed them."""
    game = tree.get("game")
    link = game.get("trackmania") if isinstance(game, dict) else None
    if not isinstance(link, dict):
        return
    line = link.get("reward_line")
    if isinstance(line, str) and line:
        link["reward_line"] = str(Path(line).absolute())


def validate(tree: Tree, *, origins: Mapping[str, str] | None = None) -> Config:
    """Returns the configuration that a tree of plain values describes.

    Args:
        tree: nested dictionaries as YAML gives them.
        origins: where each dotted key came from, for the error texts.

    Raises:
        ConfigError: with all problems together.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        problems = [_problem(details, origins or {}) for details in error.errors()]
    count = len(problems)
    noun = "1 problem" if count == 1 else f"{count} problems"
    raise ConfigError(
        f"The configuration has {noun}: " + "; ".join(what for what, _, _ in problems),
        "; ".join(dict.fromkeys(why for _, why, _ in problems)),
        "; ".join(dict.fromkeys(fix for _, _, fix in problems)),
    )


def to_yaml(config: Config) -> str:
    """Returns every value of a configuration as YAML text."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text


def key_helps() -> dict[str, KeyHelp]:
    """Returns the help of every key, by its dotted name, in the tree's order."""
    return {entry.key: entry for entry in _walk(Config, "")}


def explain(key: str) -> list[KeyHelp]:
    """Returns the help of a key, or of all keys of a section.

    Raises:
        ConfigError: there is no such key.
    """
    helps = key_helps()
    found = [entry for name, entry in helps.items() if name == key or name.startswith(f"{key}.")]
    if found:
        return found
    near = _near(key, list(helps))
    raise ConfigError(
        f"There is no configuration key {key!r}.",
        f"{len(helps)} keys are known and none has that name or starts with it",
        f"apexmania config explain {near}" if near else "apexmania config show",
    )


def changed_keys(first: Config, second: Config) -> list[tuple[str, object, object]]:
    """Lists the keys whose values differ, as (key, first's value, second's value)."""
    one, other = _flat(first), _flat(second)
    return [(key, one[key], other[key]) for key in one if one[key] != other[key]]


def _flat(config: Config) -> dict[str, object]:
    values = config.model_dump(mode="json")
    flat: dict[str, object] = {}
    for key in key_helps():
        value: Any = values
        for part in key.split("."):
            value = value[part]
        flat[key] = value
    return flat


def _read_file(file: Path) -> Tree:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The configuration file {str(file)!r} could not be read.",
            str(error),
            "apexmania config show > my.yaml, edit it, then: apexmania train --config my.yaml",
        ) from error
    return _mapping(text, source=str(file))


def _mapping(text: str, *, source: str) -> Tree:
    try:
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{source} is not YAML.",
            " ".join(str(error).split()),
            "indent with spaces, one 'key: value' a line",
        ) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{source} holds a {type(values).__name__}, not a mapping of sections.",
            "a configuration is made of sections with keys",
            "in the file, for instance: {learner: {batch_size: 64}}",
        )
    return values


def _parse_setting(setting: str) -> Tree:
    key, equals, value = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(
            f"--set {setting!r} is not key=value.",
            "a setting names a dotted key and its value, with one = between them",
            "--set learner.batch_size=64",
        )
    try:
        leaf = yaml.load(value, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        raise ConfigError(
            f"The value in --set {setting!r} is not YAML.",
            " ".join(str(error).split()),
            f"--set '{key}=\"{value}\"'",
        ) from error
    for part in reversed(parts):
        leaf = {part: leaf}
    assert isinstance(leaf, dict)
    return leaf


def _merge(tree: Tree, layer: Tree) -> None:
    for key, value in layer.items():
        below = tree.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            _merge(below, value)
        else:
            tree[key] = value


def _leaves(tree: Tree, prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{name}.")
        yield name


def _walk(model: type[BaseModel], prefix: str) -> Iterator[KeyHelp]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _walk(annotation, f"{prefix}{name}.")
            continue
        default = field.get_default(call_default_factory=True)
        yield KeyHelp(f"{prefix}{name}", _type_name(annotation), default, field.description or "")


def _type_name(annotation: object) -> str:
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    text = str(annotation).replace("typing.", "").replace("NoneType", "None")
    text = re.sub(r"Annotated\[(\w+), .*?\)\](?=[,\]]|$)", r"\1", text)
    literal = re.fullmatch(r"Literal\[(.*)\]", text)
    return " | ".join(re.findall(r"'([^']*)'", literal[1])) if literal else text


def _problem(details: ErrorDetails, origins: Mapping[str, str]) -> tuple[str, str, str]:
    key = ".".join(str(part) for part in details["loc"])
    origin = f" ({origins[key]})" if key in origins else ""
    if details["type"] == "extra_forbidden":
        unknown = next(_leaves({key: details["input"]}))
        near = _near(unknown, list(key_helps()))
        why = f"there is no key {key}" + (f"; did you mean {near}?" if near else "")
        fix = f"--set {near}=..." if near else "apexmania config show"
        return f"unknown key {key} = {details['input']!r}{origin}", why, fix
    if not key:
        message = details["msg"].removeprefix("Value error, ")
        return "values that do not fit together", message, "apexmania config show"
    parent = ".".join(str(part) for part in details["loc"] if isinstance(part, str))
    message = details["msg"].removeprefix("Value error, ")
    what = f"{key} = {details['input']!r}{origin}"
    known = _known(parent)
    fix = f"apexmania config explain {known}" if known else "apexmania config show"
    return what, f"{key}: {message}", fix


def _known(key: str) -> str:
    """Returns the longest beginning of a key that ``config explain`` knows."""
    helps = key_helps()
    while key and not any(name == key or name.startswith(f"{key}.") for name in helps):
        key = key.rpartition(".")[0]
    return key


def _near(key: str, known: list[str]) -> str | None:
    """Returns the known key that the reader probably meant: by the whole name, else by its end."""
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
    if close:
        return close[0]
    ends = {name.rpartition(".")[2]: name for name in known}
    close = difflib.get_close_matches(key.rpartition(".")[2], list(ends), n=1, cutoff=0.7)
    return ends[close[0]] if close else None
