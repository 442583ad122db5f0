"""Audits find what is wrong and nothing else; disputes say what differs."""

import json
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.tmf.entity import JsonObject
from adapters.tmf.usage.audit import AuditReport, audit_block, audit_share, open_total
from adapters.tmf.usage.block import Total, UsageBlock, encode_block
from adapters.tmf.usage.chain import audit_chain
from adapters.tmf.usage.condensing import Condensed
from adapters.tmf.usage.disputes import AttributeDifference, Difference, Held, compare
from adapters.tmf.usage.leaves import Entry, TotalKey, leaf_hashes, opening_of, reference_of
from adapters.tmf.usage.proof import VerifiedUsage, verify_usage
from adapters.tmf.usage.tree import Tree
from ledger.core.errors import ProofError
from ledger.core.event import Event
from tests.adapters.tmf.usage.usage_world import (
    BUYER,
    OTHER,
    SECRET,
    SELLER,
    counted,
    entry,
    event_of,
    party,
    record,
    seal,
    usage,
)

THEIRS = {"relatedParty": [party(SELLER, "Seller"), party(OTHER, "Buyer")]}
FIRST = seal([entry(usage("a", **counted(3))), entry(usage("b", **counted(4)))])
SECOND = seal(
    [
        entry(usage("a", **counted(2)), supersedes=1),
        entry(usage("c", **counted(9), **THEIRS)),
        entry(usage("a", **counted(1)), supersedes=3),
    ],
    FIRST.made.tip,
    {1: FIRST.entries[0]},
)
EARLIER = {1: record(usage("a", **counted(3)))}
KEY = TotalKey(BUYER, "urn:product:1", "storage", "GB")


def audit(
    event: Event = SECOND.event,
    entries: tuple[Entry, ...] = SECOND.entries,
    secret: bytes = SECRET,
) -> AuditReport:
    """Audit the second block, or what is given instead of it."""
    return audit_block(event, secret, entries, EARLIER)


def forged(**changes: object) -> Event:
    """Give an event of the second block with something changed by the seller."""
    block: UsageBlock = replace(SECOND.made.block, **changes)
    return event_of(Condensed(block, encode_block(block)))


def test_a_right_block_has_no_faults() -> None:
    """Recomputed root, window and totals agree; the auditor gets the sums in clear."""
    assert audit_block(FIRST.event, SECRET, FIRST.entries, {}).faults == ()
    report = audit()
    assert report.faults == ()
    assert report.totals == {KEY: "-2", KEY._replace(buyer=OTHER): "9"}


def _total(**changes: object) -> tuple[Total, ...]:
    first, *rest = SECOND.made.block.totals
    return (replace(first, **changes), *rest)


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        (forged(root=bytes(32)), "root"),
        (forged(commitment=bytes(32)), "secret"),
        (forged(from_ms=1), "window"),
        (forged(to_ms=2**50), "window"),
        (forged(totals=_total(amount="8")), "computed"),
        (forged(totals=_total(records=7)), "computed"),
        (forged(totals=_total(unit="TB")), "computed"),
        (forged(totals=SECOND.made.block.totals[1:]), "has no total"),
        (forged(totals=(*SECOND.made.block.totals, Total(b"\xff" * 32, "", "1", 1))), "no record"),
        (forged(count=4), "records were given"),
    ],
)
def test_a_seller_that_lies_is_found(event: Event, fault: str) -> None:
    """Each part of a block that is not what the records say is named."""
    assert any(fault in found for found in audit(event).faults)


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        (SECOND.entries[:2], "records were given"),
        (SECOND.entries[::-1], "root"),
        ((*SECOND.entries[:2], entry(usage("x"))), "root"),
        ((*SECOND.entries[:2], Entry(0, b"{}")), "no usage record"),
    ],
)
def test_other_records_than_the_block_holds_are_found(
    entries: tuple[Entry, ...], fault: str
) -> None:
    """What the auditor is given must be all of the block, in its order."""
    assert any(fault in found for found in audit(entries=entries).faults)


