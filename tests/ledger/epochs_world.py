"""A chain whose validators changed: each epoch certified by its own set, as a network does it."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ledger.core.block import LedgerRoot, block_id
from ledger.core.certificate import Commit, Domain, QuorumCertificate, Vote
from ledger.core.execute import execute_block
from ledger.core.genesis import Genesis
from ledger.core.ids import BlockId, Epoch, Height, Round
from ledger.core.signing import SeedSigner
from ledger.core.snapshot_manifest import Manifest
from ledger.core.trust.operations import Propose, SetValidators
from ledger.core.validators import Validator, ValidatorSet
from ledger.io.chain_store import ChainStore
from tests.ledger.sample_network import DOMAIN, GENESIS, START_MS, VALIDATORS, batch, block_after
from tests.ledger.snapshot_world import sample_rows
from tests.ledger.trust.test_application import operation_entry

NEW_KEYS = tuple(SeedSigner(bytes([4, number]) + bytes(30)) for number in range(7))
"""Of validators that genesis does not know."""


def member_of(signer: SeedSigner) -> Validator:
    """Give the validator with a key."""
    name = f"n-{signer.public_key.hex()[:16]}"
    peer = SeedSigner(bytes(reversed(signer.public_key)))
    return Validator(
        name=name,
        did=f"did:example:{name}",
        key=signer.public_key,
        peer_key=peer.public_key,
        address=f"127.0.0.1:{7_000 + signer.public_key[0]}",
    )


def sign(
    domain: Domain, signers: Sequence[SeedSigner], commit: Commit, round_: int
) -> QuorumCertificate:
    """Have validators certify a child of the block that they commit."""
    child = BlockId(bytes([9]) * 32)
    votes = [Vote.make(domain, Round(round_), child, commit, one) for one in signers]
    rows = tuple(sorted((vote.signer, vote.signature) for vote in votes))
    return QuorumCertificate(domain.epoch, Round(round_), child, commit, rows)


class EpochsChain:
    """A chain store that grows by certified blocks.

    Attributes:
        store: the chain; domain, signers: of the present epoch.
    """

    def __init__(self, path: Path, genesis: Genesis = GENESIS) -> None:
        self.store = ChainStore.create(path, genesis)
        self.domain = Domain(genesis.hash, Epoch(0), genesis.validator_set())
        self.signers: tuple[SeedSigner, ...] = VALIDATORS
        self._number = 0

    def grow(self, rows: Sequence[bytes] = (), next_set: bytes | None = None) -> None:
        """Apply the next block, certified by as many validators as it takes."""
        with self.store.write() as writer:
            payload, self._number = [], self._number + 1
            if rows:
                id_, encoded = batch(rows, self._number)
                writer.store_batch(id_, encoded)
                payload.append(id_)
            _, block = block_after(writer.root, writer.reader.head().block_id, payload)
            start = writer.reader.epoch_start().height
            executed = Height(max(start, 0, block.height - 2))
            root = writer.reader.root(executed)
            assert root is not None
            block = msgspec.structs.replace(
                block,
                epoch=self.domain.epoch,
                executed_height=executed,
                ledger_root=root.digest,
                next_set_hash=next_set,
            )
            id_of = block_id(block)
            result = execute_block(writer, id_of, block, lambda _: True)
            assert not result.refused, result.refused
            commit = Commit(id_of, block.height, next_set)
            quorum = self.signers[: self.domain.validators.quorum]
            writer.apply(result, sign(self.domain, quorum, commit, block.height + 1))

    def events(self, blocks: int) -> None:
        """Apply so many blocks with events."""
        for _ in range(blocks):
            self.grow(sample_rows(self._number))

    def change(self, signers: tuple[SeedSigner, ...]) -> None:
        """Have the governor set the validators; end the epoch and begin the next."""
        members = tuple(member_of(signer) for signer in signers)
        operation = Propose(SetValidators(members), START_MS + 3_600_000)
        self.grow([operation_entry(operation, 90_000 + self._number)])
        self.grow()
        following = ValidatorSet(members)
        self.grow(next_set=following.hash)
        number = Epoch(self.domain.epoch + 1)
        self.domain, self.signers = Domain(self.domain.genesis_hash, number, following), signers


def make_epochs(path: Path) -> EpochsChain:
    """Make a chain of three epochs, of which the last has no validator of the first."""
    chain = EpochsChain(path)
    chain.events(6)
    chain.change((*VALIDATORS[2:], *NEW_KEYS[:3]))
    chain.events(6)
    chain.change(NEW_KEYS[3:])
    chain.events(6)
    return chain


def beyond_the_end(manifest: Manifest, height: int) -> Manifest:
    """Have the validators of genesis, whose keys somebody has, sign another ledger."""
    own = LedgerRoot(Height(height), 0, bytes(32), bytes(32), GENESIS.validator_set().hash)
    header = msgspec.structs.replace(
        manifest.header,
        epoch=Epoch(0),
        height=Height(height + 2),
        executed_height=own.height,
        ledger_root=own.digest,
    )
    commit = Commit(block_id(header), header.height, None)
    return Manifest(1, own, header, sign(DOMAIN, VALIDATORS[:3], commit, 99), ())
