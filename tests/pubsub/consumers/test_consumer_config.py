"""Configurations and stored rows: bounds of every value, and what is refused."""

import msgspec
import pytest

from ledger.core.codec import encode
from ledger.core.errors import DecodeError
from ledger.core.ids import Sequence
from ledger.core.limits import INT_MAX
from pubsub.core import limits
from pubsub.core.consumer.config import (
    AckPolicy,
    ConsumerConfig,
    Start,
    StartPolicy,
    check_config,
)
from pubsub.core.consumer.record import (
    decode_config,
    decode_letter,
    decode_state,
    encode_config,
    encode_letter,
    encode_state,
)
from pubsub.core.consumer.settlement import DeadLetter
from pubsub.core.consumer.state import ConsumerState
from pubsub.core.interest import read_interest

CONFIG = ConsumerConfig(name="c")
BOUNDS = [
    ("ack_wait_ms", limits.CONSUMER_ACK_WAIT_MS_MIN, limits.CONSUMER_ACK_WAIT_MS_MAX),
    ("max_in_flight", 1, limits.CONSUMER_IN_FLIGHT_MAX),
    ("max_deliveries", 1, limits.CONSUMER_DELIVERIES_MAX),
    ("inactive_ms", limits.CONSUMER_INACTIVE_MS_MIN, limits.CONSUMER_INACTIVE_MS_MAX),
]


def with_value(name: str, value: object) -> ConsumerConfig:
    """Give a configuration with one other value."""
    return msgspec.structs.replace(CONFIG, **{name: value})


@pytest.mark.parametrize(("name", "low", "high"), BOUNDS)
def test_bounds(name: str, low: int, high: int) -> None:
    """Values at the bounds are taken, those beyond are refused."""
    for value in (low, high):
        assert check_config(with_value(name, value)) == with_value(name, value)
    for value in (low - 1, high + 1):
        with pytest.raises(DecodeError, match=name):
            check_config(with_value(name, value))


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("backoff_ms", (100,) * 32, (100,) * 33),
        ("backoff_ms", (limits.CONSUMER_DELAY_MS_MAX,), (limits.CONSUMER_DELAY_MS_MAX + 1,)),
        ("backoff_ms", (100,), (99,)),
        ("backoff_ms", (100,), ()),
        ("metadata", (("a", "b"),) * 16, (("a", "b"),) * 17),
        ("metadata", (("a" * 256, "b" * 256),), (("a", "b" * 257),)),
        ("start", Start(StartPolicy.SEQUENCE, INT_MAX), Start(StartPolicy.SEQUENCE, INT_MAX + 1)),
        ("start", Start(StartPolicy.SEQUENCE, 0), Start(StartPolicy.SEQUENCE, -1)),
        ("name", "A_z-9.x", "a b"),
        ("name", "n" * 64, "n" * 65),
        ("name", "webhook/9f", "webhook/"),
        ("name", "x", ".x"),
        ("name", "x", "x\n"),
    ],
)
def test_bounds_of_lists_and_texts(name: str, good: object, bad: object) -> None:
    """So are numbers of steps and pairs, lengths of texts and forms of names."""
    check_config(with_value(name, good))
    with pytest.raises(DecodeError):
        check_config(with_value(name, bad))


def test_rows_come_back() -> None:
    """A configuration, a state and a dead letter are what they were, and small."""
    config = ConsumerConfig(
        name="c",
        interest=read_interest(b'{"topics":["a.>"],"filters":[{"not":{"exact":{"type":"x"}}}]}'),
        start=Start(StartPolicy.TIME, 7),
        ack_policy=AckPolicy.CUMULATIVE,
        max_deliveries=3,
        metadata=(("a", "b"),),
        inactive_ms=5_000,
    )
    assert decode_config(encode_config(config, "me")) == (config, "me")
    letter = DeadLetter(Sequence(4), "why", 3, 99, is_replaying=True)
    assert decode_letter(Sequence(4), encode_letter(letter)) == letter
    state = ConsumerState(CONFIG, 10**12, Sequence(10**6))
    state.give([], map(Sequence, range(10**6, 10**6 + 1000)), Sequence(10**6 + 1000), 10**12)
    data = encode_state(state)
    assert len(data) < 9 * 1000
    assert encode_state(decode_state(CONFIG, data)) == data


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"\xc0",
        encode((2, 1, 1, 0, None, 1, (0, 0, 0, 0), 0, [])),
        encode((1, 1, 1, 0, None, 1, (0, 0, 0, 0), 0, [(2, 1, 0, 0, True)])),
        encode((1, 1, 1, 0, None, 1, (0, 0, 0, 0), 0, [(0, 1, 0, 0, True)])),
        encode((1, 1, 1, 0, None, 1, (0, 0, 0, 0), 0, [(1, 0, 0, 0, True)])),
        encode((1, 1, 2, 0, None, 1, (0, 0, 0, 0), 0, [(1, 1, 0, 0, True)] * 2)),
        encode((1, 1, 1, 0, None, 1, (0, 0, 0, 0), 0, [], 0)),
    ],
)
def test_refused_states(row: bytes) -> None:
    """A state of a newer form, or one that contradicts itself, is refused."""
    with pytest.raises(DecodeError):
        decode_state(CONFIG, row)


def test_refused_configurations() -> None:
    """A newer form, an unreadable interest or a value out of bounds is refused."""
    good = msgspec.msgpack.decode(encode_config(CONFIG, "me"))
    for position, value in ((0, 2), (3, b"{"), (7, 1), (1, "a/b/c"), (4, "later")):
        row = [*good]
        row[position] = value
        with pytest.raises(DecodeError):
            decode_config(msgspec.msgpack.encode(row))