def test_another_secret_is_found() -> None:
    """A secret that the block does not commit to opens nothing."""
    assert any("commits to" in fault for fault in audit(secret=bytes(32)).faults)


def _sealed_wrongly(entries: list[Entry]) -> Event:
    """Put entries that intake would never write into a block."""
    block = replace(SECOND.made.block, root=Tree(leaf_hashes(SECRET, entries)).root, count=3)
    return event_of(Condensed(block, encode_block(block)))


@pytest.mark.parametrize(
    ("last", "fault"),
    [
        (entry(usage("a"), supersedes=2), "was not given"),
        (entry(usage("a"), supersedes=9), "corrects a later one"),
        (entry(usage("z"), supersedes=3), "another id or buyer"),
        (entry(usage("a", **THEIRS), supersedes=3), "another id or buyer"),
        (entry(usage("a")), "does not correct the newest"),
        (entry(usage("a"), supersedes=1), "does not correct the newest"),
    ],
)
def test_a_correction_that_is_none_is_found(last: Entry, fault: str) -> None:
    """A correction must name the newest version of the same record of the same buyer."""
    entries = [*SECOND.entries[:2], last]
    report = audit(_sealed_wrongly(entries), tuple(entries))
    assert any(fault in found for found in report.faults), report.faults


def _own(leaves: tuple[int, ...]) -> list[VerifiedUsage]:
    return [verify_usage(SECOND.proof(leaf), SECOND.event) for leaf in leaves]


def test_a_buyer_audits_its_share() -> None:
    """Its own records and openings show a buyer that nothing was added or left out."""
    opening = opening_of(SECRET, KEY)
    assert audit_share(SECOND.event, _own((0, 2)), EARLIER, [opening]) == ()
    assert audit_share(SECOND.event, _own((0,)), EARLIER, [opening])
    assert audit_share(SECOND.event, _own((0, 2)), {}, [opening])
    assert audit_share(SECOND.event, _own((0, 2)), EARLIER, [])
    assert audit_share(SECOND.event, _own((0, 2, 1)), EARLIER, [opening])
    with pytest.raises(ProofError, match="another block"):
        audit_share(FIRST.event, _own((0, 2)), EARLIER, [opening])


def test_an_opening_opens_one_total() -> None:
    """With another salt, product or unit it opens nothing."""
    block, opening = SECOND.made.block, opening_of(SECRET, KEY)
    assert open_total(block, opening).amount == "-2"
    assert reference_of(opening) != reference_of(opening._replace(salt=bytes(32)))
    for wrong in (
        opening._replace(salt=bytes(32)),
        opening._replace(key=KEY._replace(product="p")),
        opening._replace(key=KEY._replace(unit="TB")),
    ):
        with pytest.raises(ProofError):
            open_total(block, wrong)


THIRD = seal([entry(usage("d"))], SECOND.made.tip)
FORK = seal([entry(usage("e"))], SECOND.made.tip)


def _following(**changes: object) -> Event:
    block: UsageBlock = replace(THIRD.made.block, **changes)
    return event_of(Condensed(block, encode_block(block)))


@pytest.mark.parametrize(
    ("events", "faults"),
    [
        ([], []),
        ([FIRST.event, SECOND.event, THIRD.event], []),
        ([FIRST.event, FIRST.event, SECOND.event, FIRST.event], []),
        ([SECOND.event], ["blocks 1 to 1 are missing"]),
        ([FIRST.event, THIRD.event], ["blocks 2 to 2 are missing"]),
        ([FIRST.event, SECOND.event, THIRD.event, FORK.event], ["two blocks 3"]),
        ([FIRST.event, SECOND.event, _following(previous=bytes(32))], ["follows another block 2"]),
        ([FIRST.event, SECOND.event, _following(first=8)], ["records 6 to 7 are in no block"]),
    ],
)
def test_a_chain_shows_its_gaps(events: list[Event], faults: list[str]) -> None:
    """Missing blocks, forks, other predecessors and skipped records are named."""
    found = audit_chain(events)
    assert len(found) == len(faults)
    assert all(part in fault for part, fault in zip(faults, found, strict=True))


