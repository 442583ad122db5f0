"""A chain in memory, signed by all the validators that it needs, for tests of proofs and clients.

Owns a network of n validators and one publisher, and grows a chain block by block as consensus
would. Never decides anything: what it is told to publish is in the log.
"""

from collections.abc import Mapping

from ledger.core import statemap
from ledger.core.block import Block, LedgerRoot, block_id
from ledger.core.certificate import Commit, Domain, QuorumCertificate, Vote, genesis_certificate
from ledger.core.epoch import EpochStart
from ledger.core.event import Event, OpenEntry, sign_event
from ledger.core.genesis import Genesis, Governors, Participant, ParticipantKey
from ledger.core.ids import BlockId, Epoch, EventId, Height, NodeIndex, Round, Sequence
from ledger.core.merkle import EMPTY_ROOT, append, leaf_hashes, root
from ledger.core.signing import SeedSigner
from ledger.core.validators import Validator

PUBLISHER_DID = "did:web:market.example"
START_MS = 1_800_000_000_000
STATE_ROOT = bytes(32)


def signer_of(number: int) -> SeedSigner:
    """Give the voting key of a validator (0...), or another key."""
    return SeedSigner(bytes([number + 1]) * 32)


PUBLISHER_SIGNER = signer_of(200)


def make_genesis(validators_count: int, name: str = "test") -> Genesis:
    """Give the genesis of a network with one publisher, who may publish everything."""
    validators = tuple(
        Validator(
            f"v{number}",
            f"did:web:v{number}.example",
            signer_of(number).public_key,
            signer_of(100 + number).public_key,
            f"127.0.0.1:{7000 + number}",
        )
        for number in range(validators_count)
    )
    key = ParticipantKey(PUBLISHER_SIGNER.public_key, revoked=False)
    publisher = Participant(PUBLISHER_DID, "Market", (key,), (">",))
    governors = Governors(1, (PUBLISHER_DID,))
    return Genesis(name, START_MS, validators, (publisher,), governors)


def make_event(chain_id: str, nonce: int, topic: str = "offering.created") -> Event:
    """Give an event of the publisher."""
    return Event(
        1,
        chain_id,
        topic,
        PUBLISHER_DID,
        PUBLISHER_SIGNER.public_key,
        nonce,
        START_MS + nonce,
        "org.example.offering.created",
        f"urn:offering:{nonce}",
        bytes(32),
        b"",
        "",
        "",
        b"",
        (),
    )


def make_entry(chain_id: str, nonce: int, topic: str = "offering.created") -> OpenEntry:
    """Give a signed event of the publisher."""
    return sign_event(make_event(chain_id, nonce, topic), PUBLISHER_SIGNER)


