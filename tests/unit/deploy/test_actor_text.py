from actors.trackmania.game_trouble import TROUBLES
from deploy.actor_text import DRIVING, WAITING, actor_state, game_counts, game_lines

HEART = {"fps": 20.0, "game_state": "driving", "faults": 0, "env_restarts": 0, "late_steps": 0}


def test_an_actor_that_drives_without_a_fault_is_told_in_a_line() -> None:
    assert actor_state(HEART) == DRIVING
    assert game_counts(HEART) == ""
    assert list(game_lines(HEART)) == ["0 faults, 0 env restarts, 0 late steps"]


def test_an_actor_waits_only_where_it_makes_no_step() -> None:
    assert actor_state(HEART | {"waiting": True}) == DRIVING
    assert actor_state(HEART | {"waiting": True, "fps": 0.0}) == WAITING
    assert actor_state({"fps": 3.0}) == DRIVING


def test_a_game_in_trouble_is_told_with_meaning_and_fix() -> None:
    causes = {"telemetry_closed": 2, "child_died": 1}
    heart = HEART | {
        "game_state": "telemetry_closed",
        "faults": 3,
        "fault_causes": causes,
        "env_restarts": 1,
        "late_steps": 1200,
    }
    assert actor_state(heart) == "telemetry_closed"
    assert game_counts(heart) == "3 faults, 1 env restart, 1,200 late steps"
    trouble = TROUBLES["telemetry_closed"]
    assert list(game_lines(heart)) == [
        "3 faults (child_died 1, telemetry_closed 2), 1 env restart, 1,200 late steps",
        trouble.meaning,
        f"fix: {trouble.fix}",
        f"see: {trouble.anchor}",
    ]


def test_a_game_that_starts_is_no_trouble() -> None:
    heart = HEART | {"game_state": "starting"}
    assert actor_state(heart) == "starting"
    assert len(list(game_lines(heart))) == 1
