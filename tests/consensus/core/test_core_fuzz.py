"""Any bytes become a message or a DecodeError, and no message makes a core raise.

Mutated messages of real validators reach real cores; whatever they do to one of them, the honest
ones go on agreeing.
"""

import contextlib
from collections import deque
from collections.abc import Callable
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core.control import decode_reply, decode_request
from consensus.core.effects import Halt
from consensus.core.inputs import PeerMessage
from consensus.core.messages import Message, decode_message, encode_message
from consensus.core.safety_record import decode_record, encode_record
from ledger.core.errors import DecodeError
from ledger.core.ids import NodeIndex
from tests.consensus.core.bench import Bench
from tests.consensus.core.wire_judge import WireJudge
from tests.support.federation import Federation

DECODERS: list[Callable[[bytes], object]] = [
    decode_message,
    decode_record,
    decode_request,
    decode_reply,
]


@pytest.mark.parametrize("decode", DECODERS, ids=lambda decode: decode.__name__)
@given(data=st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(decode: Callable[[bytes], object], data: bytes) -> None:
    """No other exception than DecodeError leaves a decoder."""
    with contextlib.suppress(DecodeError):
        decode(data)


def recording(seed: int = 0) -> tuple[Federation, list[tuple[NodeIndex, Message]]]:
    """Give a federation that has seen some of everything, and its messages."""
    world = Federation(4, seed)
    for number in range(12):
        world.submit(number % 4, [b"%d" % number + b"x" * (40_000 if number % 4 == 0 else 5)])
        world.run(30)
        if number == 4:
            world.crash(3)
        if number == 8:
            world.start(3)
            world.delivers = lambda sender, _receiver, _message: sender != 1
    world.run(800)
    world.delivers = lambda _sender, _receiver, _message: True
    world.run(300)
    return world, list(world.wire)


WORLD, WIRE = recording()
KINDS = sorted({type(message).__name__ for _, message in WIRE})


def test_the_recording_holds_most_kinds_of_messages() -> None:
    """What is mutated below is not votes only."""
    assert len(KINDS) >= 9


@given(number=st.integers(0, len(WIRE) - 1), place=st.floats(0, 1), byte=st.binary(max_size=3))
def test_mutated_bytes_decode_or_are_refused(number: int, place: float, byte: bytes) -> None:
    """A changed byte of a real message gives a message or a DecodeError; so for records."""
    for data, decode in (
        (encode_message(WIRE[number][1])[:4_000], decode_message),
        (encode_record(WORLD.record(number % 4)), decode_record),
    ):
        index = int(place * (len(data) - 1))
        for mutated in (data[:index] + byte + data[index + 1 :], data[:index]):
            with contextlib.suppress(DecodeError):
                assert encode_any(decode(mutated)) == mutated


def encode_any(value: object) -> bytes:
    """Encode a value as its codec does."""
    return msgspec.msgpack.Encoder().encode(value)


class Mutator:
    """Changes one field of a message, deep inside, for another value of its type."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.donors: deque[Message] = deque(maxlen=1_000)

    def mutate(self, value: object) -> object:
        """Give a changed copy of ``value``."""
        draw = self._random
        if isinstance(value, msgspec.Struct):
            name = draw.choice(value.__struct_fields__)
            return msgspec.structs.replace(value, **{name: self.mutate(getattr(value, name))})
        if isinstance(value, tuple):
            return self._mutate_tuple(value)
        if isinstance(value, bytes):
            index = draw.randrange(len(value) + 1)
            return value[:index] + bytes([draw.randrange(256)]) + value[index + 1 :]
        if isinstance(value, int):
            return max(0, draw.choice((value + 1, value - 1, 0, 2**63 - 1, value + 100)))
        return value

    def _mutate_tuple(self, value: tuple[object, ...]) -> tuple[object, ...]:
        draw = self._random
        if not value or draw.random() < 0.3:
            return (*value, *value[:1]) if draw.random() < 0.5 else value[:-1]
        index = draw.randrange(len(value))
        return (*value[:index], self.mutate(value[index]), *value[index + 1 :])

    def message(self) -> Message | None:
        """Give a mutated message that decodes, if this draw gives one."""
        try:
            return decode_message(encode_any(self.mutate(self._random.choice(self.donors))))
        except DecodeError:
            return None


def flood(seed: int, messages: int) -> None:
    """Let one member of a busy federation send mutated messages of everybody all the time."""
    world = Federation(4, seed)
    mutator = Mutator(Random(seed))
    for number in range(messages // 20):
        world.submit(number % 3, [b"%d" % number])
        world.run(20)
        mutator.donors += [message for _, message in world.wire[-40:]]
        for _ in range(20):
            message = mutator.message()
            if message is not None:
                for node in world.nodes[:3]:
                    world.step(node, PeerMessage(NodeIndex(3), message))
    world.run(5_000)
    assert [node.halted for node in world.nodes[:3]] == ["", "", ""]
    assert world.agree()
    logs = world.logs()[:3]
    assert {len(log) for log in logs} == {messages // 20}
    WireJudge(world.wire, {3}).check()


@pytest.mark.parametrize("seed", range(4))
def test_mutated_messages_make_no_core_raise_or_disagree(seed: int) -> None:
    """Three honest members survive what the fourth makes of their messages."""
    flood(seed, 600)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_many_mutated_messages(seed: int) -> None:
    """The same for longer."""
    flood(seed, 6_000)


@pytest.mark.parametrize("kind", KINDS)
def test_messages_of_another_time_do_nothing_bad(kind: str) -> None:
    """Real messages in the wrong order, from the wrong sender, never stop a core."""
    draw = Random(kind)
    chosen = [message for _, message in WIRE if type(message).__name__ == kind]
    bench = Bench(me=3)
    for message in draw.sample(chosen, min(len(chosen), 60)):
        for peer in (0, 1, 2):
            effects = bench.say(peer, message)
            halts = [e.reason for e in effects if isinstance(e, Halt)]
            assert not halts or "old record" in halts[0]
            if halts:
                bench = Bench(me=3)
