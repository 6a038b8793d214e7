"""What is shipped for clusters: Ray takes the files, and all of them name the ports that are used."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from deploy.cli import build_app
from deploy.cluster.cluster_file import PROJECT
from deploy.cluster.node_plan import NodePlan
from deploy.cluster.node_ports import DASHBOARD_PORT, GCS_PORT, port_options
from deploy.redis_listen import DEFAULT_PORT

_CLUSTER = PROJECT / "deploy" / "cluster"
_ALL = ("on-premise.yaml", "aws.yaml")
_UNITS = ("apexmania-node", "apexmania-train")


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((_CLUSTER / name).read_text())
    return found


@pytest.mark.parametrize("name", _ALL)
def test_ray_takes_the_file(name: str) -> None:
    validate_config(prepare_config(_read(name)))


@pytest.mark.parametrize("name", _ALL)
def test_the_file_goes_through_the_supervisor_and_never_kills_by_name(name: str) -> None:
    config = _read(name)
    starts = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    assert all("apexmania cluster node" in command for command in starts)
    assert not any("ray stop" in command or "6379" in command for command in starts)
    assert {"/.git", "/.venv", "/runs"} <= set(config["rsync_exclude"])


@pytest.mark.parametrize("name", _ALL)
def test_a_user_edits_addresses_and_login_alone(name: str) -> None:
    above, below = (_CLUSTER / name).read_text().split("nothing below here is for you to change")
    assert "auth:" in above
    assert "provider:" in above
    assert not re.search(r"\d+\.\d+\.\d+\.\d+|ssh_|region|Image", below)


@pytest.mark.parametrize("head", [True, False])
def test_every_port_of_a_node_is_pinned_away_from_redis(*, head: bool) -> None:
    values = [option.split("=")[1] for option in port_options(head=head)]
    ports = {int(value) for value in values if value.isdecimal()}
    assert ports - set(range(7001, 7031)) == ({GCS_PORT, DASHBOARD_PORT} if head else set())
    assert 6379 not in ports


def test_the_commands_of_head_and_worker() -> None:
    head = NodePlan("head", "10.0.0.1", "10.0.0.1", 0, "/root/ray_bootstrap_config.yaml").command()
    worker = NodePlan("worker", "10.0.0.2", "10.0.0.1", 2).command()
    assert {"--head", "--port=6380", "--dashboard-host=127.0.0.1"} <= set(head)
    assert "--autoscaling-config=/root/ray_bootstrap_config.yaml" in head
    assert '--resources={"learner": 1}' in head
    assert "--address=10.0.0.1:6380" in worker
    assert '--resources={"game": 2}' in worker


def test_a_node_has_the_token_and_nothing_of_another_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", "{}")
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:1")
    head = NodePlan("head", "10.0.0.1", "10.0.0.1", 0).environment()
    assert head["RAY_AUTH_MODE"] == "token"
    assert Path(head["RAY_AUTH_TOKEN_PATH"]).name == "ray-token"
    assert head["RAY_enable_autoscaler_v2"] == "0"
    assert head["RAY_gcs_storage"] == "rocksdb"
    assert "RAY_OVERRIDE_RESOURCES" not in head
    assert "RAY_ADDRESS" not in head


@pytest.mark.parametrize("name", _UNITS)
def test_the_units_run_commands_that_exist(name: str) -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(PROJECT / "deploy" / "systemd" / f"{name}.service")
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    assert program.endswith("/.venv/bin/apexmania")
    build_app().parse_args(words)
    assert unit["Install"]["WantedBy"] == "multi-user.target"


@pytest.mark.parametrize("name", ["head.nft", "game-machine.nft", "windows.ps1"])
def test_the_firewall_names_the_ports_that_are_used(name: str) -> None:
    text = (PROJECT / "deploy" / "firewall" / name).read_text()
    for port in {
        "head.nft": (GCS_PORT, "7001-7030", DEFAULT_PORT),
        "game-machine.nft": ("7001-7030",),
    }.get(name, (DEFAULT_PORT,)):
        assert str(port) in text


@pytest.mark.netns
@pytest.mark.parametrize("name", ["head.nft", "game-machine.nft"])
def test_the_firewall_takes_the_rules(name: str) -> None:
    rules = PROJECT / "deploy" / "firewall" / name
    done = subprocess.run(["nft", "-c", "-f", rules], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in _UNITS:
        text = (PROJECT / "deploy" / "systemd" / f"{name}.service").read_text()
        (tmp_path / f"{name}.service").write_text(
            re.sub(r"(?m)^(ExecStart=)\S+", r"\1/bin/true", text)
        )
    files = [tmp_path / f"{name}.service" for name in _UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    assert (done.returncode, done.stderr) == (0, "")
