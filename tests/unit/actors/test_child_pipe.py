"""Messages on a pipe: whole ones or none."""

import io
import struct

from actors.trackmania.child_pipe import MAX_BYTES, PipeWriter, receive


def written(*messages: dict[str, object]) -> bytes:
    stream = io.BytesIO()
    writer = PipeWriter(stream)
    for message in messages:
        writer.send(message)
    return stream.getvalue()


def test_messages_come_as_they_went() -> None:
    sent = [{"kind": "step", "controls": [1.0, 0.0, -0.3]}, {"kind": "beat"}]
    stream = io.BytesIO(written(*sent))
    assert [receive(stream), receive(stream), receive(stream)] == [*sent, None]


def test_a_stream_that_breaks_off_or_makes_no_sense_ends() -> None:
    whole = written({"kind": "beat"})
    for cut in range(len(whole)):
        assert receive(io.BytesIO(whole[:cut])) is None
    assert receive(io.BytesIO(struct.pack("<I", MAX_BYTES + 1) + b"x" * 8)) is None
    assert receive(io.BytesIO(struct.pack("<I", 3) + b"\xc1\xc1\xc1")) is None
    assert receive(io.BytesIO(written({"no": "kind"}))) is None
