"""The core of replication: chains, ownership, retries, and the end state under any interleaving."""

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.tmf.replication.core.chain import Judgement, Rules, correct, fold, judge, select, take
from adapters.tmf.replication.core.model import NONE, Status, Told, Tracked
from adapters.tmf.replication.core.progress import Outcome, advance, pause_ms, replayed
from adapters.tmf.replication.core.selection import Selection, tag_of, tags_of
from ledger.core.limits import (
    REPLICATION_FAULTS_MAX,
    REPLICATION_RETRY_MS,
    REPLICATION_RETRY_MS_MAX,
    TAG_CHARS_MAX,
    TAGS_COUNT_MAX,
)
from tests.adapters.tmf.replication.played_catalogue import MEMBERS, OWN, Ledger, Statement

RULES = Rules(OWN)
A, B, C = (bytes([number]) * 32 for number in (1, 2, 3))


def told(version: bytes, previous: bytes, sequence: int, publisher: str = MEMBERS[0]) -> Told:
    """Give an event of one entity."""
    key = "product-offering/" + "0" * 64
    return Told("native", key, "product-offering", "x", publisher, sequence, version, previous)


FIRST = told(A, NONE, 1)
CHAIN = {"native": FIRST}


@pytest.mark.parametrize(
    ("event", "judgement"),
    [
        (told(B, A, 2), Judgement.NEXT),
        (told(NONE, A, 2), Judgement.NEXT),
        (told(A, NONE, 2), Judgement.AGAIN),
        (told(B, C, 2), Judgement.GAP),
        (told(A, NONE, 1), Judgement.SEEN),
        (told(B, A, 2, MEMBERS[1]), Judgement.FOREIGN),
    ],
)
def test_an_event_is_judged_by_its_chain(event: Told, judgement: Judgement) -> None:
    """Each relation of an event to the newest one before it has one judgement."""
    assert judge(FIRST, FIRST, event) is judgement


def test_a_version_that_was_overtaken_does_not_come_back() -> None:
    """The version before the newest, told after it, changes nothing; a real return to it does."""
    second = told(B, A, 1)
    assert judge(second, second, told(A, NONE, 2)) is Judgement.OVERTAKEN
    assert judge(second, second, told(A, B, 2)) is Judgement.NEXT


def test_an_entity_that_ended_stays_its_owners() -> None:
    """After the end only the owner may begin the entity again."""
    end = told(NONE, A, 2)
    assert judge(end, end, told(C, NONE, 3, MEMBERS[1])) is Judgement.FOREIGN
    assert judge(end, end, told(C, NONE, 3)) is Judgement.NEXT


def test_a_gap_is_remembered_until_the_chain_goes_on() -> None:
    """A first event that names a version before it, and a break later, are marked; a link heals."""
    tracked, judgement = take(None, told(B, A, 1), RULES)
    assert (judgement, tracked.has_gap, tracked.status) == (Judgement.GAP, True, Status.WANTED)
    again, _ = take(tracked, told(B, A, 2), RULES)
    assert again.has_gap
    healed, _ = take(again, told(C, B, 3), RULES)
    assert not healed.has_gap


def test_what_is_stored_already_is_not_fetched_again() -> None:
    """An event that tells the stored version again leaves the entity current."""
    tracked = Tracked(FIRST, CHAIN, Status.CURRENT, stored=A)
    assert take(tracked, told(A, NONE, 2), RULES)[0].status is Status.CURRENT
    assert take(tracked, told(B, A, 2), RULES)[0].status is Status.WANTED


def test_forms_have_chains_of_their_own_and_the_newest_event_counts() -> None:
    """Events of two forms about one entity break no chain; only its owner's count in any form."""
    other = msgspec.structs.replace(told(C, NONE, 2), form="desmos")
    tracked, judgement = take(Tracked(FIRST, CHAIN, Status.CURRENT, stored=A), other, RULES)
    assert (judgement, tracked.head, tracked.status) == (Judgement.NEXT, other, Status.WANTED)
    tracked, judgement = take(tracked, told(B, A, 3), RULES)
    assert (judgement, tracked.has_gap, tracked.head.form) == (Judgement.NEXT, False, "native")
    foreign = msgspec.structs.replace(told(C, NONE, 4, MEMBERS[1]), form="desmos")
    assert take(tracked, foreign, RULES) == (tracked, Judgement.FOREIGN)


