"""What a healthy run is expected to look like, and whom to tell when one does not."""

from pydantic import Field

from common.config_section import PositiveFloat, Section

Line = tuple[float, float, float, float]


class HealthConfig(Section):
    """Expectations of the health checks; those in rewards hold for the proven run's track."""

    phase_scale: PositiveFloat = 1.0
    """Length of the phases (500, 1,500, 2,500 episodes) against the proven run's (1); short presets set it."""
    q_expected: Line | None = (0.0, 20.0, 40.0, 50.0)
    """Mean Q at the start and at the end of each phase, on this track's reward scale; null expects none."""
    loss_expected: Line | None = (6.0, 3.0, 1.5, 1.0)
    """Loss at the start and at the end of each phase; null expects none."""
    reward_expected: Line | None = (0.0, 50.0, 100.0, 150.0)
    """Mean episode reward at the start and at the end of each phase; null expects none."""
    q_floor: float = Field(default=-10.0, allow_inf_nan=False)
    """Mean Q below this is a red flag (reward)."""
    loss_ceiling: PositiveFloat = 10.0
    """Loss above this after the first phase is a red flag (reward)."""


class AlertsConfig(Section):
    """Who is told when a check turns red or heals; a webhook's address is APEXMANIA_ALERT_WEBHOOK."""

    command: str = ""
    """Program with arguments that gets each alert as JSON on its standard input; kept in the run folder."""
    timeout_s: PositiveFloat = 10.0
    """Longest time that the command or the webhook may take for one alert (s)."""
