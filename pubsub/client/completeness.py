"""Showing that nothing was left out of what a gateway gave of some topics.

Owns the check. Governors make topics complete: the state then holds the digest of a chain over all
events on them, which a proof shows against genesis. A gateway gives the chain's rows, one an event;
who holds an event for each row of the topics that it wants has missed none of them. That also shows
each of these events, at its sequence: none needs a proof of its own.

Invariants: nothing counts before the chain's end was proven. A failed check changes nothing here.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ledger.core.errors import DecodeError, Offence, PeerFault, ProofError
from ledger.core.ids import Height
from ledger.core.proof import Verifier
from ledger.core.state_proof import verify_state
from ledger.core.topic_rules import (
    CHAIN_START,
    TopicChain,
    chain_row,
    extend_chain,
    rule_codec,
    rule_key,
    topic_digest,
)
from ledger.core.topics import TopicPattern
from pubsub.core.rights import pattern_covers
from pubsub.core.topic_documents import CompletenessPage, CompletenessRow, RuleDocument

__all__ = ["CompletenessChecker", "ProvenRange", "choose_rule"]


class ProvenRange(NamedTuple):
    """Events on a pattern's topics of which none is missing.

    Attributes:
        begin: from this sequence on; end: up to the one before this.
        events: how many there are, of which nothing was proven before.
        height: the block after which it was so; time_ms: it was so by this time.
    """

    pattern: str
    begin: int
    end: int
    events: int
    height: Height
    time_ms: int


def choose_rule(rules: Iterable[RuleDocument], pattern: str) -> str:
    """Give the pattern of the rule that makes ``pattern`` complete with the fewest events.

    Raises:
        ProofError: no rule does.
    """
    covering = [
        rule for rule in rules if rule.is_complete and pattern_covers(rule.pattern, pattern)
    ]
    if not covering:
        raise ProofError(f"no rule makes {pattern} complete, so nothing shows what was left out")
    return min(covering, key=lambda rule: (rule.count, rule.pattern)).pattern


class _Draft(NamedTuple):
    """Rows taken on top of what is proven.

    Attributes:
        covered, digest: of the chain behind them; is_anchored: it is known where it begins.
        look: everything in front of this sequence was looked at.
    """

    covered: int
    digest: bytes
    is_anchored: bool
    look: int
    rows: tuple[CompletenessRow, ...]


class CompletenessChecker:
    """Checks the events of one reader, in order.

    Attributes:
        rule: pattern of the rule that is used.
        begin: the first sequence that matters; None for the beginning of the rule.
        proven: which events there are in front of this sequence is proven.
    """

    __slots__ = (
        "_base",
        "_digest",
        "_draft",
        "_expected",
        "_pattern",
        "_since",
        "_verifier",
        "begin",
        "proven",
        "rule",
    )

    def __init__(self, verifier: Verifier, rule: str, pattern: str, begin: int | None) -> None:
        """Check events on ``pattern``, which the rule covers."""
        self._verifier = verifier
        self._pattern = TopicPattern(pattern)
        self._digest = topic_digest(pattern) if self._pattern.is_literal else None
        self._since: int | None = None
        self._base: _Draft | None = None
        self._draft: _Draft | None = None
        self._expected: deque[CompletenessRow] = deque()
        self.rule = rule
        self.begin = begin
        self.proven = 0

    def question(self, size: int) -> dict[str, str]:
        """Give the query of the next page, to prove a log of at least ``size`` events."""
        draft = self._draft or self._base
        if draft is None:
            return {"begin": str(self.begin or 0), "size": str(size)}
        # Governors set the rule by an event, so something was looked at.
        return {"after": str(draft.look - 1), "size": str(max(size, draft.look))}

    def take(self, page: CompletenessPage, size: int) -> ProvenRange | None:
        """Take a page; give what is proven now, or None while there are more pages to take.

        Raises:
            ProofError: the rows are not the chain's.
            PeerFault: it is not the page that was asked for.
        """
        before = self._draft or self._base or self._begun(page)
        self._draft = None
        draft = self._extended(before, page)
        if page.next is None:
            return self._prove(draft, page, size)
        if page.next < max(before.look, draft.look - 1):
            raise PeerFault(Offence.MALFORMED, "a page that does not go on")
        self._draft = draft._replace(look=page.next + 1)
        return None

    def check(self, events: Sequence[tuple[int, bytes]], cursor: int) -> None:
        """Compare (sequence, leaf hash) of what a gateway gave up to ``cursor`` with the chain.

        Raises:
            ProofError: an event was left out, or is not on the ledger as it was given.
        """
        assert cursor < self.proven, "ask for more rows first"
        given = deque(events)
        used = 0
        for row in self._expected:
            if row.sequence > cursor:
                break
            if not given or given[0][0] > row.sequence:
                raise ProofError(f"event {row.sequence} was left out")
            if given[0] != (row.sequence, row.leaf_hash):
                raise ProofError(f"the ledger holds no such event as was sent as {given[0][0]}")
            given.popleft()
            used += 1
        if given:
            raise ProofError(f"the ledger holds no such event as was sent as {given[0][0]}")
        for _ in range(used):
            self._expected.popleft()

    # --- helpers ----------------------------------------------------------------------------

    def _begun(self, page: CompletenessPage) -> _Draft:
        """Give where the first page begins."""
        start = page.start
        if start is None:
            raise PeerFault(Offence.MALFORMED, "a page that does not say where it begins")
        is_first = start.count == 0
        if is_first and start.digest != CHAIN_START:
            raise ProofError("a chain that begins elsewhere")
        return _Draft(start.count, start.digest, is_first, 0, ())

    def _extended(self, draft: _Draft, page: CompletenessPage) -> _Draft:
        last = draft.look - 1
        for row in page.rows:
            if row.sequence <= last:
                raise PeerFault(Offence.MALFORMED, "rows out of order")
            last = row.sequence
        is_anchored = draft.is_anchored
        if page.rows and not is_anchored:
            # Behind this row nothing can be left out; in front of it nobody asked for anything.
            is_anchored = page.rows[0].sequence < (self.begin or 0)
            if not is_anchored:
                raise ProofError("what is in front of the first row is not shown")
        rows = (chain_row(row.sequence, row.topic_digest, row.leaf_hash) for row in page.rows)
        return _Draft(
            draft.covered + len(page.rows),
            extend_chain(draft.digest, rows),
            is_anchored,
            last + 1,
            (*draft.rows, *page.rows),
        )

    def _prove(self, draft: _Draft, page: CompletenessPage, size: int) -> ProvenRange:
        """Compare the rows with the chain that the state holds."""
        bundle = page.bundle
        if bundle.key != rule_key(self.rule):
            raise ProofError("the proof is of another key than the one asked for")
        shown = verify_state(self._verifier, bundle)
        log_size = bundle.root.log_size
        if log_size < max(size, draft.look):
            raise PeerFault(Offence.MALFORMED, f"a proof of {log_size} events, too few")
        chain = self._chain(shown.value)
        if (chain.count, chain.digest) != (draft.covered, draft.digest) or not draft.is_anchored:
            raise ProofError(f"the rows of {self.rule} are not those that the ledger holds")
        if self._since is None and self.begin is not None and self.begin < chain.since:
            raise ProofError(f"{self.rule} is complete only from sequence {chain.since} on")
        begin = chain.since if self.begin is None else self.begin
        wanted = [row for row in draft.rows if row.sequence >= begin and self._wants(row)]
        self._since, self.begin, self.proven = chain.since, begin, log_size
        self._expected.extend(wanted)
        self._base = draft._replace(look=log_size, rows=())
        return ProvenRange(
            self._pattern.text, begin, log_size, len(wanted), shown.height, shown.time_ms
        )

    def _chain(self, value: bytes | None) -> TopicChain:
        """Read the chain that goes on at a proven height."""
        try:
            rule = None if value is None else rule_codec.decode(value)
        except DecodeError as error:
            raise ProofError(f"not a rule: {error}") from None
        chain = None if rule is None else rule.chain
        if chain is None:
            raise ProofError(f"{self.rule} was never complete")
        if chain.until is not None:
            raise ProofError(f"{self.rule} ceased to be complete at sequence {chain.until}")
        if self._since not in (None, chain.since):
            raise ProofError(f"{self.rule} was begun anew at sequence {chain.since}")
        return chain

    def _wants(self, row: CompletenessRow) -> bool:
        if row.topic is not None:
            return self._pattern.matches(row.topic)
        if self._digest is not None:
            return row.topic_digest == self._digest
        raise ProofError(f"the gateway does not say on which topic event {row.sequence} is")
