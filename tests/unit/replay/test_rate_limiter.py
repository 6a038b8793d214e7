import pytest

from common.config import LearnerConfig, ReplayConfig
from common.errors import ConfigError
from replay_server.rate_limiter import RateLimiter, make_limiter


def limiter(**changes: float) -> RateLimiter:
    settings = {
        "samples_per_insert": 4.0,
        "min_size_to_sample": 10,
        "error_buffer": 8.0,
        "capacity": 100,
        **changes,
    }
    return RateLimiter(**settings)  # type: ignore[arg-type]


def test_nothing_is_sampled_before_the_smallest_size() -> None:
    assert not limiter().may_sample(inserted=9, sampled=0, count=1)
    assert limiter().may_sample(inserted=10, sampled=0, count=1)
    assert limiter().may_insert(inserted=9, sampled=0)


def test_the_band_by_hand() -> None:
    # offset 40, band [32, 48]: at 20 inserts, 80 - sampled lies within.
    assert limiter().may_sample(inserted=20, sampled=40, count=8)
    assert not limiter().may_sample(inserted=20, sampled=41, count=8)
    assert limiter().may_insert(inserted=20, sampled=32)
    assert not limiter().may_insert(inserted=20, sampled=31)


@pytest.mark.parametrize("changes", [{"error_buffer": 3.0}, {"min_size_to_sample": 101}])
def test_a_setting_that_would_deadlock_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="would deadlock"):
        limiter(**changes)


@pytest.mark.parametrize("count", [1, 8, 16, 17, 500])
@pytest.mark.parametrize("chunk", [1, 7, 59])
def test_it_never_deadlocks_and_holds_the_ratio(count: int, chunk: int) -> None:
    limit = limiter()
    inserted, sampled = 0, 0
    for _ in range(3000):
        may_insert = limit.may_insert(inserted=inserted, sampled=sampled)
        may_sample = limit.may_sample(inserted=inserted, sampled=sampled, count=count)
        assert may_insert or may_sample
        if may_sample:
            sampled += count
        else:
            inserted += chunk
    slack = 48 + 4 * chunk + count
    assert abs(inserted * 4 - sampled) <= slack


@pytest.mark.parametrize("ratio", [0.25, 1.0, 32.0, 256.0])
def test_every_configured_limiter_is_accepted(ratio: float) -> None:
    limit = make_limiter(ReplayConfig(samples_per_insert=ratio), LearnerConfig())
    assert limit.min_size_to_sample == 32
    assert (
        make_limiter(ReplayConfig(), LearnerConfig(replay_start_size=5000)).min_size_to_sample
        == 5000
    )
