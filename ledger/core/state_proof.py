"""The state proof bundle: what the network's state held for one key, or that it held nothing.

Owns the format of the bundle (docs/proofs.md), how one is made from a chain, and how one is
checked. A bundle shows, from the inside out: the state with the root in ``root`` holds ``value``
for ``key``, or nothing; the digest of ``root`` is in ``header``; and a quorum of validators signed
that this header is final. The last two are shown as for an event (``ledger.core.proof``).

Bundles come from strangers: bytes give a bundle or ``DecodeError``, a bundle gives a verdict or
``ProofError``, and never another exception. Invariant: no position of an accepted bundle is
unchecked: changing any bit of one makes it refused, or, in the key of an absence alone, another
true statement. So whoever asked compares the key.
"""

from base64 import b64encode
from typing import Annotated, Literal, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from ledger.core import statemap, statemap_proof
from ledger.core.block import Block, LedgerRoot
from ledger.core.certificate import QuorumCertificate
from ledger.core.codec import Codec, Record
from ledger.core.epoch_proof import EpochEndings
from ledger.core.genesis import Genesis
from ledger.core.ids import Height
from ledger.core.limits import STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
from ledger.core.proof import (
    CertifiedRoot,
    RootSource,
    Verifier,
    certified_root,
    plain,
)
from ledger.core.statemap_proof import StateProof

__all__ = [
    "StateProofBundle",
    "StateSource",
    "VerifiedState",
    "build_state_bundle",
    "decode_state_bundle",
    "encode_state_bundle",
    "is_state_bundle",
    "state_bundle_json",
    "verify_state",
    "verify_state_bundle",
]

_TAG = "state"
_BEGINNING = b"\x99" + msgspec.msgpack.encode(_TAG)  # an array of nine, then its tag


class StateProofBundle(Record, frozen=True, tag=_TAG):
    """Everything that shows what the state holds for one key.

    Attributes:
        version: format of this array.
        key: what was asked for.
        value: what the state holds for it; None when it holds nothing.
        proof: the path from the state's root to where the key belongs.
        root: the ledger whose state it is.
        header: a block that carries the digest of ``root``.
        certificate: the quorum certificate that makes exactly this header final.
        epoch_ends: as in ``ProofBundle``.
    """

    version: Literal[1]
    key: Annotated[bytes, Meta(max_length=STATE_KEY_BYTES_MAX)]
    value: Annotated[bytes, Meta(max_length=STATE_VALUE_BYTES_MAX)] | None
    proof: StateProof
    root: LedgerRoot
    header: Block
    certificate: QuorumCertificate
    epoch_ends: EpochEndings


class VerifiedState(NamedTuple):
    """What the network agreed on about one key.

    Attributes:
        value: None when the state held nothing.
        height: the state is that after this block.
        time_ms: time of the later block that the proof ends in: it was so by then.
    """

    key: bytes
    value: bytes | None
    height: Height
    time_ms: int


class StateSource(RootSource, Protocol):
    """What making a bundle reads from a chain."""

    def last_certified(self) -> Height | None:
        """Give the highest height whose block has its own certificate."""
        ...

    def read_node(self, node_hash: bytes) -> bytes:
        """Give one node of the state map, ``b""`` when there is none."""
        ...


_codec = Codec(StateProofBundle)


def is_state_bundle(data: bytes) -> bool:
    """Say whether bytes can only be a state bundle, not an event's."""
    return data.startswith(_BEGINNING)


def decode_state_bundle(data: bytes) -> StateProofBundle:
    """Decode a bundle; nothing in it is believed yet.

    Raises:
        DecodeError: not the canonical encoding of a bundle.
    """
    return _codec.decode(data)


def encode_state_bundle(bundle: StateProofBundle) -> bytes:
    """Encode a bundle canonically; the inverse of :func:`decode_state_bundle`."""
    return _codec.encode(bundle)


def build_state_bundle(
    source: StateSource, key: bytes, at_least: Height | None = None
) -> StateProofBundle | None:
    """Prove what the state holds for ``key``, be it nothing.

    Args:
        at_least: prove the first provable state from this height on; None for the newest.

    Returns:
        None while no certified header carries such a state.

    Raises:
        InvariantError: the chain lacks what it must hold.
    """
    found = _newest(source) if at_least is None else certified_root(source, at_least)
    if found is None:
        return None
    state_root = found.root.state_root
    value = statemap.get(source.read_node, state_root, key)
    proof = statemap.prove(source.read_node, state_root, key)
    return StateProofBundle(1, key, value, proof, *found)


def _newest(source: StateSource) -> CertifiedRoot | None:
    height = source.last_certified()
    header = None if height is None else source.block(height)
    return None if header is None else certified_root(source, header.executed_height)


def state_bundle_json(bundle: StateProofBundle) -> bytes:
    """Write a bundle for people: named fields, bytes in hexadecimal.

    Only the member ``bundle`` counts, the canonical bytes in base64; the rest is never read back.
    """
    names = ("version", "key", "value", "proof", "root", "header", "certificate", "epoch_ends")
    document = {
        **{name: plain(getattr(bundle, name)) for name in names},
        "bundle": b64encode(encode_state_bundle(bundle)).decode(),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def verify_state(verifier: Verifier, bundle: StateProofBundle) -> VerifiedState:
    """Check a bundle, and that it agrees with what ``verifier`` accepted before.

    Raises:
        ProofError: it does not hold, or contradicts a bundle that did.
    """
    statemap_proof.verify(bundle.root.state_root, bundle.key, bundle.value, bundle.proof)
    verifier.verify_root(
        CertifiedRoot(bundle.root, bundle.header, bundle.certificate, bundle.epoch_ends)
    )
    return VerifiedState(bundle.key, bundle.value, bundle.root.height, bundle.header.time_ms)


def verify_state_bundle(bundle: StateProofBundle, genesis: Genesis) -> VerifiedState:
    """Check one bundle against genesis alone; for more than one use :func:`verify_state`.

    Raises:
        ProofError: it does not hold.
    """
    return verify_state(Verifier(genesis), bundle)
