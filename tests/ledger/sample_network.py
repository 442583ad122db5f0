"""A small network for the ledger's tests: genesis, members' keys, events, blocks, certificates."""

from collections.abc import Sequence

from ledger.core.block import Batch, Block, LedgerRoot, batch_id, block_id
from ledger.core.certificate import Commit, Domain, QuorumCertificate, Vote, genesis_certificate
from ledger.core.codec import encode
from ledger.core.event import Event, sign_event
from ledger.core.genesis import Genesis, Governors, Participant, ParticipantKey
from ledger.core.ids import BatchId, BlockId, Epoch, Height, NodeIndex, Round
from ledger.core.signing import SeedSigner
from ledger.core.validators import Validator

START_MS = 1_790_000_000_000
VALIDATORS = tuple(SeedSigner(bytes([1, number]) + bytes(30)) for number in range(4))
PEERS = tuple(SeedSigner(bytes([2, number]) + bytes(30)) for number in range(4))
ALICE, BOB, REVOKED, STRANGER = (SeedSigner(bytes([3, number]) + bytes(30)) for number in range(4))
ALICE_DID, BOB_DID = "did:web:alice.example", "did:web:bob.example"


def network(name: str = "test") -> Genesis:
    """Give a genesis with four validators: Alice publishes to ``catalog.>``, Bob to one topic."""
    return Genesis(
        name=name,
        time_ms=START_MS,
        validators=tuple(
            Validator(
                name=f"node-{number}",
                did=f"did:web:node-{number}.example",
                key=VALIDATORS[number].public_key,
                peer_key=PEERS[number].public_key,
                address=f"127.0.0.1:{7_000 + number}",
            )
            for number in range(4)
        ),
        participants=(
            Participant(
                did=ALICE_DID,
                name="Alice",
                keys=(
                    ParticipantKey(ALICE.public_key, revoked=False),
                    ParticipantKey(REVOKED.public_key, revoked=True),
                ),
                topics=("catalog.>", "ledger.>"),
            ),
            Participant(
                did=BOB_DID,
                name="Bob",
                keys=(ParticipantKey(BOB.public_key, revoked=False),),
                topics=("catalog.price.changed", "news"),
            ),
        ),
        governors=Governors(threshold=1, members=(ALICE_DID,)),
    )


GENESIS = network()
CHAIN_ID = GENESIS.chain_id
DOMAIN = Domain(GENESIS.hash, Epoch(0), GENESIS.validator_set())


def event(nonce: object = 0, **changes: object) -> Event:
    """Give an admissible event of Alice's, with some fields changed."""
    fields: dict[str, object] = {
        "version": 1,
        "chain_id": CHAIN_ID,
        "topic": "catalog.offering.changed",
        "publisher": ALICE_DID,
        "key": ALICE.public_key,
        "nonce": nonce,
        "time_ms": START_MS,
        "type": "org.example.offering.changed",
        "subject": f"urn:offering:{nonce}",
        "entity_hash": bytes([7]) * 32,
        "previous_hash": b"",
        "location": f"https://alice.example/offering/{nonce}",
        "content_type": "application/json",
        "data": b"",
        "tags": (),
    }
    return Event(**(fields | changes))  # type: ignore[arg-type] # any field, also a wrong one


def entry(nonce: int = 0, signer: SeedSigner = ALICE, **changes: object) -> bytes:
    """Give the entry of an event signed by ``signer``."""
    return sign_event(event(nonce, key=signer.public_key, **changes), signer).entry


def forged(nonce: int = 0, signer: SeedSigner = ALICE, **changes: object) -> bytes:
    """Give an entry that is right but for its signature."""
    right = entry(nonce, signer, **changes)
    return right[:-1] + bytes([right[-1] ^ 1])


def batch(entries: Sequence[bytes], number: int = 0, origin: int = 0) -> tuple[BatchId, bytes]:
    """Give the id and the encoding of a batch."""
    encoded = encode(Batch(NodeIndex(origin), number, tuple(entries)))
    return batch_id(encoded), encoded


def block_after(
    before: LedgerRoot, parent: BlockId, payload: Sequence[BatchId], time_ms: int | None = None
) -> tuple[BlockId, Block]:
    """Give the block that follows the ledger ``before``, one second later."""
    height = before.height + 1
    block = Block(
        epoch=Epoch(0),
        round=Round(height),
        height=Height(height),
        parent_id=parent,
        executed_height=before.height,
        ledger_root=before.digest,
        next_set_hash=None,
        qc=genesis_certificate(parent),
        tc=None,
        payload=tuple(payload),
        time_ms=START_MS + 1_000 * height if time_ms is None else time_ms,
        author=NodeIndex(height % 4),
    )
    return block_id(block), block


def certificate_of(committed: BlockId, height: Height) -> QuorumCertificate:
    """Give a valid certificate that commits a block."""
    commit = Commit(committed, height, None)
    child = BlockId(bytes([9]) * 32)
    votes = [Vote.make(DOMAIN, Round(height + 1), child, commit, VALIDATORS[i]) for i in range(3)]
    signatures = tuple((vote.signer, vote.signature) for vote in votes)
    return QuorumCertificate(Epoch(0), Round(height + 1), child, commit, signatures)
