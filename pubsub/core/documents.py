"""The JSON documents that the gateway answers with, besides CloudEvents and problems.

They are the API's contract: OpenAPI schemas are made from these types, and the client decodes
into them. Digests and keys are lower-case hexadecimal, times milliseconds since 1970 UTC.
"""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from ledger.core.block import Block, LedgerRoot, block_id
from ledger.core.certificate import QuorumCertificate
from ledger.core.epoch import EpochStart
from ledger.core.validators import ValidatorSet

__all__ = [
    "BlockDocument",
    "ChainStatus",
    "GatewayStatus",
    "Health",
    "Progress",
    "Receipt",
    "Receipts",
    "RootDocument",
    "Status",
    "ValidatorDocument",
    "ValidatorsDocument",
    "block_document",
    "validators_document",
]


class Receipt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one event that was handed in.

    Attributes:
        status: ``pending``: taken over by the node, to become final or refused; ``final``: in
            the ledger for ever; ``refused``: it changed nothing, see ``code``.
        id: event id; absent when the event could not be read.
        code: why it was refused, a stable RejectCode.
        detail: the same for people.
        sequence: ledger sequence number, when final.
        height: height of the block that applied it, when final.
        duplicate: true when the same event was known before this request.
        proof: the proof bundle in base64, when ``?wait=proof`` asked for it.
        current_hash: of the event's entity, when it did not name that as the previous one; empty
            when there is no such entity.
        count: how many events of the request it stands for, when ``Prefer: return=minimal`` asked
            for few receipts: this one and those behind it, pending or one behind the other in the
            log from ``sequence`` on. Such a receipt names no id.
    """

    status: Literal["pending", "final", "refused"]
    id: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    sequence: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    duplicate: bool = False
    proof: str | UnsetType = UNSET
    current_hash: str | UnsetType = UNSET
    count: int | UnsetType = UNSET


class Receipts(Struct, frozen=True):
    """One receipt for each event of a batch or bulk request, in their order."""

    receipts: list[Receipt]


class RootDocument(Struct, frozen=True):
    """The ledger after one block."""

    height: int
    log_size: int
    log_root: str
    state_root: str
    set_hash: str
    digest: str


class BlockDocument(Struct, frozen=True):
    """One final block.

    Attributes:
        author: name of the validator that proposed it.
        executed_height: height of the ancestor whose ledger digest is ``ledger_root``.
        batches: ids of the batches that it orders.
        signers: validators in the certificate that commits exactly this block, or null when a
            later block's certificate does.
        root: the ledger after this block.
    """

    height: int
    id: str
    epoch: int
    round: int
    parent_id: str
    executed_height: int
    ledger_root: str
    time_ms: int
    author: str
    batches: list[str]
    signers: list[str] | None
    root: RootDocument | None


class ValidatorDocument(Struct, frozen=True):
    """One member of the validator set."""

    index: int
    name: str
    did: str
    key: str
    peer_key: str
    address: str


class ValidatorsDocument(Struct, frozen=True):
    """The validator set of an epoch.

    Attributes:
        quorum: how many members a certificate needs.
        faulty_max: how many members may fail in any way.
        height: of the block that began the epoch.
    """

    epoch: int
    height: int
    quorum: int
    faulty_max: int
    set_hash: str
    validators: list[ValidatorDocument]


class Progress(Struct, frozen=True):
    """Whether the network makes progress as seen from here.

    Attributes:
        state: ``ok``, ``stalled`` (no block for a while), ``behind`` (this node is catching
            up), ``node_down`` or ``store_missing``.
        explanation: why, and what to do, in plain words.
    """

    state: Literal["ok", "stalled", "behind", "node_down", "store_missing"]
    explanation: str


class ChainStatus(Struct, frozen=True):
    """What the store holds durably.

    Attributes:
        age_ms: how long ago the newest block was made, by its author's clock and ours.
        log_size: events that the log ever had. first_sequence: the first of them whose contents
            are here; those before were forgotten by the operator's choice.
    """

    height: int
    block_id: str
    time_ms: int
    age_ms: int
    log_size: int
    first_sequence: int = 0


class GatewayStatus(Struct, frozen=True):
    """The gateway's view of itself."""

    name: str
    version: str
    node_connected: bool
    node_error: str | None
    streams: int
    waits: int


class Status(Struct, frozen=True):
    """The answer of ``/v1/status``.

    Attributes:
        chain: None when the store cannot be read.
        node: the node's own status document, or null when it cannot be reached.
    """

    chain_id: str | None
    progress: Progress
    chain: ChainStatus | None
    gateway: GatewayStatus
    node: Raw


class Health(Struct, frozen=True):
    """The answer of ``/livez`` and ``/readyz``."""

    status: Literal["ok"]


def block_document(
    block: Block,
    validators: ValidatorSet,
    root: LedgerRoot | None,
    certificate: QuorumCertificate | None,
) -> BlockDocument:
    """Describe a block of the epoch of ``validators``."""
    members = validators.members
    return BlockDocument(
        height=block.height,
        id=block_id(block).hex(),
        epoch=block.epoch,
        round=block.round,
        parent_id=block.parent_id.hex(),
        executed_height=block.executed_height,
        ledger_root=block.ledger_root.hex(),
        time_ms=block.time_ms,
        author=members[block.author].name,
        batches=[batch.hex() for batch in block.payload],
        signers=None
        if certificate is None
        else [members[index].name for index, _ in certificate.signatures],
        root=None if root is None else _root_document(root),
    )


def validators_document(start: EpochStart) -> ValidatorsDocument:
    """Describe the validator set of an epoch."""
    validators = start.validator_set()
    return ValidatorsDocument(
        epoch=start.number,
        height=start.height,
        quorum=validators.quorum,
        faulty_max=validators.faulty_max,
        set_hash=validators.hash.hex(),
        validators=[
            ValidatorDocument(
                index=index,
                name=member.name,
                did=member.did,
                key=member.key.hex(),
                peer_key=member.peer_key.hex(),
                address=member.address,
            )
            for index, member in enumerate(validators.members)
        ],
    )


def _root_document(root: LedgerRoot) -> RootDocument:
    return RootDocument(
        height=root.height,
        log_size=root.log_size,
        log_root=root.log_root.hex(),
        state_root=root.state_root.hex(),
        set_hash=root.set_hash.hex(),
        digest=root.digest.hex(),
    )
