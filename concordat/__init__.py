"""Concordat: a Byzantine-fault-tolerant publish/subscribe ledger for federations.

The face of the product: the public API, the command line, configuration and the composition
root that wires the processes. It holds no protocol rule of its own.

What users import from here is loaded when it is first used, so that a program which only verifies
proofs loads no HTTP client:

    from concordat import Client, Publisher, SeedSigner, read_genesis, verify
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.core.errors import (
        ConcordatError,
        DecodeError,
        PeerFault,
        ProofError,
        RejectCode,
        Rejected,
        Unavailable,
    )
    from ledger.core.event import Event, OpenEntry
    from ledger.core.genesis import (
        Genesis,
        Governors,
        Participant,
        ParticipantKey,
        read_genesis,
    )
    from ledger.core.proof import ProofBundle, VerifiedEvent, Verifier
    from ledger.core.signing import SeedSigner, Signer
    from ledger.core.state_proof import StateProofBundle, VerifiedState
    from ledger.core.trust.lists import EntryStatus, ListEntry
    from ledger.core.trust.operations import (
        ChangeList,
        PutEntry,
        RevokeEntry,
        SetGovernors,
        SetParameter,
        SetParticipant,
    )
    from pubsub.client.answers import LedgerEvent, Receipt, Refused
    from pubsub.client.async_client import AsyncClient, AsyncSubscription
    from pubsub.client.async_consumers import AsyncConsumers, AsyncMessage, AsyncMessages
    from pubsub.client.async_trust import AsyncTrust
    from pubsub.client.completeness import ProvenRange
    from pubsub.client.consumer_calls import Fetched
    from pubsub.client.identity import Publisher
    from pubsub.client.sync_client import Client, Subscription
    from pubsub.client.sync_consumers import Consumers, Message, Messages
    from pubsub.client.sync_trust import Trust
    from pubsub.client.trust_calls import Reading
    from pubsub.client.webhook_receiver import Delivered, MemorySeen, Seen, WebhookReceiver
    from pubsub.core.consumer.settlement import Nak, Settlement, Termination

__all__ = [
    "AsyncClient",
    "AsyncConsumers",
    "AsyncMessage",
    "AsyncMessages",
    "AsyncSubscription",
    "AsyncTrust",
    "ChangeList",
    "Client",
    "ConcordatError",
    "Consumers",
    "DecodeError",
    "Delivered",
    "EntryStatus",
    "Event",
    "Fetched",
    "Genesis",
    "Governors",
    "LedgerEvent",
    "ListEntry",
    "MemorySeen",
    "Message",
    "Messages",
    "Nak",
    "OpenEntry",
    "Participant",
    "ParticipantKey",
    "PeerFault",
    "ProofBundle",
    "ProofError",
    "ProvenRange",
    "Publisher",
    "PutEntry",
    "Reading",
    "Receipt",
    "Refused",
    "RejectCode",
    "Rejected",
    "RevokeEntry",
    "SeedSigner",
    "Seen",
    "SetGovernors",
    "SetParameter",
    "SetParticipant",
    "Settlement",
    "Signer",
    "StateProofBundle",
    "Subscription",
    "Termination",
    "Trust",
    "Unavailable",
    "VerifiedEvent",
    "VerifiedState",
    "Verifier",
    "WebhookReceiver",
    "read_genesis",
    "verify",
    "verify_state",
]

_MODULES = {
    "ledger.core.errors": (
        "ConcordatError",
        "DecodeError",
        "PeerFault",
        "ProofError",
        "RejectCode",
        "Rejected",
        "Unavailable",
    ),
    "ledger.core.event": ("Event", "OpenEntry"),
    "ledger.core.genesis": (
        "Genesis",
        "Governors",
        "Participant",
        "ParticipantKey",
        "read_genesis",
    ),
    "ledger.core.proof": ("ProofBundle", "VerifiedEvent", "Verifier"),
    "ledger.core.signing": ("SeedSigner", "Signer"),
    "ledger.core.state_proof": ("StateProofBundle", "VerifiedState"),
    "ledger.core.trust.lists": ("EntryStatus", "ListEntry"),
    "ledger.core.trust.operations": (
        "ChangeList",
        "PutEntry",
        "RevokeEntry",
        "SetGovernors",
        "SetParameter",
        "SetParticipant",
    ),
    "pubsub.client.answers": ("LedgerEvent", "Receipt", "Refused"),
    "pubsub.client.async_client": ("AsyncClient", "AsyncSubscription"),
    "pubsub.client.async_consumers": ("AsyncConsumers", "AsyncMessage", "AsyncMessages"),
    "pubsub.client.async_trust": ("AsyncTrust",),
    "pubsub.client.completeness": ("ProvenRange",),
    "pubsub.client.consumer_calls": ("Fetched",),
    "pubsub.client.identity": ("Publisher",),
    "pubsub.client.sync_client": ("Client", "Subscription"),
    "pubsub.client.sync_consumers": ("Consumers", "Message", "Messages"),
    "pubsub.client.sync_trust": ("Trust",),
    "pubsub.client.trust_calls": ("Reading",),
    "pubsub.client.webhook_receiver": ("Delivered", "MemorySeen", "Seen", "WebhookReceiver"),
    "pubsub.core.consumer.settlement": ("Nak", "Settlement", "Termination"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def verify(bundle: bytes, genesis: "Genesis | bytes") -> "VerifiedEvent":
    """Check a proof bundle offline, against genesis alone.

    To check many use :class:`Verifier`, which verifies each certificate once.

    Args:
        bundle: the canonical bytes (docs/proofs.md).
        genesis: the network's genesis, or the content of its file.

    Raises:
        DecodeError: the bytes are no bundle, or those of ``genesis`` no genesis file.
        ProofError: the bundle does not hold.
    """
    from ledger.core.genesis import read_genesis  # noqa: PLC0415 - loaded when used
    from ledger.core.proof import decode_bundle, verify_bundle  # noqa: PLC0415 - loaded when used

    trusted = read_genesis(genesis) if isinstance(genesis, bytes) else genesis
    return verify_bundle(decode_bundle(bundle), trusted)


def verify_state(bundle: bytes, genesis: "Genesis | bytes") -> "VerifiedState":
    """Check a state bundle offline, against genesis alone: what the state held, and when.

    Compare the ``key`` of what is shown with the one that you asked about.

    Args and errors as for :func:`verify`.
    """
    from ledger.core.genesis import read_genesis  # noqa: PLC0415 - loaded when used
    from ledger.core.state_proof import (  # noqa: PLC0415 - loaded when used
        decode_state_bundle,
        verify_state_bundle,
    )

    trusted = read_genesis(genesis) if isinstance(genesis, bytes) else genesis
    return verify_state_bundle(decode_state_bundle(bundle), trusted)


if not TYPE_CHECKING:  # a checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Load what ``__all__`` promises."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
