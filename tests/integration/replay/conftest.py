"""What most tests of the replay begin with."""

from collections.abc import Iterator

import pytest

from common.keys import Keys
from tests.support.replay_rig import WriteLog, make_writer, write


@pytest.fixture
def write_log(redis_url: str, keys: Keys) -> Iterator[WriteLog]:
    """Writes segments with these tags as the actor a1, and returns when Redis has them all."""
    writer = make_writer(redis_url, keys)

    def written(tags: range) -> None:
        write(writer, tags)
        assert writer.flush(10)

    yield written
    writer.close()
