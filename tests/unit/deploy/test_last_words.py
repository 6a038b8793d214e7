"""A training that its Ray ends at once leaves its reason, one that ends itself leaves its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from common.config import Config
from deploy.run_folder import RunFolder
from deploy.run_record import RunRecord

_PROGRAM = """
import os, sys
from pathlib import Path
from deploy.last_words import last_words
from deploy.run_folder import RunFolder
with last_words(RunFolder(Path(sys.argv[1])), cluster="auto"):
    if sys.argv[2] == "gone":
        os._exit(1)
"""


@pytest.mark.parametrize("end", ["gone", "ordered"])
def test_somebody_speaks_for_a_process_that_is_gone(tmp_path: Path, end: str) -> None:
    folder = RunFolder(tmp_path / "runs" / "mine")
    folder.prepare(Config())
    RunRecord.open(folder).begin(config=Config(), preset="proven", redis="private", command=[])
    done = subprocess.run(  # its standard error ends with the teller's
        [sys.executable, "-c", _PROGRAM, folder.path, end],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    start = RunRecord.open(folder).values["starts"][-1]
    if end == "gone":
        assert (
            start["end_reason"] == "failed: The training ended at once, without a last checkpoint."
        )
        assert f"apexmania train --resume {folder.path} --ray auto" in done.stderr
    else:
        assert "end_reason" not in start
        assert done.stderr == ""
