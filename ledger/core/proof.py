"""The proof bundle: that the network agreed on one event, checkable with the genesis file alone.

Owns the format of the bundle (docs/proofs.md), how one is made from a chain, and how one is
checked. A bundle shows, from the inside out: the entry is signed by its publisher; it is the leaf
at ``sequence`` of the log whose root is in ``root``; the digest of ``root`` is in ``header``; and a
quorum of validators signed that this header is final.

Bundles come from strangers: bytes give a bundle or ``DecodeError``, a bundle gives a verdict or
``ProofError``, and never another exception. Invariant: no position of an accepted bundle is
unchecked, so that changing any bit of one makes it refused.
"""

from base64 import b64encode
from collections import OrderedDict
from typing import Annotated, Literal, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Meta

from ledger.core.block import Block, LedgerRoot, block_id
from ledger.core.certificate import Domain, QuorumCertificate
from ledger.core.codec import Codec, Hash32, Record, UInt
from ledger.core.epoch_proof import (
    EndingSource,
    EpochEnding,
    EpochEndings,
    SetChain,
    endings_before,
)
from ledger.core.errors import DecodeError, Forgotten, InvariantError, PeerFault, ProofError
from ledger.core.event import Event, OpenEntry, open_entry, signature_check
from ledger.core.genesis import Genesis
from ledger.core.ids import BlockId, EventId, Height, Sequence
from ledger.core.limits import (
    ENTRY_BYTES_MAX,
    PROOF_HEADERS_REMEMBERED_MAX,
    PROOF_PATH_HASHES_MAX,
    PROOF_SEQUENCES_REMEMBERED_MAX,
)
from ledger.core.merkle import inclusion_proof, leaf_hash
from ledger.core.merkle_proof import verify_inclusion
from ledger.core.signing import verify_many

__all__ = [
    "CertifiedRoot",
    "ProofBundle",
    "ProofSource",
    "RootSource",
    "VerifiedEvent",
    "Verifier",
    "build_bundle",
    "bundle_json",
    "certified_root",
    "decode_bundle",
    "encode_bundle",
    "plain",
    "verify_bundle",
    "verify_entry",
    "with_entry",
]


class ProofBundle(Record, frozen=True):
    """Everything that shows one event to be in the ledger.

    Attributes:
        version: format of this array.
        entry: the encoded signed event, the leaf; empty where the member that made the bundle has
            forgotten it: whoever has the entry adds it with :func:`with_entry`.
        sequence: its ledger sequence number, its position in the log.
        path: inclusion proof (RFC 9162, 2.1.3), siblings from the leaf to the root.
        root: the ledger whose log the path leads to.
        header: a block that carries the digest of ``root``.
        certificate: the quorum certificate that makes exactly this header final.
        epoch_ends: the end of every epoch before that of ``header``, oldest first: who its
            validators are follows from genesis through them.
    """

    version: Literal[1]
    entry: Annotated[bytes, Meta(max_length=ENTRY_BYTES_MAX)]
    sequence: UInt
    path: Annotated[tuple[Hash32, ...], Meta(max_length=PROOF_PATH_HASHES_MAX)]
    root: LedgerRoot
    header: Block
    certificate: QuorumCertificate
    epoch_ends: EpochEndings


class VerifiedEvent(NamedTuple):
    """An event that the network agreed on.

    Attributes:
        height: height of the final block that the proof ends in; the event itself was applied
            at most at ``root.height``, a few blocks before.
        time_ms: time of that block: the ledger held the event by then, ms since 1970 UTC.
    """

    event: Event
    id: EventId
    entry: bytes
    sequence: Sequence
    height: Height
    time_ms: int


class CertifiedRoot(NamedTuple):
    """A ledger root, a header that carries its digest, and what makes that header final."""

    root: LedgerRoot
    header: Block
    certificate: QuorumCertificate
    epoch_ends: tuple[EpochEnding, ...] = ()


class RootSource(EndingSource, Protocol):
    """Where certified ledger roots are found."""

    def first_height(self) -> Height:
        """Give the height from which on every ledger is here: 0, or that of a snapshot."""
        ...

    def first_certified(self, at_least: Height) -> Height | None:
        """Give the lowest height from ``at_least`` on whose block has its own certificate."""
        ...

    def block(self, height: Height) -> Block | None:
        """Give the final block at ``height``."""
        ...

    def root(self, height: Height) -> LedgerRoot | None:
        """Give the ledger after the block at ``height``."""
        ...


