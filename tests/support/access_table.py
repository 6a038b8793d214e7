"""The access rules as the table that docs/security.md shows."""

from replay_server.access import EVERY_RUN, ROLES, Rules, actor_rules, role_rules

HEAD = "| user | commands | keys |\n|---|---|---|"
PREFIX = "am:{*}:"
EVERYBODYS = ("-@all", "+auth", "+hello", "+ping", "+select", "+client|setname")
"""What one needs to connect at all; said once beside the table."""
KINDS = {"~": "writes", "%": "reads", "&": "channel"}


def access_table() -> str:
    """Returns a row for each group of commands that a user has on the same keys."""
    rows = [HEAD]
    for role in ROLES:
        rows += _rows(role, role_rules(role, EVERY_RUN))
    rows += _rows("actor:NAME", actor_rules("NAME", EVERY_RUN))
    return "\n".join(rows)


def _rows(user: str, rules: Rules) -> list[str]:
    own = [rule for rule in rules if not rule.startswith("(")]
    groups = [own, *(rule.strip("()").split() for rule in rules if rule.startswith("("))]
    return [_row(user, group) for group in groups]


def _row(user: str, group: list[str]) -> str:
    granted = [rule for rule in group if rule[0] in "+-" and rule not in EVERYBODYS]
    commands = " ".join(f"`{rule.removeprefix('+').replace('|', ' ')}`" for rule in granted)
    keys = [f"{kind} {' '.join(_names(group, mark))}" for mark, kind in KINDS.items()]
    shown = "; ".join(text for text in keys if "`" in text)
    return f"| `{user}` | {commands} | {shown} |"


def _names(group: list[str], mark: str) -> list[str]:
    patterns = [rule.removeprefix("%R~").lstrip("~&") for rule in group if rule.startswith(mark)]
    return [f"`{pattern.removeprefix(PREFIX)}`" for pattern in patterns]
