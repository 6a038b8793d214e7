"""Whether the configured network can choose an action within what a step leaves for it."""

import time

import numpy as np
import torch

from actors.game_contract import Observation
from actors.policy import Policy
from common.config import Config
from common.game_spec import GameSpec, action_history_features
from common.network import network_for
from deploy.doctor.finding import Finding, troubled

_CAR_FEATURES = 3
_ROUNDS = 3
_ROUND_S = 1.0
_ACTS = 100


def check_policy(config: Config) -> Finding:
    """Times ``Policy.act`` on one thread against ``step_s - capture_s``.

    The best of three rounds counts: what disturbs one of them is not the network.
    """
    trackmania = config.game.trackmania
    budget_ms = (trackmania.step_s - trackmania.capture_s) * 1000.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        policy, observation = _policy(config)
        rounds = [_act_ms(policy, observation) for _ in range(_ROUNDS)]
    finally:
        torch.set_num_threads(threads)
    p50_ms, p95_ms = min(rounds, key=lambda pair: pair[1])
    figures = {"policy_p50_ms": round(p50_ms, 2), "policy_p95_ms": round(p95_ms, 2)}
    found = f"p50 {p50_ms:.1f} ms, p95 {p95_ms:.1f} ms of {budget_ms:.0f} ms"
    if p95_ms > budget_ms:
        return troubled("policy", "policy_slow", f"{found}.", figures=figures)
    return Finding("policy", "ok", found, figures=figures)


def _policy(config: Config) -> tuple[Policy, Observation]:
    """Returns a policy of the configured network, and an observation to ask it about."""
    game = config.game
    n_past = action_history_features(game, len(game.actions))
    image_shape = (game.history, game.image_size, game.image_size)
    spec = GameSpec(
        history=game.history,
        frame_height=game.image_size,
        frame_width=game.image_size,
        n_features=_CAR_FEATURES + n_past,
        n_actions=len(game.actions),
        feature_scale=game.feature_scale + (1.0,) * n_past,
    )
    rng = np.random.default_rng(0)
    policy = Policy(network_for(spec, config), spec, config.exploration, rng)
    policy.install(param_version=0)
    image = rng.integers(0, 256, image_shape, dtype=np.uint8)
    return policy, {"image": image, "features": np.zeros(spec.n_features, dtype=np.float32)}


def _act_ms(policy: Policy, observation: Observation) -> tuple[float, float]:
    """Returns p50 and p95 of choosing one action, ms; a slow network is asked less often."""
    took_ms: list[float] = []
    end = time.perf_counter() + _ROUND_S
    while len(took_ms) < _ACTS and (not took_ms or time.perf_counter() < end):
        began = time.perf_counter()
        policy.act(observation, 0.0)
        took_ms.append((time.perf_counter() - began) * 1000.0)
    p50, p95 = np.percentile(took_ms, (50, 95))
    return float(p50), float(p95)
