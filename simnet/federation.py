"""The members of a simulated federation: their keys, their machines, and the entries handed in."""

from functools import cache
from typing import TYPE_CHECKING, Protocol

from ledger.core.block import decode_batch
from ledger.core.epoch import EpochStart
from ledger.core.genesis import Genesis, Governors
from ledger.core.ids import NodeIndex
from ledger.core.validators import Validator
from simnet.catalogue import ACTORS, TWIN
from simnet.machine import Machine
from simnet.safety_disk import SafetyDisk
from simnet.scenario import Scenario
from simnet.signatures import CheapSigner
from simnet.stand_in import StandInStorage, set_entry
from simnet.storage import Storage

if TYPE_CHECKING:
    from simnet.world import World

__all__ = ["START_MS", "CoreFederation", "Federation", "own_open_entries", "take_over"]

START_MS = 1_760_000_000_000


class Federation(Protocol):
    """What a tier provides: members, storages and entries."""

    genesis: Genesis
    sets: tuple[tuple[Validator, ...], ...]

    def machines(self, world: "World") -> list[Machine]:
        """Make every machine; twins follow all the others."""
        ...

    def new_storage(self, index: int, *, sit_out: bool) -> Storage:
        """Make empty stores for a member, as for a new one or as ``--recover`` does."""
        ...

    def begin(self, world: "World") -> None:
        """Start what lives around the members."""
        ...

    def submission(self, number: int, size: int, now_ms: int) -> tuple[bytes, ...]:
        """Make the entries of the n-th submission, of about ``size`` bytes each."""
        ...

    def probe(self, number: int, now_ms: int) -> bytes:
        """Make an entry that must become final when all is well."""
        ...

    def change(self, number: int, now_ms: int) -> tuple[bytes, ...]:
        """Make the entries that bring the n-th of the sets that follow the first."""
        ...

    def own_open_entries(self, machine: Machine) -> set[bytes]:
        """Give what a machine has promised to bring in: entries of its durable open batches."""
        ...

    def is_settled(self, machine: Machine, entry: bytes) -> bool:
        """Say whether a machine has executed the block that decided about an entry."""
        ...


class CoreFederation:
    """The core tier: stand-in ledgers and cheap signatures."""

    def __init__(self, scenario: Scenario) -> None:
        count, names = scenario.members, dict(scenario.renewed)
        self._signers = [_signer(bytes([7, i]) * 16) for i in range(count)]
        peers = [_signer(bytes([9, i]) * 16) for i in range(count)]
        members = tuple(
            Validator(f"v{n}", f"did:elsi:V{n}", signer.public_key, peers[i].public_key, "h:1")
            for i, signer in enumerate(self._signers)
            for n in (names.get(i, i),)
        )
        governors = Governors(1, ("did:elsi:V0",))
        self.genesis = Genesis("simnet", START_MS, members[: scenario.validators], (), governors)
        self._start = EpochStart.of_genesis(self.genesis)
        self.sets = tuple(tuple(members[number] for number in set_) for set_ in scenario.sets)

    def machines(self, world: "World") -> list[Machine]:
        """Make every machine."""

        def make(index: int, name: str) -> Machine:
            storage = self.new_storage(index, sit_out=False)
            return Machine(world, NodeIndex(index), name, self._signers[index], storage)

        machines = [make(index, str(index)) for index in range(len(self._signers))]
        actors = world.scenario.actors
        machines += [make(index, f"{index}'") for index, actor in actors if actor == TWIN]
        take_over(machines, actors)
        return machines

    def new_storage(self, index: int, *, sit_out: bool) -> StandInStorage:
        """Make empty stores for a member."""
        key = self._signers[index].public_key
        return StandInStorage(self._start, SafetyDisk(self._start, key, sit_out=sit_out))

    def begin(self, world: "World") -> None:
        """Nothing lives around these members."""

    def submission(self, number: int, size: int, now_ms: int) -> tuple[bytes, ...]:
        """Make an entry."""
        del now_ms
        return (f"{number}|".encode().ljust(size, b"."),)

    def probe(self, number: int, now_ms: int) -> bytes:
        """Make an entry that no submission makes."""
        return self.submission(number, 1, now_ms)[0]

    def change(self, number: int, now_ms: int) -> tuple[bytes, ...]:
        """Make the entry that brings the n-th of the later sets."""
        del now_ms
        return (set_entry(self.sets[number]),)

    def own_open_entries(self, machine: Machine) -> set[bytes]:
        """Give the entries of a machine's own durable open batches."""
        return own_open_entries(machine)

    def is_settled(self, machine: Machine, entry: bytes) -> bool:
        """Say whether an entry is in a machine's log."""
        storage = machine.storage
        assert isinstance(storage, StandInStorage)
        return storage.has_entry(entry)


@cache
def _signer(seed: bytes) -> CheapSigner:
    """Give a signer, made once in a process: its public key is a true one."""
    return CheapSigner(seed)


def own_open_entries(machine: Machine) -> set[bytes]:
    """Give the entries of a machine's own durable open batches."""
    restored = machine.storage.restored()
    if restored.observes:
        return set()
    batches = (decode_batch(data) for _, data in restored.open_batches)
    own = {e for batch in batches if batch.origin == machine.roster.seat for e in batch.entries}
    return own | set(restored.carried)


def take_over(machines: list[Machine], actors: tuple[tuple[int, str], ...]) -> None:
    """Put the Byzantine members into the hands of their actors."""
    chosen = dict(actors)
    for machine in machines:
        if machine.index in chosen:
            machine.actor = ACTORS[chosen[machine.index]](machine)
