"""The tests' own Redis is one that a run would take."""

from pathlib import Path

import pytest

from tests.support.redis_server import server_binary


def test_a_server_that_is_too_old_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=0'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server_binary() != str(old)
