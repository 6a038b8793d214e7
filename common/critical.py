"""The three critical settings: what separated the proven run from the one that collapsed."""

from common.config import Config

CRITICAL_KEYS: tuple[str, ...] = (
    "learner.target.rule",
    "learner.target.period_learner_steps",
    "learner.learning_rate.initial",
    "learner.learning_rate.schedule",
    "exploration.counted_in",
    "exploration.epsilon_start",
    "exploration.epsilon_end",
    "exploration.epsilon_decay_to",
    "exploration.epsilon_cutoff",
)
"""Keys of the three settings that separated the proven run from the one that collapsed."""


def value_at(config: Config, key: str) -> object:
    """Returns the value behind a dotted key such as ``learner.target.rule``."""
    value: object = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def critical_changes(config: Config) -> list[tuple[str, object, object]]:
    """Lists the critical keys that differ from the proven run, as (key, proven, chosen)."""
    proven = Config()
    return [
        (key, value_at(proven, key), value_at(config, key))
        for key in CRITICAL_KEYS
        if value_at(proven, key) != value_at(config, key)
    ]
