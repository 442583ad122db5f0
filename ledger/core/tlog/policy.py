"""Who must have signed a checkpoint (C2SP tlog-policy), and whether they did.

Owns the policy's textual form, the policy that a validator set amounts to, and the verdict on a
checkpoint. A set's policy is its quorum: the log's keys are the validators', any one of which shows
that the log made the checkpoint, and a quorum of the same validators must have cosigned it.

Any bytes are a policy or ``DecodeError``; a note has a verdict or ``ProofError``.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from ledger.core.errors import DecodeError, ProofError
from ledger.core.limits import POLICY_BYTES_MAX, POLICY_NAMES_MAX
from ledger.core.tlog.checkpoint import (
    Checkpoint,
    cosigner_key,
    log_key,
    parse_checkpoint_text,
    verify_signature,
)
from ledger.core.tlog.note import (
    SignatureType,
    SignedNote,
    VerifierKey,
    parse_note,
    parse_verifier_key,
)
from ledger.core.validators import ValidatorSet

__all__ = [
    "CosignedCheckpoint",
    "Group",
    "Policy",
    "check_checkpoint",
    "parse_policy",
    "policy_of",
    "write_policy",
]

_NONE: Final = "none"
_GROUP: Final = "validators"
_KEYWORDS: Final = {"log": (1, 2), "witness": (2, 3), "group": (3, None), "quorum": (1, 1)}


class Group(NamedTuple):
    """Witnesses and groups, of which so many must have cosigned."""

    threshold: int
    members: tuple[str, ...]


class Policy(NamedTuple):
    """Whose signatures make a checkpoint valid.

    Attributes:
        logs: any one of them must have signed; none: whoever asks knows the log himself.
        witnesses, groups: by their names in the policy.
        quorum: the witness or group that must have cosigned; None: nobody need have.
    """

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey]
    groups: Mapping[str, Group]
    quorum: str | None


class CosignedCheckpoint(NamedTuple):
    """A checkpoint that holds, and when each witness cosigned it, in seconds since 1970."""

    checkpoint: Checkpoint
    times_s: Mapping[str, int]


def policy_of(origin: str, validators: ValidatorSet) -> Policy:
    """Give the policy that a quorum of a validator set is."""
    witnesses = {key.name: key for key in (cosigner_key(origin, v) for v in validators.members)}
    return Policy(
        logs=tuple(log_key(origin, validator) for validator in validators.members),
        witnesses=witnesses,
        groups={_GROUP: Group(validators.quorum, tuple(witnesses))},
        quorum=_GROUP,
    )


def write_policy(policy: Policy, *comments: str) -> bytes:
    """Write a policy, behind comments of one line each."""
    lines = [f"# {comment}" for comment in comments]
    lines += [f"log {key.text}" for key in policy.logs]
    lines += [f"witness {name} {key.text}" for name, key in policy.witnesses.items()]
    for name, group in policy.groups.items():
        lines.append(f"group {name} {group.threshold} {' '.join(group.members)}")
    lines.append(f"quorum {policy.quorum or _NONE}")
    return "".join(f"{line}\n" for line in lines).encode()


def parse_policy(data: bytes) -> Policy:
    """Read a policy; URLs in it are not looked at.

    Raises:
        DecodeError: it is none, or has keys of types that are not known here.
    """
    if len(data) > POLICY_BYTES_MAX:
        raise DecodeError(f"a policy may have {POLICY_BYTES_MAX} bytes, not {len(data)}")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"a policy is UTF-8: {error.reason}") from None
    if any(char < " " and char not in "\n\t" for char in text) or "\x7f" in text:
        raise DecodeError("a policy has no control characters but tabs and newlines")
    reader = _PolicyReader()
    for number, line in enumerate(text.split("\n"), start=1):
        words = [word for word in line.replace("\t", " ").split(" ") if word]
        if words and not words[0].startswith("#"):
            try:
                reader.take(words[0], words[1:])
            except DecodeError as error:
                raise DecodeError(f"line {number}: {error}") from None
    return reader.policy()


class _PolicyReader:
    """Takes the lines of a policy in turn."""

    def __init__(self) -> None:
        self._logs: list[VerifierKey] = []
        self._witnesses: dict[str, VerifierKey] = {}
        self._groups: dict[str, Group] = {}
        self._used: set[str] = set()
        self._quorums: list[str] = []

    def take(self, keyword: str, words: list[str]) -> None:
        """Take one line. Raises DecodeError."""
        if keyword not in _KEYWORDS:
            raise DecodeError(f"no policy has a line {keyword!r}")
        least, most = _KEYWORDS[keyword]
        if len(words) < least or (most is not None and len(words) > most):
            raise DecodeError(f"a {keyword} line of {len(words)} words")
        match keyword:
            case "log":
                self._add_log(words[0])
            case "witness":
                self._add_witness(words[0], words[1])
            case "group":
                self._add_group(words[0], words[1], words[2:])
            case _:
                self._quorums.append(words[0])
                self._require_known(words[0], may_be_none=True)

    def policy(self) -> Policy:
        """Give the policy. Raises DecodeError."""
        if len(self._quorums) != 1:
            raise DecodeError(f"a policy has one quorum line, not {len(self._quorums)}")
        quorum = None if self._quorums[0] == _NONE else self._quorums[0]
        return Policy(tuple(self._logs), self._witnesses, self._groups, quorum)

    def _add_log(self, text: str) -> None:
        key = parse_verifier_key(text)
        if key.key in {log.key for log in self._logs}:
            raise DecodeError("a log is listed twice")
        self._logs.append(key)

    def _add_witness(self, name: str, text: str) -> None:
        self._require_new(name)
        key = parse_verifier_key(text)
        if key.type is not SignatureType.COSIGNATURE:
            raise DecodeError(f"the key of {name} is no cosigner's")
        if key.key in {witness.key for witness in self._witnesses.values()}:
            raise DecodeError("a witness is listed twice")
        self._witnesses[name] = key

    def _add_group(self, name: str, threshold: str, members: list[str]) -> None:
        self._require_new(name)
        for member in members:
            self._require_known(member)
            if member in self._used:
                raise DecodeError(f"{member} is a member twice")
            self._used.add(member)
        words = {"any": 1, "all": len(members)}
        plain = threshold.isascii() and threshold.isdecimal() and len(threshold) < len("10000")
        count = words.get(threshold, int(threshold) if plain else 0)
        if not 1 <= count <= len(members):
            raise DecodeError(f"a group of {len(members)} cannot need {threshold}")
        self._groups[name] = Group(count, tuple(members))

    def _require_new(self, name: str) -> None:
        if name == _NONE or name in self._witnesses or name in self._groups:
            raise DecodeError(f"the name {name} is taken")
        if len(self._witnesses) + len(self._groups) >= POLICY_NAMES_MAX:
            raise DecodeError(f"more than {POLICY_NAMES_MAX} names")

    def _require_known(self, name: str, *, may_be_none: bool = False) -> None:
        is_none = may_be_none and name == _NONE
        if not is_none and name not in self._witnesses and name not in self._groups:
            raise DecodeError(f"{name} is not defined above")


def check_checkpoint(data: bytes, policy: Policy) -> CosignedCheckpoint:
    """Check a signed checkpoint.

    Raises:
        DecodeError: it is none.
        ProofError: too few signed, or a key that the policy names did not sign what stands there.
    """
    note = parse_note(data)
    checkpoint = parse_checkpoint_text(note.text)
    logs = {(key.name, key.id): key for key in policy.logs if key.name == checkpoint.origin}
    if policy.logs and not _times(note, logs):
        raise ProofError(f"no known log signed this checkpoint of {checkpoint.origin}")
    witnesses = {(key.name, key.id): key for key in policy.witnesses.values()}
    names = {(key.name, key.id): name for name, key in policy.witnesses.items()}
    times = {names[line]: time_s for line, time_s in _times(note, witnesses).items()}
    _require_quorum(policy, set(times))
    return CosignedCheckpoint(checkpoint, times)


_Line = tuple[str, bytes]


def _times(note: SignedNote, known: Mapping[_Line, VerifierKey]) -> dict[_Line, int]:
    """Give when each of the known keys signed. Raises ProofError when one did not."""
    times: dict[_Line, int] = {}
    for name, key_id, signature in note.signatures:
        key = known.get((name, key_id))
        if key is None:
            continue  # of nobody who is known here: says nothing
        time_s = verify_signature(key, note.text, signature)
        if time_s is None:
            raise ProofError(f"the signature of {name} is wrong")
        times[name, key_id] = time_s
    return times


def _require_quorum(policy: Policy, cosigned: set[str]) -> None:
    """Raise ProofError unless enough have cosigned."""
    present = set(cosigned)
    for name, group in policy.groups.items():  # each names only what stands above it
        if sum(member in present for member in group.members) >= group.threshold:
            present.add(name)
    if policy.quorum is not None and policy.quorum not in present:
        raise ProofError(f"{len(cosigned)} known witnesses cosigned, which are too few")