def test_a_chain_has_one_seller() -> None:
    """Blocks of two sellers are no chain."""
    other = replace(FIRST.made.block, seller=OTHER)
    made = Condensed(other, encode_block(other))
    event = replace(event_of(made), publisher=OTHER, subject=f"usage-log:{OTHER}")
    with pytest.raises(ProofError):
        audit_chain([FIRST.event, event])


DOCUMENTS = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(0, 2)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
        ),
        max_leaves=5,
    ),
)
SIDES = st.dictionaries(
    st.sampled_from("xyz"), st.builds(Held, DOCUMENTS, st.sampled_from([None, 1, 2]))
)


def _plain(value: object) -> object:
    """Take a value without what means nothing: members and last elements that are null."""
    if isinstance(value, dict):
        kept = {name: _plain(inner) for name, inner in value.items()}
        return {name: inner for name, inner in kept.items() if inner is not None}
    if isinstance(value, list):
        elements = [_plain(inner) for inner in value]
        while elements and elements[-1] is None:
            elements.pop()
        return elements
    return value


def _text(held: Held) -> str:
    return json.dumps(_plain(held.document), sort_keys=True)


@given(SIDES, SIDES)
def test_disputes_name_exactly_what_differs(
    buyer: Mapping[str, Held], seller: Mapping[str, Held]
) -> None:
    """A difference is told for each id where the sides differ, and for no other."""
    told = {difference.id: difference for difference in compare(buyer, seller)}
    for id_ in buyer.keys() | seller.keys():
        left, right = buyer.get(id_), seller.get(id_)
        if left is None or right is None:
            assert told[id_].what == ("missing" if left is None else "extra")
        elif _text(left) != _text(right):
            assert told[id_].what == "changed"
            assert told[id_].attributes
        else:
            is_moved = None not in (left.block, right.block) and left.block != right.block
            assert (id_ in told) == is_moved
    assert told.keys() <= buyer.keys() | seller.keys()


@pytest.mark.parametrize(
    ("change", "attributes"),
    [
        (lambda d: d, ()),
        (lambda d: d | {"status": "rated"}, (AttributeDifference("status", None, "rated"),)),
        (
            lambda d: d | counted(6),
            (AttributeDifference("usageCharacteristic[0].value.amount", 5, 6),),
        ),
        (
            lambda d: d | {"relatedParty": d["relatedParty"][:1]},
            (AttributeDifference("relatedParty[1]", usage("u")["relatedParty"][1], None),),
        ),
    ],
)
def test_a_changed_record_is_told_by_path(
    change: Callable[[JsonObject], JsonObject], attributes: tuple[AttributeDifference, ...]
) -> None:
    """The attribute that differs is named by its path, with both values."""
    found = compare({"u": Held(usage("u"))}, {"u": Held(change(usage("u")))})
    assert found == ([Difference("u", "changed", attributes)] if attributes else [])


def test_a_truth_is_no_number() -> None:
    """True differs from 1, which is 1.0."""
    found = compare({"u": Held({"a": [True, 1]})}, {"u": Held({"a": [1, 1.0]})})
    assert found == [Difference("u", "changed", (AttributeDifference("a[0]", True, 1),))]


def test_a_record_in_another_block_is_told() -> None:
    """The same record in two blocks is no change of its content."""
    found = compare({"u": Held(usage("u"), 1)}, {"u": Held(usage("u"), 2)})
    assert found == [Difference("u", "moved", (), 1, 2)]
    assert compare({"u": Held(usage("u"), 1)}, {"u": Held(usage("u"))}) == []
