from typing import Any

from common.metrics.fleet import FLEET
from deploy.health.fleet_row import REMEMBERED_S, STARTING_S, STILL_S, FleetBook


def _actor(env_steps: int, **changes: Any) -> dict[str, Any]:
    heart = {
        "fps": 20.0, "epoch": 1, "env_steps": env_steps, "late_steps": 0, "staleness": 7,
        "spooled_bytes": 100, "dropped_transitions": 0, "weights_corrupt": 0, "weights_refused": 0,
        "faults": 0, "waiting": False,
    }  # fmt: skip
    return heart | changes


def _row(book: FleetBook, now_s: float, **hearts: dict[str, Any]) -> dict[str, Any]:
    named = {name.replace("_", "-"): heart for name, heart in hearts.items()}
    return book.row(named, now_s=now_s, time=now_s, env_steps=5, episodes=1)


def test_a_heartbeat_that_ends_is_missed_until_it_returns_or_is_forgotten() -> None:
    book = FleetBook()
    learner = {"learner_steps": 0}
    assert _row(book, 0.0, actor_0=_actor(0), actor_1=_actor(0), learner=learner)["actors"] == 2
    lost = _row(book, 10.0, actor_0=_actor(9))
    assert (lost["actors_lost"], lost["members_lost"]) == (["actor-1"], ["learner"])
    back = _row(book, 20.0, actor_0=_actor(99), actor_1=_actor(4), learner=learner)
    assert (back["actors_lost"], back["members_lost"]) == ([], [])
    _row(book, 30.0, actor_0=_actor(999))
    assert _row(book, 30.0 + REMEMBERED_S, actor_0=_actor(9999))["actors_lost"] == []


def test_an_actor_that_said_it_leaves_is_not_missed_and_may_come_back() -> None:
    book = FleetBook()
    _row(book, 0.0, actor_0=_actor(0), actor_1=_actor(0))
    row = _row(book, 1.0, actor_0=_actor(1), actor_1=_actor(9, leaving=True))
    assert (row["actors"], row["actors_lost"]) == (1, [])
    assert _row(book, 20.0, actor_0=_actor(2))["actors_lost"] == []
    assert _row(book, 30.0, actor_0=_actor(3), actor_1=_actor(0))["actors"] == 2
    assert _row(book, 45.0, actor_0=_actor(4))["actors_lost"] == ["actor-1"]


def test_an_actor_stands_still_when_it_makes_no_step_and_does_not_wait() -> None:
    book = FleetBook()
    _row(book, 0.0, actor_0=_actor(5))
    assert _row(book, STILL_S - 1, actor_0=_actor(5))["actors_still"] == []
    assert _row(book, STILL_S, actor_0=_actor(5))["actors_still"] == ["actor-0"]
    assert _row(book, STILL_S + 1, actor_0=_actor(5, waiting=True))["actors_still"] == []
    assert _row(book, STILL_S + 2, actor_0=_actor(5))["actors_still"] == []
    assert _row(book, 3 * STILL_S, actor_0=_actor(6))["actors_still"] == []


def test_a_game_that_starts_may_take_longer_but_not_for_ever() -> None:
    book = FleetBook()
    _row(book, 0.0, actor_0=_actor(0, game_state="starting"))
    assert _row(book, STILL_S, actor_0=_actor(0, game_state="starting"))["actors_still"] == []
    row = _row(book, STARTING_S, actor_0=_actor(0, game_state="starting"))
    assert row["actors_still"] == ["actor-0"]


def test_after_a_pause_everybody_is_seen_again_first() -> None:
    book = FleetBook()
    _row(book, 0.0, actor_0=_actor(5), learner={"learner_steps": 3})
    book.pause(100.0)
    row = _row(book, 105.0, actor_0=_actor(5), learner={"learner_steps": 3})
    assert (row["actors_still"], row["learner_idle_s"]) == ([], 5.0)


def test_counts_are_what_is_new_also_of_an_actor_that_started_again() -> None:
    book = FleetBook()
    first = _row(book, 0.0, actor_0=_actor(500, late_steps=3), replay={"quarantined": 2})
    assert (first["driven_steps"], first["late_steps"], first["quarantined"]) == (0, 0, 0)
    second = _row(book, 1.0, actor_0=_actor(700, late_steps=5), replay={"quarantined": 5})
    assert (second["driven_steps"], second["late_steps"], second["quarantined"]) == (200, 2, 3)
    anew = _row(book, 2.0, actor_0=_actor(40, epoch=2), replay={})
    assert (anew["driven_steps"], anew["late_steps"], anew["quarantined"]) == (40, 0, 0)


def test_a_learner_idles_once_it_has_learned() -> None:
    book = FleetBook()
    _row(book, 0.0, learner={"learner_steps": 0})
    assert _row(book, 50.0, learner={"learner_steps": 0})["learner_idle_s"] == 0.0
    _row(book, 60.0, learner={"learner_steps": 9})
    assert _row(book, 90.0, learner={"learner_steps": 9})["learner_idle_s"] == 30.0


def test_the_row_holds_what_the_table_of_figures_says() -> None:
    row = _row(FleetBook(), 0.0, replay={"priority_effective_share": 0.5}, actor_0=_actor(1))
    assert set(row) == FLEET.names
    assert set(_row(FleetBook(), 0.0)) == FLEET.names - FLEET.sometimes
