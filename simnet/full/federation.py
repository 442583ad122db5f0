"""The members of a federation of whole nodes, its publishers and its subscribers."""

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ledger.core.epoch import EpochStart
from ledger.core.errors import RejectCode
from ledger.core.event import entry_id, open_entry
from ledger.core.genesis import Genesis
from ledger.core.ids import NodeIndex
from ledger.core.signing import SeedSigner
from ledger.core.topics import RESERVED_PREFIX
from ledger.core.validators import Validator
from simnet.catalogue import TWIN
from simnet.federation import START_MS, own_open_entries, take_over
from simnet.full.gateway import entries_of
from simnet.full.governance import GOVERNING, GOVERNORS, Governance
from simnet.full.ledger import Origin
from simnet.full.publishers import OVERTAKING, PARTICIPANTS, Publishers
from simnet.full.storage import FullStorage
from simnet.full.subscribers import Subscriber
from simnet.machine import Machine
from simnet.safety_disk import SafetyDisk
from simnet.scenario import Scenario

if TYPE_CHECKING:
    from simnet.choices import Choices
    from simnet.world import World

__all__ = ["FullFederation"]

_SUBSCRIBERS: Final = 4
_VOTING_SALT: Final = 17  # other keys than those of the core tier, whose signatures are no such
_PEER_SALT: Final = 19
_TOO_LATE: Final = (RejectCode.TIME_TOO_OLD, RejectCode.TIME_IN_FUTURE)


@lru_cache
def _signers(count: int, salt: int) -> tuple[SeedSigner, ...]:
    return tuple(SeedSigner(bytes([salt, i]) * 16) for i in range(count))


@lru_cache
def _members(count: int, renewed: tuple[tuple[int, int], ...]) -> tuple[Validator, ...]:
    peers, names = _signers(count, _PEER_SALT), dict(renewed)
    return tuple(
        Validator(f"v{n}", f"did:elsi:V{n}", signer.public_key, peers[i].public_key, "h:1")
        for i, signer in enumerate(_signers(count, _VOTING_SALT))
        for n in (names.get(i, i),)
    )


@lru_cache
def _origin(validators: int) -> Origin:
    members, participants = _members(validators, ()), (*PARTICIPANTS, *GOVERNING)
    return Origin.of(Genesis("simnet", START_MS, members, participants, GOVERNORS))


def _depends(entry: bytes) -> bool:
    topic = open_entry(entry).event.topic
    return topic.startswith(RESERVED_PREFIX) or topic == OVERTAKING


class FullFederation:
    """The full tier: whole nodes, true signatures, publishers and subscribers.

    Attributes:
        publishers: who hands events in; subscribers: who reads the log.
        sets: of validators that follow the first one.
    """

    def __init__(self, scenario: Scenario, choices: "Choices") -> None:
        self._origin = _origin(scenario.validators)
        self._signers = _signers(scenario.members, _VOTING_SALT)
        self.genesis = self._origin.genesis
        self._start = EpochStart.of_genesis(self.genesis)
        members = _members(scenario.members, scenario.renewed)
        self.sets = tuple(tuple(members[number] for number in set_) for set_ in scenario.sets)
        self.publishers = Publishers(choices, self._origin.chain_id)
        self._governance = Governance(choices, self.publishers, self.sets)
        self.subscribers: list[Subscriber] = []

    def machines(self, world: "World") -> list[Machine]:
        """Make every machine."""
        machines = [self._machine(world, index, str(index)) for index in range(len(self._signers))]
        actors = world.scenario.actors
        machines += [
            self._machine(world, index, f"{index}'") for index, actor in actors if actor == TWIN
        ]
        take_over(machines, actors)
        return machines

    def _machine(self, world: "World", index: int, name: str) -> Machine:
        storage = self.new_storage(index, sit_out=False)
        return Machine(world, NodeIndex(index), name, self._signers[index], storage)

    def new_storage(self, index: int, *, sit_out: bool) -> FullStorage:
        """Make empty stores for a member."""
        key = self._signers[index].public_key
        return FullStorage(self._origin, SafetyDisk(self._start, key, sit_out=sit_out))

    def begin(self, world: "World") -> None:
        """Let subscribers subscribe."""
        self.subscribers = [Subscriber(world, number) for number in range(_SUBSCRIBERS)]
        for subscriber in self.subscribers:
            subscriber.begin()

    def submission(self, number: int, size: int, now_ms: int) -> tuple[bytes, ...]:
        """Give what the gateway hands to the node for the n-th request."""
        entries = entries_of(*self.publishers.request(number, size, now_ms))
        if not self.sets:
            return entries
        return (
            *entries,
            *self._governance.load(number, self.genesis.validators, now_ms),
            *self._governance.rules(number, now_ms),
            *self.publishers.updates(number, now_ms),
        )

    def probe(self, number: int, now_ms: int) -> bytes:
        """Make an event that must become final."""
        return self.publishers.good(number, now_ms)

    def change(self, number: int, now_ms: int) -> tuple[bytes, ...]:
        """Make the proposal and the approval that bring the n-th of the later sets."""
        return self._governance.change(number, now_ms)

    def own_open_entries(self, machine: Machine) -> set[bytes]:
        """Give the entries of a machine's own durable open batches, but operations and updates.

        Whether one of these is accepted depends on what others decided before its turn comes.
        """
        return {entry for entry in own_open_entries(machine) if not _depends(entry)}

    def is_settled(self, machine: Machine, entry: bytes) -> bool:
        """Say whether an entry is in a machine's log, or came there too late for ever."""
        storage = machine.storage
        assert isinstance(storage, FullStorage)
        id_ = entry_id(entry)
        refusal = storage.refusals.get(id_)
        return storage.chain.has_event(id_) or (refusal is not None and refusal.code in _TOO_LATE)
