"""Writers' connections that break a rule of the log, to show what the rule is for."""

from collections.abc import Sequence
from typing import Any, ClassVar

from common.keys import Keys
from common.wire import EncodedSegment
from replay_server.index import EntryId, parse_entry_id
from replay_server.log_link import LogLink


class TrustingLink(LogLink):
    """Breaks a rule: it takes what was confirmed for stored, so that nothing is sent again."""

    confirmed: ClassVar[EntryId] = (0, 0)

    def last_entry(self) -> EntryId:
        return max(super().last_entry(), type(self).confirmed)

    def append(self, segments: Sequence[EncodedSegment]) -> bool:
        taken = super().append(segments)
        if taken:
            type(self).confirmed = parse_entry_id(segments[-1].entry_id.encode())
        return taken


class StarConnection:
    """A connection of redis-py that writes ``XADD *`` where an explicit id stands."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def pack_commands(self, commands: list[tuple[Any, ...]]) -> Any:
        starred = [
            (name, rest[0], "*", *rest[2:]) if name == "XADD" else (name, *rest)
            for name, *rest in commands
        ]
        return self._inner.pack_commands(starred)


class StarLink(TrustingLink):
    """Breaks the other rule: Redis numbers the entries, so it cannot refuse one that it has."""

    def __init__(self, url: str, keys: Keys, actor: str) -> None:
        super().__init__(url, keys, actor)
        self._connection = StarConnection(self._connection)

    def last_entry(self) -> EntryId:
        return type(self).confirmed


LINKS: dict[str, type[LogLink]] = {
    "sound": LogLink,
    "no-resend": TrustingLink,
    "star-ids": StarLink,
}
