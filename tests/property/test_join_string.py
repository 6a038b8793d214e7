"""A join string says the same on both ends, or says that it is damaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from deploy.join_string import PREFIX, Invitation, decode_invitation, encode_invitation

TEXTS = st.text(min_size=1, max_size=60)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)


@st.composite
def invitations(draw: st.DrawFn) -> Invitation:
    authority = draw(st.none() | st.binary(min_size=1, max_size=600))
    return Invitation(
        host=draw(TEXTS),
        port=draw(st.integers(1, 65_535)),
        name=draw(NAMES),
        password=draw(TEXTS),
        tls=authority is not None,
        authority=authority,
        identity=draw(st.none() | TEXTS),
        certified_host=draw(st.none() | TEXTS),
    )


INVITATION = Invitation("192.168.1.5", 6390, "gaming-pc", "ab" * 32, authority=bytes(range(200)))
LINE = encode_invitation(INVITATION)


@given(invitations())
def test_it_says_what_went_in(invitation: Invitation) -> None:
    line = encode_invitation(invitation)
    assert line.isascii()
    assert len(line.split()) == 1
    assert decode_invitation(line) == invitation


@given(st.lists(st.integers(0, len(LINE)), max_size=8), st.sampled_from(["\n", "\r\n", " ", "\t"]))
def test_line_breaks_and_blanks_of_a_terminal_do_no_harm(places: list[int], blank: str) -> None:
    pasted = LINE
    for place in sorted(places, reverse=True):
        pasted = pasted[:place] + blank + pasted[place:]
    assert decode_invitation(f"  '{pasted}'\n") == INVITATION


@given(st.integers(1, len(LINE) - 1))
def test_a_cut_line_is_refused(kept: int) -> None:
    with pytest.raises(ConfigError):
        decode_invitation(LINE[:kept])


@given(st.integers(0, len(LINE) - 1), st.characters(codec="ascii", exclude_categories=["Z", "C"]))
def test_a_changed_character_is_refused(place: int, character: str) -> None:
    changed = LINE[:place] + character + LINE[place + 1 :]
    try:
        assert decode_invitation(changed) == INVITATION
    except ConfigError:
        return
    # The unused bits of the last character of base64, or a quote that is stripped.
    assert changed == LINE or place in {0, len(LINE) - 1}


@given(st.text(max_size=300))
def test_any_other_text_is_refused(text: str) -> None:
    for line in (text, f"{PREFIX}1.{text}"):
        with pytest.raises(ConfigError):
            decode_invitation(line)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("redis://:pw@host:6390/0", "no join string"),
        (LINE.replace("join-1.", "join-2."), "version '2'"),
        (LINE[:40], "damaged"),
        (LINE.partition(".")[0], "damaged"),
        (LINE + "A" * 40_000, "damaged"),
    ],
)
def test_the_error_says_what_is_wrong(line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        decode_invitation(line)
