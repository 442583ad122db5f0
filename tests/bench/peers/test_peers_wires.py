"""What each peer's protocol says is taken as it is meant, however the bytes are cut."""

import struct

import pytest

from bench.peers.amqp_wire import AmqpWire
from bench.peers.etcd_wire import EtcdWire, put_request, transaction
from bench.peers.nats_wire import NatsWire
from bench.peers.wire import PublishError, Wire


def _taken(wire: Wire, answers: bytes, pieces: int) -> list[int]:
    """Give what a wire takes from answers that arrive in pieces of some bytes."""
    numbers: list[int] = []
    for at in range(0, len(answers), pieces):
        numbers += wire.acknowledged(answers[at : at + pieces])
    return numbers


def _nats_ack(number: int, text: bytes, space: bytes = b" ") -> bytes:
    return b"MSG _INBOX.b3.%d 1%b%d\r\n%b\r\n" % (number, space, len(text), text)


def _amqp_frame(kind: int, channel: int, body: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(body)) + body + b"\xce"


def _confirm(tag: int, *, multiple: bool = False, method: int = 80) -> bytes:
    return _amqp_frame(1, 1, struct.pack(">HHQ?", 60, method, tag, multiple))


def _h2_frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">BHBBI", 0, len(body), kind, flags, stream) + body


def _answered(stream: int) -> bytes:
    """Give the frames of a call that succeeded: headers, a message, trailers."""
    message = _h2_frame(0, 0, stream, b"\0\0\0\0\1x")
    return _h2_frame(1, 4, stream, b"\x88") + message + _h2_frame(1, 5, stream, b"\x40")


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_nats_acknowledgements(pieces: int) -> None:
    """Each stored message is counted once, and a ping between them is answered."""
    wire = NatsWire("events.changed", "b3")
    assert wire.publish(5, b"abc") == b"PUB events.changed _INBOX.b3.5 3\r\nabc\r\n"
    stored = b'{"stream":"EVENTS","seq":9}'
    answers = (
        b'INFO {"id":"a"}\r\n'
        + _nats_ack(4, stored)
        + b"PING\r\n"
        + _nats_ack(6, stored)
        + b"PING\r\n"
    )
    assert _taken(wire, answers, pieces) == [4, 6]
    assert bytes(wire.replies).count(b"PONG\r\n") == 2


def test_nats_batches() -> None:
    """Each message of a batch says its place; the last alone commits it and is answered."""
    sent = NatsWire("events.changed", "b3", 2).publish(5, b"abc")
    head = b"NATS/1.0\r\nNats-Batch-Id: _INBOX.b3.5\r\nNats-Batch-Sequence: "
    first, last = head + b"1\r\n\r\n", head + b"2\r\nNats-Batch-Commit: 1\r\n\r\n"
    assert sent == (
        b"HPUB events.changed %d %d\r\n%babc\r\n" % (len(first), len(first) + 3, first)
        + b"HPUB events.changed _INBOX.b3.5 %d %d\r\n%babc\r\n" % (len(last), len(last) + 3, last)
    )


@pytest.mark.parametrize(
    "text", [b'{"error":{"code":503,"description":"no quorum"},"seq":0}', b"{}", b""]
)
def test_nats_refusals(text: bytes) -> None:
    """What is no acknowledgement of the stream ends the measurement."""
    with pytest.raises(PublishError):
        list(NatsWire("events.changed", "b3").acknowledged(_nats_ack(1, text)))


@pytest.mark.parametrize("before", [b"-ERR 'Stale Connection'\r\n", b"Stale\r\n"])
def test_nats_faults(before: bytes) -> None:
    """What is neither an acknowledgement nor a ping is not passed over."""
    with pytest.raises(PublishError, match="Stale"):
        list(NatsWire("a", "b3").acknowledged(before + _nats_ack(1, b'{"seq":1}')))


