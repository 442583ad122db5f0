"""The state between two rounds, and what must be true of it.

A validator's past matters only through its lock and its highest certificate, and a round's votes
only through what they certified: no later statement can complete a certificate of an earlier
round, because rounds are explored in order (docs/specification.md, reduction 1).

The judgement is stated here again, from certificates alone, and calls no production rule.
"""

from typing import NamedTuple

from consensus.core.safety_record import SafetyRecord
from ledger.core.block import Block
from ledger.core.certificate import QuorumCertificate, TimeoutCertificate
from ledger.core.ids import BlockId, Round

__all__ = ["Certified", "State", "Violation", "block_name", "violation"]


class Certified(NamedTuple):
    """A certified block; ``parent`` is the index of its parent among the certified ones."""

    parent: int
    block: Block
    id: BlockId
    qc: QuorumCertificate


class State(NamedTuple):
    """What the round before has left behind.

    Attributes:
        round: the last round that was explored.
        certified: all certified blocks, the genesis block first, parents before children.
        tc: the certificate that gave ``round`` up, if a quorum did.
        records: the safety record of each honest validator.
    """

    round: Round
    certified: tuple[Certified, ...]
    tc: TimeoutCertificate | None
    records: tuple[SafetyRecord, ...]


class Violation(NamedTuple):
    """A property that does not hold."""

    name: str
    detail: str


def block_name(block: Block) -> str:
    """Give the round and a letter that tells siblings apart, for people."""
    return str(block.round) + (chr(ord("a") + block.time_ms) if block.round else "")


def violation(certified: tuple[Certified, ...]) -> Violation | None:
    """Judge the certified blocks: agreement first, then what the proof of it rests on."""
    finals = [index for index in range(len(certified)) if _commits(certified, index)]
    finals = sorted({certified[index].parent for index in finals})
    for at, final in enumerate(finals):
        for other in finals[at + 1 :]:
            if not (_descends(certified, other, final) or _descends(certified, final, other)):
                names = (
                    f"{block_name(certified[final].block)} and {block_name(certified[other].block)}"
                )
                return Violation("agreement", f"{names} are both final")
    return _weaker_violation(certified, finals)


def _weaker_violation(certified: tuple[Certified, ...], finals: list[int]) -> Violation | None:
    seen: dict[Round, int] = {}
    for index, item in enumerate(certified):
        if (first := seen.setdefault(item.block.round, index)) != index:
            names = f"{block_name(certified[first].block)} and {block_name(item.block)}"
            return Violation("one certificate a round", f"{names} are both certified")
        for final in finals:
            later = item.block.round > certified[final].block.round
            if later and not _descends(certified, index, final):
                detail = f"does not descend from final {block_name(certified[final].block)}"
                return Violation("the lemma", f"{block_name(item.block)} {detail}")
    return None


def _commits(certified: tuple[Certified, ...], index: int) -> bool:
    """Say whether the certificate makes the parent final: it says so itself."""
    commit = certified[index].qc.commit
    return commit is not None and commit.block_id == certified[certified[index].parent].id


def _descends(certified: tuple[Certified, ...], index: int, ancestor: int) -> bool:
    while index > ancestor:
        index = certified[index].parent
    return index == ancestor
