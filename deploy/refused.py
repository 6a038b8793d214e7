"""What the replay service did not take of its actors, in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


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
            yield "", f"fix: apexmania token revoke {name}, then another name for that machine"
