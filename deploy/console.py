"""Shows a run on the terminal: a live table, or one plain line a minute where there is no terminal."""

import time
from typing import Any, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.actor_text import DRIVING, actor_state, game_counts
from deploy.run_progress import RunProgress

_PLAIN_EVERY_S = 60.0
_PLAIN_FIRST_AFTER_S = 10.0
_MISSING = "-"
_NOT_JUDGED = "starting"
_HEALTH_STYLES = (("red:", "bold red"), ("watch:", "bold yellow"))


class RunConsole(Protocol):
    """What the launcher tells the person in front of it."""

    def __enter__(self) -> Self:
        """Starts showing."""

    def __exit__(self, *_: object) -> None:
        """Stops showing; the last state stays visible."""

    def show(self, progress: RunProgress, *, elapsed_s: float, left: str) -> None:
        """Shows the state of the run."""

    def say(self, text: str) -> None:
        """Prints a line that stays."""


def open_console(*, title: str) -> RunConsole:
    """Returns the console that fits where standard error leads."""
    console = Console(stderr=True)
    return LiveConsole(console, title=title) if console.is_terminal else PlainConsole(console)


class PlainConsole:
    """One line a minute, the first one soon after the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._due: float | None = None

    def __enter__(self) -> Self:
        """Starts showing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stops showing."""

    def show(self, progress: RunProgress, *, elapsed_s: float, left: str) -> None:
        """Prints the line when a minute is over."""
        now = time.monotonic()
        if self._due is None:
            self._due = now + _PLAIN_FIRST_AFTER_S
        if now < self._due:
            return
        self._due = now + _PLAIN_EVERY_S
        self.say(plain_line(progress, elapsed_s=elapsed_s, left=left))

    def say(self, text: str) -> None:
        """Prints a line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveConsole:
    """A table that is drawn anew four times a second at most."""

    def __init__(self, console: Console, *, title: str) -> None:
        self._title = title
        self._live = Live(console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> Self:
        """Starts drawing."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops drawing; the last table stays."""
        self._live.stop()

    def show(self, progress: RunProgress, *, elapsed_s: float, left: str) -> None:
        """Draws the state of the run."""
        heading = f"{self._title}   {clock(elapsed_s)}   {left}"
        self._live.update(
            Panel(
                Group(_totals(progress), _health(progress), Text(), _actors(progress)),
                title=heading,
                title_align="left",
                border_style="cyan",
            )
        )

    def say(self, text: str) -> None:
        """Prints a line above the table."""
        self._live.console.print(text, markup=False, highlight=False)


def plain_line(progress: RunProgress, *, elapsed_s: float, left: str) -> str:
    """Returns the state of the run as one line."""
    metrics = progress.metrics
    parts = (
        clock(elapsed_s),
        f"env steps {progress.env_steps:,} ({_env_pace(progress)})",
        f"learner steps {progress.learner_steps:,} ({number(metrics.get('updates_per_s'), 0)}/s)",
        f"episodes {progress.episodes:,}",
        f"finishes {progress.finishes:,}",
        f"best lap {lap(progress.best_lap_ms)}",
        f"reward {number(progress.recent_return, 1)}",
        f"loss {number(metrics.get('loss'), 3)}",
        f"Q {number(metrics.get('q_mean'), 2)}",
        f"epsilon {number(metrics.get('epsilon'), 3)}",
        f"replay {_replay(progress)}",
        f"samples/insert {number(metrics.get('samples_per_insert'), 2)}",
        f"staleness {number(metrics.get('staleness_mean'), 0)}",
        f"evaluation {evaluation_text(progress.evaluation)}",
        f"health {progress.health or _NOT_JUDGED}",
        left,
    )
    return " | ".join(parts)


def _totals(progress: RunProgress) -> Table:
    metrics = progress.metrics
    table = Table.grid(padding=(0, 3), expand=True)
    for _ in range(4):
        table.add_column(justify="left", ratio=1)
    rows: tuple[tuple[tuple[str, str], ...], ...] = (
        (
            ("learner steps", f"{progress.learner_steps:,}"),
            ("env steps", f"{progress.env_steps:,}"),
            ("episodes", f"{progress.episodes:,}"),
            ("replay", _replay(progress)),
        ),
        (
            ("learner steps/s", number(metrics.get("updates_per_s"), 1)),
            ("env steps/s", number(_env_rate(progress), 0)),
            ("finishes", f"{progress.finishes:,}"),
            ("samples per insert", number(metrics.get("samples_per_insert"), 2)),
        ),
        (
            ("loss", number(metrics.get("loss"), 4)),
            ("epsilon", number(metrics.get("epsilon"), 4)),
            ("best lap", lap(progress.best_lap_ms)),
            ("staleness mean", number(metrics.get("staleness_mean"), 0)),
        ),
        (
            ("Q mean", number(metrics.get("q_mean"), 3)),
            ("Q max", number(metrics.get("q_max"), 3)),
            ("reward", number(progress.recent_return, 2)),
            ("evaluation", evaluation_text(progress.evaluation)),
        ),
    )
    for row in rows:
        table.add_row(*[Text.assemble((f"{name} ", "dim"), (value, "bold")) for name, value in row])
    return table


def _health(progress: RunProgress) -> Text:
    style = next((style for word, style in _HEALTH_STYLES if word in progress.health), "bold")
    return Text.assemble(("health ", "dim"), (progress.health or _NOT_JUDGED, style))


def _actors(progress: RunProgress) -> Table:
    table = Table(expand=True, box=None, header_style="dim")
    for name in (
        "actor",
        "env steps/s",
        "env steps",
        "episode",
        "last reward",
        "weights",
        "spooled",
        "state",
    ):
        table.add_column(name, justify="left" if name in {"actor", "state"} else "right")
    for name, heart in sorted(actor_hearts(progress).items()):
        # As Text: a table would obey markup in a plain string, and refuse what is no sound markup.
        state = Text(", ".join(filter(None, (actor_state(heart), game_counts(heart)))))
        table.add_row(
            Text(name),
            number(heart.get("fps"), 0),
            number(heart.get("env_steps"), 0),
            number(heart.get("episode"), 0),
            number(heart.get("last_return"), 1),
            number(heart.get("param_version"), 0),
            number(heart.get("spooled_segments"), 0),
            state,
        )
    return table


def actor_hearts(progress: RunProgress) -> dict[str, dict[str, Any]]:
    """Returns the heartbeats that come from actors."""
    return {name: heart for name, heart in progress.hearts.items() if "fps" in heart}


def _replay(progress: RunProgress) -> str:
    """Returns the size of the replay, or before the first row of metrics how far it has to fill.

    Until then nobody reports a size; the actors' env steps are what it holds, or soon will.
    """
    size, needed = progress.metrics.get("replay_size"), progress.first_sample_size
    if size is not None or not needed:
        return number(size, 0)
    hearts = actor_hearts(progress).values()
    driven = sum(int(heart.get("env_steps", 0)) for heart in hearts)
    return (
        "learning starts" if driven >= needed else f"{driven:,} of {needed:,} until learning starts"
    )


def _env_pace(progress: RunProgress) -> str:
    hearts = actor_hearts(progress).values()
    pace = f"{number(_env_rate(progress), 0)}/s"
    states = {actor_state(heart) for heart in hearts}
    return pace if DRIVING in states else ", ".join([pace, *sorted(states)])


def _env_rate(progress: RunProgress) -> float | None:
    hearts = actor_hearts(progress).values()
    return sum(float(heart.get("fps", 0.0)) for heart in hearts) if hearts else None


def number(value: object, digits: int) -> str:
    """Returns a number with thousands separators, or a dash where there is none."""
    return f"{value:,.{digits}f}" if isinstance(value, int | float) else _MISSING


def lap(time_ms: float | None) -> str:
    """Returns a lap time in seconds."""
    return _MISSING if time_ms is None else f"{time_ms / 1000:.2f} s"


def clock(seconds: float) -> str:
    """Returns a duration as h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"


def evaluation_text(row: dict[str, Any]) -> str:
    """Returns a greedy evaluation in a few words."""
    if not row:
        return _MISSING
    text = f"{row['finishes']}/{row['episodes']} finished"
    best = row.get("lap_best_ms")
    return text if best is None else f"{text}, best {lap(best)}"
