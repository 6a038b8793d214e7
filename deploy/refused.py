"""What the replay service did not take of its actors, in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from deploy.roster import RAY_ACTOR


@dataclass(frozen=True, slots=True)
class Refused:
    """What the replay service did not take.

    Attributes:
        by_kind: entries that it refused, of all actors.
        banned: actors that it shut out, with the reason.
    """

    by_kind: Mapping[str, int] = field(default_factory=dict)
    banned: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yields a heading and a text for each thing that a person should know; none where all is well."""
        if self.by_kind:
            counts = (f"{kind} {count:,}" for kind, count in sorted(self.by_kind.items()))
            yield "refused", f"entries of actors: {', '.join(counts)}"
        for name, reason in sorted(self.banned.items()):
            yield "shut out", f"{name}: {reason}"
            yield "", f"fix: {pardon_command(name)} if it was honest{_else(name)}"


def pardon_command(name: str) -> str:
    """Returns the command that lets an actor in again."""
    return f"apexmania token pardon {name}"


def _else(name: str) -> str:
    """Returns what else can be done about an actor: those that Ray drives have no token."""
    if RAY_ACTOR.fullmatch(name):
        return "; else take its machine out of the cluster"
    return f", else: apexmania token revoke {name}"
