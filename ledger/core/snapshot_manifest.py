"""The manifest of a snapshot: which ledger it is of, and that the network agreed on it.

Owns what the copy of a ledger begins with (docs/decisions/0005-snapshots.md): a certified ledger
root, and how every epoch before it ended, so that genesis alone shows whose quorum it is and the
copy knows how each epoch began. Bytes from strangers give a manifest or ``DecodeError``; a manifest
gives its verdict or ``ProofError``.
"""

from collections.abc import Iterable
from typing import Annotated, Literal, Protocol

from msgspec import Meta

from ledger.core.block import Block, LedgerRoot, block_id
from ledger.core.certificate import QuorumCertificate
from ledger.core.codec import Codec, Record
from ledger.core.epoch import EpochStart
from ledger.core.epoch_proof import EpochEnding
from ledger.core.errors import InvariantError, ProofError
from ledger.core.genesis import Genesis
from ledger.core.ids import BlockId, Epoch, Height
from ledger.core.limits import PROOF_EPOCHS_MAX, SNAPSHOT_GAP_BLOCKS_MAX
from ledger.core.proof import CertifiedRoot, RootSource, Verifier, certified_root

__all__ = [
    "EndedEpoch",
    "Manifest",
    "ManifestSource",
    "epoch_starts",
    "manifest_codec",
    "new_manifest",
    "require_one_history",
    "verify_manifest",
]


class EndedEpoch(Record, frozen=True):
    """How an epoch ended, and with which block.

    Attributes:
        ending: as in a proof bundle.
        last: the block that it commits: the next epoch begins with it, at its time.
    """

    ending: EpochEnding
    last: Block


class Manifest(Record, frozen=True):
    """Which ledger a snapshot is of, and that the network agreed on it.

    Attributes:
        root: the ledger; header, certificate: as in a proof bundle.
        epoch_ends: of every epoch before that of ``header``, oldest first.
    """

    version: Literal[1]
    root: LedgerRoot
    header: Block
    certificate: QuorumCertificate
    epoch_ends: Annotated[tuple[EndedEpoch, ...], Meta(max_length=PROOF_EPOCHS_MAX)]


class ManifestSource(RootSource, Protocol):
    """What making a manifest reads from a chain."""

    def last_certified(self) -> Height | None:
        """Give the highest height whose block has its own certificate."""
        ...


manifest_codec = Codec(Manifest)


def new_manifest(source: ManifestSource) -> Manifest | None:
    """Describe the newest ledger that a certified header carries; None while there is none.

    Raises:
        InvariantError: the chain lacks what it must hold.
    """
    height = source.last_certified()
    header = None if height is None else source.block(height)
    found = None if header is None else certified_root(source, header.executed_height)
    if found is None or found.root.height == 0:
        return None
    ends = tuple(EndedEpoch(ending, _last_block(source, ending)) for ending in found.epoch_ends)
    return Manifest(1, found.root, found.header, found.certificate, ends)


def verify_manifest(manifest: Manifest, genesis: Genesis) -> None:
    """Check that the network of ``genesis`` agreed on the ledger of a manifest.

    Raises:
        ProofError: it is not shown.
    """
    ledger, header = manifest.root, manifest.header
    ends = manifest.epoch_ends
    if header.epoch != len(ends):
        raise ProofError(
            f"the header is of epoch {header.epoch}, but the ends of {len(ends)} epochs are shown"
        )
    Verifier(genesis).verify_root(_certified(manifest))
    for number, end in enumerate(ends):
        commit = end.ending.certificate.commit
        if commit is None or (commit.block_id, commit.height) != (
            block_id(end.last),
            end.last.height,
        ):
            raise ProofError(f"another block than the one that ended epoch {number}")
    start = epoch_starts(manifest, genesis)[-1]
    if ledger.height < start.height:
        raise ProofError(f"epoch {start.number} begins above the ledger at {ledger.height}")
    if ledger.set_hash != start.validator_set().hash:
        raise ProofError(f"the ledger has other validators than epoch {start.number}")
    if not 0 < ledger.height < header.height <= ledger.height + SNAPSHOT_GAP_BLOCKS_MAX:
        raise ProofError(f"block {header.height} is no header for the ledger at {ledger.height}")


def require_one_history(manifests: Iterable[Manifest], genesis: Genesis) -> None:
    """Check that manifests, each of which holds, are of one ledger.

    Keys of validators of the past can sign another one: it goes on where their epoch had ended.

    Raises:
        ProofError: two contradict each other.
    """
    verifier = Verifier(genesis)
    for manifest in manifests:
        verifier.verify_root(_certified(manifest))


def epoch_starts(manifest: Manifest, genesis: Genesis) -> list[EpochStart]:
    """Give how each epoch of a verified manifest began, genesis first."""
    starts = [EpochStart.of_genesis(genesis)]
    starts += (
        EpochStart(
            genesis_hash=genesis.hash,
            number=Epoch(number),
            height=Height(end.last.height),
            block_id=BlockId(block_id(end.last)),
            time_ms=end.last.time_ms,
            members=end.ending.validators,
        )
        for number, end in enumerate(manifest.epoch_ends, start=1)
    )
    return starts


def _certified(manifest: Manifest) -> CertifiedRoot:
    endings = tuple(end.ending for end in manifest.epoch_ends)
    return CertifiedRoot(manifest.root, manifest.header, manifest.certificate, endings)


def _last_block(source: ManifestSource, ending: EpochEnding) -> Block:
    commit = ending.certificate.commit
    block = None if commit is None else source.block(commit.height)
    if block is None:
        raise InvariantError("the chain lacks the last block of an epoch")
    return block