@pytest.mark.parametrize("pieces", [1, 13, 1000])
def test_amqp_confirms(pieces: int) -> None:
    """A confirm counts for its message alone or for all before it, each once."""
    wire = AmqpWire("events")
    for number in range(6):
        wire.publish(number, b"x")
    heartbeat = _amqp_frame(8, 0, b"")
    answers = _confirm(2) + heartbeat + _confirm(4, multiple=True) + _confirm(6, multiple=True)
    assert _taken(wire, answers, pieces) == [1, 0, 2, 3, 4, 5]


def test_amqp_frames() -> None:
    """A message is a method, a header that says persistent, and a body, on channel 1."""
    sent = AmqpWire("events").publish(0, b"payload")
    assert sent.count(b"\xce") == 3
    assert sent.endswith(_amqp_frame(3, 1, b"payload"))
    assert struct.pack(">HHQHB", 60, 0, 7, 0x1000, 2) in sent


@pytest.mark.parametrize("frame", [_confirm(1, method=120), _amqp_frame(1, 1, b"\0\x14\0\x28")])
def test_amqp_refusals(frame: bytes) -> None:
    """A message that the broker gives up, and a closed channel, end the measurement."""
    wire = AmqpWire("events")
    wire.publish(0, b"x")
    with pytest.raises(PublishError):
        list(wire.acknowledged(frame))


@pytest.mark.parametrize("pieces", [1, 11, 1000])
def test_etcd_answers(pieces: int) -> None:
    """A call with a message counts at its end, in whatever order calls end."""
    wire = EtcdWire("000001/")
    for number in range(3):
        wire.publish(number, b"x")
    assert _taken(wire, _answered(5) + _answered(1), pieces) == [2, 0]


@pytest.mark.parametrize("frame", [_h2_frame(1, 5, 1, b"\x88"), _h2_frame(7, 0, 0, bytes(8))])
def test_etcd_refusals(frame: bytes) -> None:
    """A call that ends without a message, and a connection that goes away, end the measurement."""
    with pytest.raises(PublishError):
        list(EtcdWire("000001/").acknowledged(frame))


def test_etcd_flow_control() -> None:
    """Nothing is sent beyond the window; what etcd asks of the connection is answered."""
    wire = EtcdWire("000001/")
    sent = 0
    while wire.may_publish() and sent < 1000:
        wire.publish(sent, bytes(500))
        sent += 1
    assert 100 <= sent <= 65_535 // 500
    update = _h2_frame(8, 0, 0, struct.pack(">I", 10_000))
    assert not list(wire.acknowledged(update + _h2_frame(4, 0, 0, b"") + _h2_frame(6, 0, 0, b"p")))
    assert wire.may_publish()
    assert bytes(wire.replies) == _h2_frame(4, 1, 0, b"") + _h2_frame(6, 1, 0, b"p")


def test_etcd_requests() -> None:
    """Keys and values stand as Protocol Buffers say, one by one or many in a transaction."""
    put = put_request(b"key", bytes(300))
    assert put == b"\x0a\x03key" + b"\x12\xac\x02" + bytes(300)
    inner = b"\x12\xb4\x02" + put
    assert transaction([put, put]) == 2 * (b"\x12\xb7\x02" + inner)
    data = EtcdWire("p/", 3).publish(2, bytes(10))
    assert all(b"p/%012d" % number in data for number in (6, 7, 8))


def test_etcd_long_requests_are_cut() -> None:
    """A transaction longer than a frame goes out in several, the last of which ends the call."""
    data = EtcdWire("p/", 100).publish(0, bytes(500))
    kinds, at = [], 0
    while at < len(data):
        high, low, kind, flags, stream = struct.unpack_from(">BHBBI", data, at)
        kinds.append((kind, flags))
        assert stream == 1
        length = high << 16 | low
        assert length <= 16_384
        at += 9 + length
    assert kinds == [(1, 4), (0, 0), (0, 0), (0, 0), (0, 1)]
