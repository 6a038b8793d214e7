"""All sources of figures, in the order in which people read them."""

from common.metrics.fleet import ACTOR, EVALUATOR, FLEET, LEARNER_HEART, REPLAY
from common.metrics.learning import EPISODES, EVALUATIONS, LEARNER
from common.metrics.metric import Source

SOURCES: tuple[Source, ...] = (
    LEARNER, EPISODES, EVALUATIONS, FLEET, ACTOR, LEARNER_HEART, REPLAY, EVALUATOR,
)  # fmt: skip
