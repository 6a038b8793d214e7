"""The table of all rules, in the order in which people read them."""

from deploy.health.fleet_rules import FLEET_RULES, REPLAY_RULES
from deploy.health.learning_rules import LEARNING_RULES
from deploy.health.rule import Rule

RULES: tuple[Rule, ...] = (*LEARNING_RULES, *REPLAY_RULES, *FLEET_RULES)