def test_own_entities_are_never_fetched() -> None:
    """Own events record who owns the entity, and nothing more."""
    tracked, _ = take(None, told(A, NONE, 1, OWN), RULES)
    assert tracked.status is Status.OWN
    assert take(tracked, told(B, A, 2), RULES)[1] is Judgement.FOREIGN
    assert replayed(tracked) is tracked


def test_a_fault_is_tried_again_until_its_limit_then_quarantined() -> None:
    """A faulty answer leads to quarantine at the limit, not before; an operator starts anew."""
    tracked, _ = take(None, FIRST, RULES)
    outcome = Outcome("faulty", A, "hash-mismatch", "another")
    for attempt in range(1, REPLICATION_FAULTS_MAX):
        tracked = advance(tracked, outcome, 1_000, 0)
        assert (tracked.status, tracked.attempts) == (Status.WANTED, attempt)
    tracked = advance(tracked, outcome, 1_000, 0)
    assert (tracked.status, tracked.code) == (Status.QUARANTINED, "hash-mismatch")
    again = replayed(tracked)
    assert (again.status, again.attempts, again.due_ms, again.code) == (Status.WANTED, 0, 0, "")


def test_what_passes_by_itself_is_tried_for_ever() -> None:
    """An origin out of reach never leads to quarantine, only to longer pauses."""
    tracked, _ = take(None, FIRST, RULES)
    for _ in range(100):
        tracked = advance(tracked, Outcome("later", A), 5, 1_000)
    assert tracked.status is Status.WANTED
    assert tracked.due_ms == 5 + REPLICATION_RETRY_MS_MAX


@pytest.mark.parametrize(
    ("result", "status"), [("withheld", Status.WITHHELD), ("refused", Status.QUARANTINED)]
)
def test_some_outcomes_are_final_until_the_next_event(result: str, status: Status) -> None:
    """What is withheld or refused is not asked for again; a new version is."""
    tracked, _ = take(None, FIRST, RULES)
    tracked = advance(tracked, Outcome(result, A, "code"), 0, 0)  # type: ignore[arg-type]
    assert tracked.status is status
    assert take(tracked, told(B, A, 2), RULES)[0].status is Status.WANTED


@pytest.mark.parametrize("result", ["stored", "withheld", "later", "faulty", "refused"])
def test_the_end_of_an_older_fetch_changes_nothing(result: str) -> None:
    """A fetch that was overtaken by a newer event neither stores nor counts against anybody."""
    tracked, _ = take(Tracked(FIRST, CHAIN, Status.WANTED), told(B, A, 2), RULES)
    assert advance(tracked, Outcome(result, A, "code"), 0, 0) is tracked  # type: ignore[arg-type]
    held = advance(tracked, Outcome("stored", B), 0, 0)
    assert advance(held, Outcome(result, B, "code"), 0, 0) is held  # type: ignore[arg-type]


def test_pauses_double_and_spread_over_their_second_half() -> None:
    """The pause after n failures is between half and all of the doubled one."""
    assert [pause_ms(n, 1_000) for n in (1, 2, 3)] == [
        REPLICATION_RETRY_MS, 2 * REPLICATION_RETRY_MS, 4 * REPLICATION_RETRY_MS,
    ]  # fmt: skip
    assert pause_ms(1, 0) == REPLICATION_RETRY_MS // 2
    assert pause_ms(10_000, 1_000) == REPLICATION_RETRY_MS_MAX


def test_a_selection_looks_at_what_an_event_says() -> None:
    """Each dimension narrows the events that name it, and only those."""
    selection = Selection(environment="prd", categories=("c1", "c2"), sellers=("s",))
    event = msgspec.structs.replace(FIRST, tags=("prd", tag_of("category", "c2")))
    assert selection.wants(event)
    assert not selection.wants(msgspec.structs.replace(FIRST, tags=(tag_of("category", "c2"),)))
    other = msgspec.structs.replace(FIRST, tags=("prd", tag_of("category", "c3")))
    assert not selection.wants(other)
    anywhere = msgspec.structs.replace(FIRST, tags=("prd", "category:*", tag_of("seller", "t")))
    assert not selection.wants(anywhere)
    assert Selection(categories=("c1",)).wants(anywhere)
    assert not Selection(resources=("category",)).wants(event)


