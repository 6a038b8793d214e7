import ast
import importlib.util
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.import_names import import_name_problems

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", "replay_server", "actors", "learner", "deploy")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MOST_CODE_LINES = 300
BANNED_MODULE_NAMES = {"utils", "util", "helpers", "helper", "base", "manager", "misc", "monitor"}
BANNED_WORDS = re.compile(
    r"(?:^|_)(?:rollouts?|polyak|soft_tau|global_steps?|total_timesteps|policy_lag|experiences?)(?:_|$)"
)
WALK_LIMITS = {"game to gradient": 8, "weights back": 5}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _identifiers(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg


def _code_lines(path: Path) -> int:
    source = path.read_text(encoding="utf-8")
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped and token.type != tokenize.ENDMARKER:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            text = node.body[0]
            lines -= set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return len(lines)


def _walks() -> dict[str, list[str]]:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    walks = {}
    for title in WALK_LIMITS:
        section = re.search(rf"(?ms)^### {title}$(.*?)(?=^#|\Z)", text, re.IGNORECASE)
        assert section, f"docs/architecture.md has no walk '{title}'"
        walks[title] = re.findall(r"^\d+\. `([^`]+)`", section[1], re.MULTILINE)
    return walks


def test_the_import_contracts_hold() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_is_small(path: Path) -> None:
    assert _code_lines(path) <= MOST_CODE_LINES


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_has_a_noun_for_a_name_and_a_docstring(path: Path) -> None:
    assert path.stem not in BANNED_MODULE_NAMES
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_the_glossary_is_kept(path: Path) -> None:
    assert [name for name in _identifiers(path) if BANNED_WORDS.search(name)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_an_init_holds_a_docstring_and_nothing_else(package: str) -> None:
    for path in (ROOT / package).rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == 1, path
        assert isinstance(body[0], ast.Expr), path


def test_redis_is_spoken_in_replay_server_only() -> None:
    pattern = re.compile(r"^\s*(?:import redis\b|from redis\b)", re.MULTILINE)
    speakers = {
        _name(path).split(".")[0] for path in MODULES if pattern.search(path.read_text("utf-8"))
    }
    assert speakers == {"replay_server"}


def test_ray_is_imported_in_thin_shells_and_deploy_only() -> None:
    pattern = re.compile(r"^\s*(?:import ray\b|from ray\b)", re.MULTILINE)
    for path in MODULES:
        if pattern.search(path.read_text("utf-8")) and not _name(path).startswith("deploy"):
            assert path.stem == "ray_actor", f"{_name(path)} imports ray"
            assert _code_lines(path) <= 120


SIDE_EFFECTS = """
import os, socket, sys, threading
import {libraries}
def watch(event, args):
    if "__pycache__" in str(args[:1]):
        return
    if event in {{"socket.bind", "socket.connect", "subprocess.Popen", "os.mkdir", "os.chdir"}}:
        raise AssertionError(f"importing did {{event}} {{args}}")
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        raise AssertionError(f"importing wrote {{args}}")
sys.addaudithook(watch)
before, threads = dict(os.environ), threading.active_count()
import importlib
for name in {names!r}:
    importlib.import_module(name)
assert dict(os.environ) == before, "importing changed the environment"
assert threading.active_count() == threads, "importing started a thread"
"""
LIBRARIES = "gymnasium, imageio_ffmpeg, matplotlib.figure, numba, ray, redis, torch, yaml"


def test_importing_a_module_has_no_side_effect() -> None:
    names = [_name(path) for path in MODULES if path.stem != "__main__"]
    code = SIDE_EFFECTS.format(names=names, libraries=LIBRARIES)
    result = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]


@pytest.mark.parametrize("title", WALK_LIMITS)
def test_a_walk_is_short_and_its_hops_exist(title: str) -> None:
    hops = _walks()[title]
    assert 2 <= len(hops) <= WALK_LIMITS[title]
    for hop in hops:
        module, _, attributes = hop.partition(":")
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        assert path.exists(), f"{hop}: there is no {path.relative_to(ROOT)}"
        body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
        for attribute in attributes.split("."):
            found = [
                node
                for node in body
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute
            ]
            assert found, f"{hop}: {module} has no {attribute}"
            body = found[0].body


def test_every_internal_link_of_the_documentation_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    broken = []
    for page in pages:
        targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        broken.extend(
            f"{page.relative_to(ROOT)} -> {target}"
            for target in targets
            if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists()
        )
    assert broken == []


def test_the_installed_names_are_ours() -> None:
    assert import_name_problems() == []
    assert import_name_problems(["json"]) != []
    assert importlib.util.find_spec("deploy") is not None
