import json

import pytest
import structlog

from common.errors import ConfigError
from deploy import cli
from deploy.doctor import machine
from deploy.doctor.finding import Finding

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.ray]


SIZES = {"disk", "memory", "cores"}
"""Checks whose verdict depends on how large and how busy the machine is, not on the installation."""


def test_the_installation_is_fine_and_doctor_says_so_as_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = cli.main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    failed = {check["check"]: check for check in report["checks"] if check["level"] == "fail"}
    assert [check for name, check in failed.items() if name not in SIZES] == []
    assert (code, report["ok"]) == ((3, False) if failed else (0, True))
    assert {check["check"] for check in report["checks"]} == set(machine.CHECKS)


def test_a_failed_check_has_a_fix_and_sets_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> Finding:
        raise OSError("no luck")

    def wrong() -> Finding:
        return Finding("disk", "fail", "0 GB", "free 5 GB")

    monkeypatch.setattr(
        machine, "CHECKS", {"disk": (wrong, ("replay",)), "ports": (broken, ("replay",))}
    )
    assert cli.main(["doctor", "--role", "replay"]) == 3
    out = capsys.readouterr().out
    assert "fix: free 5 GB" in out
    assert "no luck" in out


def test_what_a_part_logs_is_not_among_the_findings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def loud() -> Finding:
        structlog.get_logger().error("part_failed")
        structlog.get_logger().info("part_started")
        return Finding("disk", "ok", "room")

    monkeypatch.setattr(machine, "CHECKS", {"disk": (loud, ("replay",))})
    assert cli.main(["doctor", "--role", "replay", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["ok"]
    assert "part_failed" in captured.err
    assert "part_started" not in captured.err


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ConfigError, match="no role"):
        machine.examine_machine("driver")  # type: ignore[arg-type]
