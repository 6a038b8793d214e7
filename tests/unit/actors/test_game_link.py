"""A game that fails ends an episode, not the actor; one that always fails ends the actor."""

import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from actors.game_contract import Game, GameFaultError, GameNotReadyError
from actors.game_link import GameLink
from actors.games import make_game
from common.errors import ConfigError, MachineError
from common.game_config import GameConfig
from tests.support.tiny_games import Corridor


def link(make: object, **how: object) -> GameLink:
    return GameLink(make, stop=threading.Event(), first_pause_s=0.001, **how)  # type: ignore[arg-type]


def test_a_fault_is_told_and_the_next_reset_has_a_new_game() -> None:
    built: list[Game] = []

    def make() -> Game:
        built.append(Corridor(fault_at=2 if not built else 0))
        return built[-1]

    game = link(make)
    assert game.reset() is not None
    game.step(1)
    with pytest.raises(GameFaultError) as caught:
        game.step(1)
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    assert game.reset() is not None
    game.step(1)
    assert (len(built), game.faults) == (2, 1)


def test_a_game_that_does_not_come_up_is_tried_again() -> None:
    attempts = iter([OSError("no window"), OSError("no window"), None])

    def make() -> Game:
        problem = next(attempts)
        if problem is not None:
            raise problem
        return Corridor()

    game = link(make)
    assert game.reset() is not None
    assert game.faults == 2


def test_too_many_faults_in_a_row_give_up() -> None:
    def make() -> Game:
        raise OSError("no window")

    with pytest.raises(MachineError, match="failed 3 times") as caught:
        link(make, max_faults=3).reset()
    assert "OSError: no window" in caught.value.why


def test_a_whole_episode_forgives() -> None:
    plans = iter([1, 0, 1, 0])
    game = link(lambda: Corridor(length=2, fault_at=next(plans)), max_faults=2)
    for _ in range(2):
        assert game.reset() is not None
        with pytest.raises(GameFaultError):
            game.step(1)
        assert game.reset() is not None
        game.step(1)
        assert game.step(1)[2] is True
        game.close()
    assert game.faults == 2


def test_a_broken_contract_is_no_fault() -> None:
    name = "tests.support.tiny_games:pays_nan"
    game = link(lambda: make_game(GameConfig(name=name), training=True, seed=0))
    game.reset()
    with pytest.raises(ConfigError):
        game.step(1)
    assert game.faults == 0


def test_stopping_ends_the_wait() -> None:
    def make() -> Game:
        raise OSError("no window")

    stop = threading.Event()
    game = GameLink(make, stop=stop, first_pause_s=60.0)
    threading.Timer(0.1, stop.set).start()
    assert game.reset() is None


class MendsItself(Corridor):
    """A corridor that loses its window in the middle and takes a while to have it again."""

    def __init__(self, waits: list[str], *, fault_at: int) -> None:
        super().__init__()
        self.restarts = 0
        self._waits = waits
        self._breaks_at = fault_at

    def reset(self, **how: Any) -> Any:
        if self._waits:
            raise GameNotReadyError(self._waits.pop())
        return super().reset(**how)

    def step(self, action: int) -> Any:
        if self.steps + 1 == self._breaks_at:
            self._breaks_at = 0
            self.restarts += 1
            self._waits = ["window_missing"] * 3
            raise GameFaultError("window_missing", "no window for 0.5 s")
        return super().step(action)


def test_a_game_that_mends_itself_is_kept_and_never_given_up() -> None:
    built: list[Game] = []

    def make() -> Game:
        built.append(MendsItself(["starting"] * 3, fault_at=2))
        return built[-1]

    game = link(make, max_faults=1)
    with capture_logs() as logs:
        assert game.reset() is not None
        assert game.state == "driving"
        game.step(1)
        with pytest.raises(GameFaultError) as caught:
            game.step(1)
        assert caught.value.cause == "window_missing"
        assert game.state == "window_missing"
        assert game.reset() is not None
    assert (len(built), game.faults, dict(game.fault_causes)) == (1, 1, {"window_missing": 1})
    assert (game.state, game.env_restarts) == ("driving", 1)
    assert [line["event"] for line in logs] == ["game_fault"]


def test_stopping_ends_the_wait_for_a_game_that_mends_itself() -> None:
    class NeverReady(Corridor):
        restarts = 0

        def reset(self, **_: Any) -> Any:
            raise GameNotReadyError("telemetry_refused")

    stop = threading.Event()
    game = GameLink(NeverReady, stop=stop)
    threading.Timer(0.3, stop.set).start()
    with capture_logs() as logs:
        assert game.reset() is None
    assert (game.faults, game.state) == (0, "telemetry_refused")
    assert [line["event"] for line in logs] == ["game_not_ready"]
