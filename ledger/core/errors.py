"""The errors that cross a boundary, and nothing else.

    ConcordatError
     |- DecodeError      bytes are not the canonical form of the value that was asked for
     |- ProofError       a proof does not hold; nothing may be concluded from it
     |- Rejected         the client's fault: stable code, answered as 4xx problem+json
     |- PeerFault        a peer's fault: counted, scored, maybe disconnected; never fatal here
     |- Unavailable      the environment's fault: retry with backoff and a limit
     |- Forgotten        this member holds no such contents any more; another one may
    InvariantError       our bug or a broken disk: stop the process, keep the evidence, never catch

Only ``InvariantError`` is outside the tree, so that ``except ConcordatError`` cannot swallow it.
"""

from enum import StrEnum

__all__ = [
    "ConcordatError",
    "DecodeError",
    "Forgotten",
    "InvariantError",
    "Offence",
    "PeerFault",
    "ProofError",
    "RejectCode",
    "Rejected",
    "Unavailable",
]


class RejectCode(StrEnum):
    """Why an event was refused. The values are stable: clients branch on them."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    WRONG_CHAIN = "wrong_chain"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_PUBLISHER = "unknown_publisher"
    UNKNOWN_KEY = "unknown_key"
    REVOKED_KEY = "revoked_key"
    TOPIC_FORBIDDEN = "topic_forbidden"
    TIME_TOO_OLD = "time_too_old"
    TIME_IN_FUTURE = "time_in_future"
    DUPLICATE = "duplicate"
    OVERLOADED = "overloaded"
    OPERATION_MALFORMED = "operation_malformed"
    OPERATION_REFUSED = "operation_refused"
    NO_SUCH_ENTRY = "no_such_entry"
    CONFLICT = "conflict"
    PREVIOUS_HASH_MISMATCH = "previous_hash_mismatch"


class Offence(StrEnum):
    """What a peer did wrong. Each is a label of the ``peer_faults_total`` metric."""

    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad_signature"
    BAD_CERTIFICATE = "bad_certificate"
    BAD_BLOCK = "bad_block"
    BAD_BATCH = "bad_batch"
    BAD_SYNC = "bad_sync"
    BAD_CHECKPOINT = "bad_checkpoint"
    EQUIVOCATION = "equivocation"
    FLOOD = "flood"
    WRONG_IDENTITY = "wrong_identity"
    WRONG_CHAIN = "wrong_chain"
    WRONG_VERSION = "wrong_version"


class ConcordatError(Exception):
    """Base of every error that a caller may handle."""


class DecodeError(ConcordatError):
    """The bytes are not the canonical encoding of a value of the type that was asked for."""


class ProofError(ConcordatError):
    """The proof does not show what it claims."""


class Rejected(ConcordatError):  # noqa: N818 - the protocol's word for it
    """A client's input was refused and changed nothing.

    Attributes:
        code: stable machine-readable reason.
        detail: one sentence for people; may change between releases.
    """

    def __init__(self, code: RejectCode, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else str(code))
        self.code = code
        self.detail = detail


class PeerFault(ConcordatError):  # noqa: N818 - the protocol's word for it
    """A peer broke the protocol."""

    def __init__(self, offence: Offence, detail: str = "") -> None:
        super().__init__(f"{offence}: {detail}" if detail else str(offence))
        self.offence = offence
        self.detail = detail


class Unavailable(ConcordatError):  # noqa: N818 - the protocol's word for it
    """Something outside failed for now; trying again later may succeed."""


class Forgotten(ConcordatError):  # noqa: N818 - an answer, like Rejected
    """The log has the entry, but this member was told to forget its contents.

    Attributes:
        sequence: what was asked for; first_held: from where on contents are held.
    """

    def __init__(self, sequence: int, first_held: int) -> None:
        super().__init__(
            f"this member has forgotten what is below sequence {first_held}, as its operator chose"
        )
        self.sequence = sequence
        self.first_held = first_held


class InvariantError(Exception):
    """A rule that must always hold does not: the process stops and keeps the evidence."""