class MemoryChain:
    """Satisfies ``ProofSource``. Height 0 is genesis; block h stands in round h or later."""

    def __init__(self, validators_count: int = 4) -> None:
        self.genesis = make_genesis(validators_count)
        validators = self.genesis.validator_set()
        self.domain = Domain(self.genesis.hash, Epoch(0), validators)
        self.set_hash = validators.hash
        self.entries: list[bytes] = []
        self.blocks: dict[Height, Block] = {}
        self.certificates: dict[Height, QuorumCertificate] = {}
        self.roots = [LedgerRoot(Height(0), 0, EMPTY_ROOT, STATE_ROOT, self.set_hash)]
        self.nodes: dict[bytes, bytes] = {}
        self._heights: list[Height] = []
        self._sequences: dict[EventId, Sequence] = {}
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._tip = genesis_certificate(self.genesis.block_id)
        self._executed = Height(0)

    def epoch_start(self, number: Epoch) -> EpochStart:
        """Give how epoch 0 began; there is no other."""
        if number:
            raise LookupError(number)
        return EpochStart.of_genesis(self.genesis)

    def grow(
        self,
        opened: list[OpenEntry] | None = None,
        *,
        skip_round: bool = False,
        changes: Mapping[bytes, bytes | None] | None = None,
    ) -> Block:
        """Add a block that applies these events, and the certificate that it is voted.

        With ``skip_round`` its round is not the next one, so that its certificate commits nothing.
        ``changes`` are those of the state, which is empty at first, whatever genesis says.
        """
        height = Height(len(self.roots))
        if self._tip.commit is not None:
            self._executed = self._tip.commit.height
        block = Block(
            Epoch(0),
            Round(self._tip.round + (2 if skip_round else 1)),
            height,
            self._tip.block_id,
            self._executed,
            self.roots[self._executed].digest,
            None,
            self._tip,
            None,
            (),
            START_MS + height,
            NodeIndex(0),
        )
        parent = Commit(self._tip.block_id, Height(height - 1), None)
        self._tip = self.certify(block.round, block_id(block), None if skip_round else parent)
        if not skip_round:
            self.certificates[parent.height] = self._tip
        self.blocks[height] = block
        self._apply(height, opened or [], changes or {})
        return block

    def certify(
        self, round_: Round, voted: BlockId, commit: Commit | None, first: int = 0
    ) -> QuorumCertificate:
        """Have a quorum of the validators, from index ``first`` on, vote."""
        rows = []
        for number in range(first, first + self.domain.validators.quorum):
            vote = Vote.make(self.domain, round_, voted, commit, signer_of(number))
            rows.append((vote.signer, vote.signature))
        return QuorumCertificate(Epoch(0), round_, voted, commit, tuple(rows))

    def _apply(
        self, height: Height, opened: list[OpenEntry], changes: Mapping[bytes, bytes | None]
    ) -> None:
        size = len(self.entries)
        hashes = b"".join(leaf_hashes(item.entry for item in opened))
        self._tiles.update(append(self.read_tile, size, hashes))
        for item in opened:
            self._sequences[item.id] = Sequence(len(self.entries))
            self.entries.append(item.entry)
            self._heights.append(height)
        log_root = root(self.read_tile, len(self.entries))
        before = self.roots[-1].state_root
        state_root, nodes = statemap.update(self.read_node, before, changes)
        self.nodes |= nodes
        self.roots.append(
            LedgerRoot(height, len(self.entries), log_root, state_root, self.set_hash)
        )

    def entry(self, sequence: Sequence) -> bytes | None:
        """Give the entry at ``sequence``."""
        return self.entries[sequence] if 0 <= sequence < len(self.entries) else None

    def sequence_of(self, id_: EventId) -> Sequence | None:
        """Give the place of an event."""
        return self._sequences.get(id_)

    def height_of(self, sequence: Sequence) -> Height:
        """Give the height of the block that applied the entry."""
        return self._heights[sequence]

    def first_height(self) -> Height:
        """Give the first height: the chain begins with genesis."""
        return Height(0)

    def first_certified(self, at_least: Height) -> Height | None:
        """Give the lowest height with a certificate of its own."""
        return min((h for h in self.certificates if h >= at_least), default=None)

    def last_certified(self) -> Height | None:
        """Give the highest height with a certificate of its own."""
        return max(self.certificates, default=None)

    def block(self, height: Height) -> Block | None:
        """Give the block at ``height``."""
        return self.blocks.get(height)

    def certificate(self, height: Height) -> QuorumCertificate | None:
        """Give the certificate that commits exactly the block at ``height``."""
        return self.certificates.get(height)

    def root(self, height: Height) -> LedgerRoot | None:
        """Give the ledger after the block at ``height``."""
        return self.roots[height] if height < len(self.roots) else None

    def read_tile(self, level: int, index: int) -> bytes:
        """Give the hashes of a tile."""
        return self._tiles.get((level, index), b"")

    def read_node(self, node_hash: bytes) -> bytes:
        """Give a node of the state map."""
        return self.nodes.get(node_hash, b"")
