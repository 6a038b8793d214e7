"""What a training leaves said and written when Ray ends its process at once, as it does where the node ends."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from common.errors import MachineError
from deploy.run_folder import RunFolder
from deploy.run_record import RunRecord

_ENDED = b"ended"
_CODE = "import sys; from deploy.last_words import main; main(*sys.argv[1:])"
_PATIENCE_S = 10.0


@contextlib.contextmanager
def last_words(folder: RunFolder, *, cluster: str) -> Iterator[None]:
    """Has another process tell why, should this one be gone before the end of the block.

    Args:
        folder: the run; its record gets the reason.
        cluster: address as it was asked for, for the command that goes on.
    """
    teller = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "-P", "-c", _CODE, str(folder.path), cluster],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    assert teller.stdin is not None
    try:
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            teller.stdin.write(_ENDED)
            teller.stdin.close()
        try:
            teller.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            teller.kill()
            teller.wait()


def main(folder: str, cluster: str) -> None:
    """Waits for the end of the process behind standard input, and speaks for it where it could not."""
    began = time.monotonic()
    if sys.stdin.buffer.read() == _ENDED:
        return
    error = MachineError(
        "The training ended at once, without a last checkpoint.",
        "Ray ends it with the node of this machine, whose GCS or raylet died; or somebody killed it",
        f"when apexmania cluster node status says up: apexmania train --resume {folder} --ray {cluster}",
    )
    record = RunRecord.open(RunFolder(Path(folder)))
    record.end(wall_s=time.monotonic() - began, reason=f"failed: {error.what}")
    sys.stderr.write(f"\n{error}\n")