class ProofSource(RootSource, Protocol):
    """What making a bundle reads from a chain."""

    def entry(self, sequence: Sequence) -> bytes | None:
        """Give the entry at ``sequence``, or None when the log is shorter."""
        ...

    def height_of(self, sequence: Sequence) -> Height:
        """Give the height of the block that applied the entry at ``sequence``."""
        ...

    def read_tile(self, level: int, index: int) -> bytes:
        """Give the hashes of one tile of the log."""
        ...


_K = TypeVar("_K")
_V = TypeVar("_V")

_codec = Codec(ProofBundle)


def decode_bundle(data: bytes) -> ProofBundle:
    """Decode a bundle; nothing in it is believed yet.

    Raises:
        DecodeError: not the canonical encoding of a bundle.
    """
    return _codec.decode(data)


def encode_bundle(bundle: ProofBundle) -> bytes:
    """Encode a bundle canonically; the inverse of :func:`decode_bundle`."""
    return _codec.encode(bundle)


def with_entry(bundle: ProofBundle, entry: bytes) -> ProofBundle:
    """Give a bundle of a forgotten event with the entry that its reader has kept."""
    return msgspec.structs.replace(bundle, entry=entry)


def build_bundle(source: ProofSource, sequence: Sequence) -> ProofBundle | None:
    """Make the proof of the event at ``sequence``, without its entry when that is forgotten.

    Returns:
        None while there is no such event, or no final header with a certificate of its own
        carries a ledger root that holds it: that comes one or two blocks later.

    Raises:
        InvariantError: the chain lacks what it must hold.
    """
    try:
        entry = source.entry(sequence)
    except Forgotten:
        entry = b""
    if entry is None:
        return None
    found = certified_root(source, source.height_of(sequence))
    if found is None:
        return None
    root = found.root
    path = tuple(inclusion_proof(source.read_tile, sequence, root.log_size))
    return ProofBundle(1, entry, sequence, path, *found)


def certified_root(source: RootSource, at_least: Height) -> CertifiedRoot | None:
    """Give the first ledger from height ``at_least`` on that a certified header carries.

    Not every height has one: after a failed leader a header carries the ledger of a later block.

    Returns:
        None while there is none; it comes one or two blocks later.

    Raises:
        InvariantError: the chain lacks what it must hold.
    """
    first = max(at_least, source.first_height())
    height = source.first_certified(Height(first + 1))
    while height is not None:
        header, certificate = source.block(height), source.certificate(height)
        if header is None or certificate is None:
            raise InvariantError(f"the chain lacks the certified block at height {height}")
        if header.executed_height >= first:
            root = source.root(header.executed_height)
            if root is None:
                raise InvariantError(f"the chain lacks the root at {header.executed_height}")
            return CertifiedRoot(root, header, certificate, endings_before(source, header.epoch))
        height = source.first_certified(Height(height + 1))
    return None


