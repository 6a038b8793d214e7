"""Greedy laps through tmrl: an attempt that a fault broke is driven again and counted."""

import threading
from typing import Any

import numpy as np
import pytest

from actors.evaluation import Attempt, evaluate
from actors.game_link import GameLink
from actors.games import game_spec, make_game
from actors.policy import Policy, QValues
from actors.trackmania.env import TrackmaniaEnv
from actors.trackmania.game_host import OwnStandIn
from common.config import Config, NetworkConfig
from common.game_config import GameConfig, TrackmaniaConfig
from common.network import network_for

pytestmark = pytest.mark.display

GAME = GameConfig(name="standin", trackmania=TrackmaniaConfig(grace_steps=40))
BREAKS_AT_STEP = 20


class Saboteur:
    """Breaks the telemetry once, in the middle of the first attempt."""

    def __init__(self, link: GameLink) -> None:
        self._link = link
        self.attempts: list[Attempt] = []
        self.broke = False

    def look(self, attempt: Attempt, action: int, q_values: QValues) -> None:
        assert 0 <= action < len(q_values)
        if not self.attempts or attempt is not self.attempts[-1]:
            self.attempts.append(attempt)
        if not self.broke and len(attempt.actions) == BREAKS_AT_STEP:
            self.broke = True
            env: Any = self._link.open().unwrapped
            assert isinstance(env, TrackmaniaEnv)
            assert isinstance(env.host, OwnStandIn)
            env.host.rig.control.fault("drop")


def test_a_dropped_connection_costs_an_attempt_and_no_lap() -> None:
    config = Config(game=GAME, network=NetworkConfig(feature_hidden=16, hidden=16))
    link = GameLink(
        lambda: make_game(GAME, training=False, seed=None),
        stop=threading.Event(),
        patience_s=120.0,
    )
    try:
        spec = game_spec(link.open(), GAME)
        network = network_for(spec, config)
        policy = Policy(network, spec, config.exploration, np.random.default_rng(0))
        policy.install(param_version=3)
        saboteur = Saboteur(link)
        report = evaluate(policy, link, episodes=2, seed=0, spectator=saboteur)
    finally:
        link.close()
    assert saboteur.broke
    assert report is not None
    assert report.episodes == 2
    assert report.faults == {"telemetry_closed": 1}
    assert len(saboteur.attempts) == 3
    assert not saboteur.attempts[0].ended
    assert all(len(lap.actions) > BREAKS_AT_STEP for lap in report.laps)
    assert {lap.reason for lap in report.laps} <= {"stuck", "off_line", "time_limit", "finish"}
