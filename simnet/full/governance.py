"""Governance of simulated whole nodes: who governs, what they decide, and what is no decision.

Changes of members and rules of topics are decided as in a network: one governor proposes, another
one approves. Beside them are handed in changes of a list, proposals that nobody else approves, and
operations that no ledger may take. Of each it is known by construction which it is.
"""

from typing import Final

from ledger.core.codec import encode
from ledger.core.event import entry_id
from ledger.core.genesis import Governors, Participant, ParticipantKey
from ledger.core.signing import SeedSigner
from ledger.core.trust.operations import (
    Approve,
    ChangeList,
    Operation,
    Propose,
    PutEntry,
    SetTopicRule,
    SetValidators,
)
from ledger.core.validators import Validator
from simnet.choices import Choices
from simnet.full.gateway import BULK, entries_of
from simnet.full.publishers import OVERTAKING, Publishers

__all__ = ["GOVERNING", "GOVERNORS", "Governance"]

_KEYS: Final = tuple(SeedSigner(bytes([23, i]) * 16) for i in range(4))
_WHO: Final = tuple((key, f"did:elsi:GOV{i}") for i, key in enumerate(_KEYS))
_ALL: Final = _WHO[:3]
_CLERK: Final = _WHO[3]  # writes a list, and governs nothing

GOVERNORS: Final = Governors(2, tuple(did for _, did in _ALL))
GOVERNING: Final = tuple(
    Participant(
        did,
        did.rpartition(":")[2],
        (ParticipantKey(key.public_key, revoked=False),),
        ("ledger.lists.schemas",) if key is _CLERK[0] else (),
    )
    for key, did in _WHO
)

_NONCE: Final = 10_000_000  # beyond those of other events
_LIFE_MS: Final = 3_600_000
_SHORT_MS: Final = 2_000
_SCHEMAS: Final = 4
_NO_REVISION: Final = 999
_RULES: Final = {  # number of a submission -> what is decided with it
    1: (SetTopicRule("city.>", True, False), SetTopicRule("energy.*.meter", True, False)),  # noqa: FBT003
    2: (SetTopicRule(OVERTAKING, False, True),),  # noqa: FBT003
    20: (SetTopicRule("energy.*.meter", False, False),),  # noqa: FBT003
}


class Governance:
    """What is decided in one run.

    Args:
        sets: that follow the first one.
    """

    def __init__(
        self, choices: Choices, publishers: Publishers, sets: tuple[tuple[Validator, ...], ...]
    ) -> None:
        self._choices = choices
        self._publishers = publishers
        self._sets = sets
        self._decided: dict[int, tuple[bytes, ...]] = {}

    def change(self, number: int, now_ms: int) -> tuple[bytes, ...]:
        """Make the proposal of the n-th later set and its approval: always the same events."""
        decided = self._decided.get(number)
        if decided is None:
            action, first = SetValidators(self._sets[number]), number % len(_ALL)
            nonce = _NONCE + 3 * number
            propose = Propose(action, now_ms + _LIFE_MS)
            proposal = self._make(_ALL[first], propose, nonce, now_ms)
            approve = Approve(entry_id(proposal))
            second = self._make(_ALL[(first + 1) % len(_ALL)], approve, nonce + 1, now_ms)
            decided = self._decided[number] = (proposal, second)
        return decided

    def rules(self, number: int, now_ms: int) -> tuple[bytes, ...]:
        """Make what is decided about topics with the n-th submission."""
        entries: list[bytes] = []
        for place, rule in enumerate(_RULES.get(number, ())):
            nonce = 3 * _NONCE + 10 * number + 2 * place
            proposal = self._make(_ALL[0], Propose(rule, now_ms + _LIFE_MS), nonce, now_ms)
            approval = self._make(_ALL[1], Approve(entry_id(proposal)), nonce + 1, now_ms)
            entries += (proposal, approval)
        return tuple(entries)

    def load(self, number: int, members: tuple[Validator, ...], now_ms: int) -> tuple[bytes, ...]:
        """Make what is handed in with the n-th submission, through the gateway.

        Args:
            members: of some set.
        """
        draw = self._choices.draw(f"governance {number}")
        nonce = 2 * _NONCE + number
        governor = _ALL[draw.below(len(_ALL))]
        until_ms = now_ms + _SHORT_MS
        schema = f"schema-{draw.below(_SCHEMAS)}"
        others = SetValidators(tuple(reversed(members)))
        twice = SetValidators((*members, members[0]))
        newest = self._decided.get(max(self._decided, default=-1))
        entries: list[bytes] = []

        def hand_in(who: tuple[SeedSigner, str], operation: Operation, kind: str = "good") -> None:
            entries.append(self._make(who, operation, nonce, now_ms, kind))

        match draw.below(8):
            case 0:
                hand_in(_CLERK, _put(schema, None))
            case 1:
                hand_in(_CLERK, _put(schema, _NO_REVISION), "stale change")
            case 2:
                hand_in(governor, Propose(others, until_ms))
            case 3:
                hand_in(governor, Approve(bytes(32)), "no such proposal")
            case 4:
                hand_in(governor, Propose(twice, until_ms), "no set")
            case 5:
                hand_in(_CLERK, Propose(others, until_ms), "no governor")
            case 6 if newest is not None:
                hand_in(_ALL[max(self._decided) % len(_ALL)], Approve(entry_id(newest[0])), "again")
            case _ if newest is not None:
                third = _ALL[(max(self._decided) + 2) % len(_ALL)]
                hand_in(third, Approve(entry_id(newest[0])))
        return entries_of(BULK, encode(entries)) if entries else ()

    def _make(
        self,
        who: tuple[SeedSigner, str],
        operation: Operation,
        nonce: int,
        now_ms: int,
        kind: str = "good",
    ) -> bytes:
        return self._publishers.operation(who, operation, nonce, now_ms, kind)


def _put(id_: str, expected: int | None) -> ChangeList:
    return ChangeList("schemas", (PutEntry(id_, "schema", b"{}", 0, 0, expected),))