def bundle_json(bundle: ProofBundle) -> bytes:
    """Write a bundle for people: named fields, digests in hexadecimal.

    Only the member ``bundle`` counts, the canonical bytes in base64; the rest is never read back.
    """
    opened = open_entry(bundle.entry) if bundle.entry else None
    document = {
        "id": None if opened is None else opened.id.hex(),
        "event": None if opened is None else plain(opened.event),
        **{
            name: plain(getattr(bundle, name))
            for name in (
                "version",
                "sequence",
                "path",
                "root",
                "header",
                "certificate",
                "epoch_ends",
            )
        },
        "bundle": b64encode(encode_bundle(bundle)).decode(),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def plain(value: object) -> object:
    """Give a value as JSON has it: records with names, bytes in hexadecimal."""
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


class Verifier:
    """Checks bundles of one network, and that they agree with each other.

    A certificate that was verified once costs a comparison after that, so that following a log
    costs one quorum of signatures for each header and one signature for each event. The verdict
    on a bundle does not depend on what was seen before, with one exception: a bundle that
    contradicts an accepted one is refused, since both together prove that more than f validators
    signed two histories. What is remembered is bounded; the oldest is forgotten first.
    """

    __slots__ = ("_certified", "_events", "_sets", "_top", "chain_id")

    def __init__(self, genesis: Genesis) -> None:
        """Trust ``genesis`` and nothing else."""
        self.chain_id = genesis.chain_id
        self._sets = SetChain(genesis)
        self._certified: OrderedDict[Height, tuple[BlockId, QuorumCertificate]] = OrderedDict()
        self._events: OrderedDict[Sequence, EventId] = OrderedDict()
        self._top: LedgerRoot | None = None

    def verify(self, bundle: ProofBundle) -> VerifiedEvent:
        """Check everything that ``bundle`` claims.

        Raises:
            ProofError: it does not hold, or contradicts a bundle that did.
        """
        opened = verify_entry(bundle.entry, self.chain_id)
        root, header = bundle.root, bundle.header
        verify_inclusion(
            bundle.sequence, root.log_size, leaf_hash(bundle.entry), root.log_root, bundle.path
        )
        certified = CertifiedRoot(root, header, bundle.certificate, bundle.epoch_ends)
        header_id = self._verify_root(certified)
        sequence = Sequence(bundle.sequence)
        if self._events.get(sequence, opened.id) != opened.id:
            raise ProofError(f"fork: two events are proven at sequence {sequence}")
        self._require_one_history(root)
        self._remember(certified, header_id)
        _put(self._events, sequence, opened.id, PROOF_SEQUENCES_REMEMBERED_MAX)
        return VerifiedEvent(
            opened.event, opened.id, opened.entry, sequence, header.height, header.time_ms
        )

    def verify_root(self, certified: CertifiedRoot) -> None:
        """Check that the network agreed on a ledger root.

        Raises:
            ProofError: it is not shown, or contradicts a bundle that held.
        """
        header_id = self._verify_root(certified)
        self._require_one_history(certified.root)
        self._remember(certified, header_id)

    def _verify_root(self, certified: CertifiedRoot) -> BlockId:
        root, header, certificate, endings = certified
        if header.executed_height != root.height or header.ledger_root != root.digest:
            raise ProofError("the header does not carry this ledger root")
        header_id = block_id(header)
        domain = self._sets.follow(endings)
        self._verify_certificate(header, header_id, certificate, domain)
        self._sets.require_in_its_epoch(certificate)
        return header_id

    def _verify_certificate(
        self, header: Block, header_id: BlockId, certificate: QuorumCertificate, domain: Domain
    ) -> None:
        """Check that a quorum made this header final, and no other at its height."""
        commit = certificate.commit
        if commit is None or commit.block_id != header_id or commit.height != header.height:
            raise ProofError("the certificate does not commit this header")
        known = self._certified.get(header.height)
        if known == (header_id, certificate) and certificate.epoch == domain.epoch:
            return
        try:
            certificate.verify(domain)
        except PeerFault as fault:
            raise ProofError(f"the certificate does not hold: {fault}") from None
        if known is not None and known[0] != header_id:
            raise ProofError(f"fork: two blocks are proven final at height {header.height}")

    def _require_one_history(self, root: LedgerRoot) -> None:
        """Refuse what cannot be the same log as the accepted bundles' one."""
        top = self._top
        if top is None:
            return
        if root.height == top.height and root != top:
            raise ProofError(f"fork: two ledgers are proven at height {root.height}")
        if root.log_size == top.log_size and root.log_root != top.log_root:
            raise ProofError(f"fork: two logs of {root.log_size} events are proven")
        lower, higher = (root, top) if root.height < top.height else (top, root)
        if lower.log_size > higher.log_size:
            raise ProofError(f"fork: the log shrinks between {lower.height} and {higher.height}")

    def _remember(self, certified: CertifiedRoot, header_id: BlockId) -> None:
        root, header, certificate, _ = certified
        self._sets.note(certificate)
        if self._top is None or root.height > self._top.height:
            self._top = root
        _put(self._certified, header.height, (header_id, certificate), PROOF_HEADERS_REMEMBERED_MAX)


def _put(memory: OrderedDict[_K, _V], key: _K, value: _V, count_max: int) -> None:
    memory[key] = value
    if len(memory) > count_max:
        memory.popitem(last=False)


def verify_entry(entry: bytes, chain_id: str) -> OpenEntry:
    """Check that an entry is of this network and signed by the key that it names.

    Raises:
        ProofError: it is not.
    """
    if not entry:
        raise ProofError("it lacks the event, which its maker has forgotten: add the event's entry")
    try:
        opened = open_entry(entry)
    except DecodeError as error:
        raise ProofError(f"the entry is not canonical: {error}") from None
    if opened.event.chain_id != chain_id:
        raise ProofError(f"the event is for the network {opened.event.chain_id}")
    if not all(verify_many([signature_check(opened)])):
        raise ProofError("the publisher's signature is wrong")
    return opened


def verify_bundle(bundle: ProofBundle, genesis: Genesis) -> VerifiedEvent:
    """Check one bundle against genesis alone; for more than one use :class:`Verifier`.

    Raises:
        ProofError: it does not hold.
    """
    return Verifier(genesis).verify(bundle)