def test_tags_of_an_entity_fit_an_event() -> None:
    """However many values an entity has, its tags are few and short."""
    few, many = [f"urn:{n}" for n in range(4)], [f"urn:{n}" for n in range(5)]
    assert len(tags_of("category", few)) == 4
    assert tags_of("category", many) == ("category:*",)
    most = [tags_of(name, few) for name in ("category", "segment", "channel")]
    most.append(tags_of("seller", few[:3]))
    assert sum(map(len, most)) == TAGS_COUNT_MAX - 1
    assert all(len(tag) <= TAG_CHARS_MAX for tags in most for tag in tags)


def test_widening_a_selection_wants_what_it_hid_and_narrowing_keeps_what_is_held() -> None:
    """Only entities whose answer changes are touched."""
    none = Rules(OWN, Selection(resources=("category",)))
    hidden, _ = take(None, FIRST, none)
    assert hidden.status is Status.UNWANTED
    assert select(hidden, none) is hidden
    assert select(hidden, RULES).status is Status.WANTED
    held = Tracked(FIRST, CHAIN, Status.CURRENT, stored=A)
    assert select(held, none) is held
    waiting = Tracked(FIRST, CHAIN, Status.WANTED, attempts=3, due_ms=9)
    assert select(waiting, RULES) is waiting
    assert select(waiting, none).status is Status.UNWANTED


statements = st.lists(
    st.builds(Statement, st.integers(0, 2), st.integers(0, 3), st.integers(0, 4)), max_size=30
)


@dataclass
class Replica:
    """A node in miniature: what survives a restart, and what does not."""

    cursor: int = 0
    tracked: dict[str, Tracked] = field(default_factory=dict)
    store: dict[str, bytes] = field(default_factory=dict)
    under_way: list[tuple[str, bytes]] = field(default_factory=list)

    def read(self, ledger: Ledger, count: int) -> None:
        """Take the next events, as one transaction."""
        for event in ledger.events[self.cursor : self.cursor + count]:
            self.tracked[event.key], _ = take(self.tracked.get(event.key), event, RULES)
            if self.tracked[event.key].head.is_end:
                self.store.pop(event.key, None)
            self.cursor += 1

    def ask(self) -> None:
        """Begin to fetch all that is wanted."""
        for key, tracked in self.tracked.items():
            if (
                tracked.status is Status.WANTED
                and (key, tracked.head.version) not in self.under_way
            ):
                self.under_way.append((key, tracked.head.version))

    def answer(self, index: int, result: str) -> None:
        """End one of the fetches under way, in any order."""
        if self.under_way:
            key, version = self.under_way.pop(index % len(self.under_way))
            outcome = Outcome(result, version)  # type: ignore[arg-type]
            after = advance(self.tracked[key], outcome, 0, 0)
            if result == "stored" and after is not self.tracked[key]:
                self.store[key] = version
            self.tracked[key] = after


steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(1, 5)),
        st.tuples(st.just("ask"), st.just(0)),
        st.tuples(st.just("stored"), st.integers(0, 20)),
        st.tuples(st.just("later"), st.integers(0, 20)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(statements, steps)
def test_any_interleaving_ends_as_the_naive_model(
    published: list[Statement], plan: list[tuple[str, int]]
) -> None:
    """Losses, reordered answers and restarts at any point end with each owner's last version."""
    ledger, replica = Ledger(), Replica()
    for statement in published:
        ledger.publish(statement)
    for action, number in plan:
        if action == "read":
            replica.read(ledger, number)
        elif action == "ask":
            replica.ask()
        elif action == "restart":
            replica.under_way.clear()
        else:
            replica.answer(number, action)
    replica.read(ledger, len(ledger.events))
    replica.ask()
    while replica.under_way:
        replica.answer(0, "stored")
    assert replica.store == ledger.expected()


@settings(max_examples=100, deadline=None)
@given(statements)
def test_reading_an_entity_again_gives_the_same_head(published: list[Statement]) -> None:
    """Folding all events of an entity at once reaches what taking them one by one reached."""
    ledger, replica = Ledger(), Replica()
    for statement in published:
        ledger.publish(statement)
    replica.read(ledger, len(ledger.events))
    for key, tracked in replica.tracked.items():
        folded = fold(event for event in ledger.events if event.key == key)
        assert folded is not None
        assert folded == (tracked.head, tracked.chains, tracked.has_gap)
        assert correct(tracked, folded, RULES) == tracked
    assert fold([]) is None
