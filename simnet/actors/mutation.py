"""A member that changes one small thing in what its core says, and signs it anew.

Small scope: one leaf of one message, by one step. That is what boundary checks, redundant fields
and replayed parts break on; big changes fail at the first check.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from consensus.core.effects import Broadcast, Effect, Send
from consensus.core.inputs import Input, PeerMessage
from consensus.core.messages import (
    AckMessage,
    Message,
    ProposalMessage,
    TimeoutMessage,
    VoteMessage,
)
from ledger.core.block import Proposal, block_id
from ledger.core.certificate import Ack, Domain, Timeout, Vote
from ledger.core.ids import Epoch
from simnet.actors.byzantine import Byzantine
from simnet.network import label_of

if TYPE_CHECKING:
    from simnet.machine import Machine

__all__ = ["Mutator", "leaves", "with_leaf"]

Path = tuple[int, ...]

_WAYS: Final = 6
_SPECIAL: Final = 5
_REMEMBERED: Final = 16
_LEAVES_MAX: Final = 64


def leaves(value: object, path: Path = ()) -> Iterator[Path]:
    """Give the paths of all that a message consists of: fields of structs, items of tuples.

    Tuples and missing parts count as leaves too: they can be shortened, doubled or filled.
    """
    parts = _parts(value)
    if parts is None or not isinstance(value, msgspec.Struct):
        yield path
    for number, part in enumerate(parts or ()):
        yield from leaves(part, (*path, number))


def with_leaf(value: object, path: Path, way: int, spare: bytes) -> object:
    """Give the value with one leaf changed in one of a few ways (1 to 6).

    Args:
        spare: 32 true bytes of something else, for ids.
    """
    if not path:
        return _changed(value, way, spare)
    parts = list(_parts(value) or ())
    parts[path[0]] = with_leaf(parts[path[0]], path[1:], way, spare)
    if isinstance(value, msgspec.Struct):
        return type(value)(*parts)
    return tuple(parts)


def _parts(value: object) -> tuple[object, ...] | None:
    if isinstance(value, msgspec.Struct):
        return tuple(getattr(value, name) for name in value.__struct_fields__)
    return value if isinstance(value, tuple) else None


def _changed(value: object, way: int, spare: bytes) -> object:
    match value:
        case bool():
            return not value
        case int():
            return (value + 1, value - 1, 0, value + 2, 2**53, value + 1_000)[way - 1]
        case bytes() if way <= 2:
            return value[:-1] + bytes([value[-1] ^ 1]) if value else b"\x00"
        case bytes():
            return (spare, bytes(len(value)), value[:-1], value + b"\x00")[way - 3]
        case tuple():
            first, last = value[:1], value[-1:]
            return (value[:-1], value + last, first + value, value[::-1], (), value[1:])[way - 1]
        case None:
            return (0, spare, (), None, 1, b"")[way - 1]
        case _:
            return None


class Mutator(Byzantine):
    """Changes leaves of what it sends, replays old things, and signs in the wrong domain."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        self._seen: deque[Message] = deque(maxlen=_REMEMBERED)
        self._spare = bytes(machine.world.genesis.block_id)

    def incoming(self, input_: Input) -> Iterable[Input]:
        """Remember what may be replayed."""
        match input_:
            case PeerMessage(_, ProposalMessage(proposal) as message):
                self._seen.append(message)
                self._spare = bytes(proposal.block.parent_id)
            case PeerMessage(_, VoteMessage() | TimeoutMessage() as message):
                self._seen.append(message)
            case _:
                pass
        yield input_

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Send something slightly else, to everybody or to some."""
        match effect:
            case Broadcast(message):
                mask = self.pick_mask(f"mutate for {label_of(message)}")
                if mask == self.everybody:
                    yield effect
                    return
                shown = self._mutated(message)
                yield from self.show(mask, message, shown)
            case Send(peer, message):
                yield from self.say(peer, self._mutated(message))
            case _:
                yield effect

    def _mutated(self, message: Message) -> Message:
        label = label_of(message)
        special = self.pick(f"special {label}", 2 * _SPECIAL)
        if 0 < special <= _SPECIAL:
            return self._special(message, special)
        way = self.pick(f"way {label}", _WAYS)
        if not way:
            return message
        paths = list(leaves(message))
        number = self.pick(f"leaf {label}", _LEAVES_MAX)
        if message.__struct_config__.tag == 1 and number % 2:
            # Half of a proposal's mutations concern the block's own fields, not its certificates.
            paths = [path for path in paths if len(path) <= 3]
        path = paths[number * len(paths) // (_LEAVES_MAX + 1)]
        changed = with_leaf(message, path, way, self._spare)
        assert isinstance(changed, Message)
        if self.pick(f"sign {label}", 1):
            return self._signed(changed)
        return changed

    def _special(self, message: Message, kind: int) -> Message:
        """Replay something, or sign for another network, epoch or purpose."""
        signer, domain = self.machine.signer, self.domain
        foreign = Domain(bytes(32), domain.epoch, domain.validators)
        later = Domain(domain.genesis_hash, Epoch(domain.epoch + 1), domain.validators)
        match message:
            case _ if kind == 1 and self._seen:
                return self._seen[0]  # somebody else's, long ago
            case VoteMessage(vote):
                where = foreign if kind % 2 else later
                other = Vote.make(where, vote.round, vote.block_id, vote.commit, signer)
                return VoteMessage(other)
            case TimeoutMessage(timeout) if kind < 4:
                where = foreign if kind % 2 else later
                qc, tc = timeout.high_qc, timeout.last_tc
                return TimeoutMessage(Timeout.make(where, timeout.round, qc, tc, signer))
            case TimeoutMessage(timeout):  # a vote's signature under a timeout
                vote = Vote.make(domain, timeout.round, timeout.high_qc.block_id, None, signer)
                stolen = msgspec.structs.replace(timeout, signature=vote.signature)
                return TimeoutMessage(stolen)
            case AckMessage(ack):
                return AckMessage(Ack.make(foreign if kind % 2 else later, ack.batch_id, signer))
            case ProposalMessage(proposal):
                return ProposalMessage(self._old_proposal(proposal, kind))
            case _:
                return message

    def _old_proposal(self, proposal: Proposal, kind: int) -> Proposal:
        """Give an own proposal again for a later round, or on another parent."""
        olds = [m.proposal for m in self._seen if isinstance(m, ProposalMessage)]
        if not olds:
            return proposal
        old, block = olds[-1], proposal.block
        if kind % 2:  # a swapped parent: another certified block, with its certificate
            block = msgspec.structs.replace(
                block, parent_id=old.block.parent_id, qc=old.block.qc, height=old.block.height
            )
        else:
            block = msgspec.structs.replace(old.block, author=self.machine.index)
            proposal = old
        return self.sign(block, proposal)

    def _signed(self, message: Message) -> Message:
        """Sign a changed statement again, as far as that is possible with an own key."""
        signer, domain = self.machine.signer, self.domain
        match message:
            case VoteMessage(vote):
                again = Vote.make(domain, vote.round, vote.block_id, vote.commit, signer)
                return VoteMessage(msgspec.structs.replace(vote, signature=again.signature))
            case TimeoutMessage(timeout):
                qc, tc = timeout.high_qc, timeout.last_tc
                signed = Timeout.make(domain, timeout.round, qc, tc, signer)
                stated = msgspec.structs.replace(timeout, signature=signed.signature)
                return TimeoutMessage(stated)
            case AckMessage(ack):
                made = Ack.make(domain, ack.batch_id, signer)
                return AckMessage(msgspec.structs.replace(ack, signature=made.signature))
            case ProposalMessage(proposal):
                assert block_id(proposal.block), "a block of any fields has an id"
                return ProposalMessage(self.sign(proposal.block, proposal))
            case _:
                return message
