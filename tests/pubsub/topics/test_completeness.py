"""A gateway that leaves an event out is found out, wherever it stands and however it hides it."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

import httpx
import msgspec
import pytest

from ledger.core.errors import PeerFault, ProofError
from ledger.core.event import open_entry
from ledger.core.ids import Sequence
from ledger.core.state_proof import build_state_bundle
from ledger.core.topic_rules import rule_codec
from pubsub.client.answers import LedgerEvent
from pubsub.client.sync_client import Client, Subscription
from pubsub.core.topic_documents import ChainStart, CompletenessPage, CompletenessRow, page_codec
from tests.pubsub.topics.topic_gateway import (
    FORGOTTEN,
    OTHER_KEY,
    RULE,
    TOPICS,
    TopicChainSource,
    TopicGateway,
    digest_of,
    rule_of,
)
from tests.support.memory_chain import make_entry

COUNT = 20
WANTED = [n for n in range(COUNT) if n % 3 != 1]  # not the topic "news"
FIRST, MIDDLE, LAST = WANTED[0], WANTED[6], WANTED[-1]
Forge = Callable[[CompletenessPage], CompletenessPage]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again at once."""
    monkeypatch.setattr(time, "sleep", lambda _: None)


@pytest.fixture
def gateway() -> TopicGateway:
    """Give an honest gateway to a ledger of 20 events, complete from the first on."""
    chain = TopicChainSource()
    chain.fill(COUNT)
    return TopicGateway(chain)


def client_of(gateway: TopicGateway) -> Client:
    """Give a client that does not wait long."""
    genesis = gateway.chain.genesis
    return Client("http://one", genesis, give_up_ms=50, transport=gateway.transport)


@contextmanager
def following(
    gateway: TopicGateway, topic: str = RULE, after: int | None = -1
) -> Iterator[Subscription]:
    """Give a complete subscription."""
    client = client_of(gateway)
    with client, client.subscribe(topic=topic, after=after, complete=True) as events:
        yield events


def events_of(gateway: TopicGateway) -> list[LedgerEvent]:
    """Give every event as a client holds it."""
    opened = [open_entry(data) for data in gateway.chain.entries]
    return [
        LedgerEvent(Sequence(n), item.event, item.id, item.entry) for n, item in enumerate(opened)
    ]


def forging(gateway: TopicGateway, forge: Forge) -> Callable[[httpx.Request], httpx.Response]:
    """Have a gateway change every page of rows."""

    def answer(request: httpx.Request) -> httpx.Response | None:
        page = gateway.page(request.url.params) if "completeness" in request.url.path else None
        return None if page is None else httpx.Response(200, content=page_codec.encode(forge(page)))

    return answer  # type: ignore[return-value] # None is "I do not answer this"


# --- subscriptions --------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [97, 100_000])
@pytest.mark.parametrize("after", [-1, 0, 7, 13])
@pytest.mark.parametrize("topic", [RULE, TOPICS[0], "offering.*"])
def test_a_complete_subscription_gives_every_event(
    gateway: TopicGateway, topic: str, after: int, cuts: int
) -> None:
    """Verified, in order, from anywhere, over connections that break; later blocks too."""
    gateway.cuts = cuts
    wanted = [n for n in WANTED if n > after and (topic != TOPICS[0] or n % 3 == 0)]
    with following(gateway, topic, after) as events:
        found = list(islice(events, len(wanted)))
        assert [(event.sequence, event.is_verified) for event in found] == [
            (number, True) for number in wanted
        ]
        assert isinstance(gateway.chain, TopicChainSource)
        gateway.chain.fill(2, first=COUNT)
        assert next(events).sequence == (21 if topic == TOPICS[0] else 20)
    assert not [text for text in gateway.requests if text.endswith("/proof")]


@pytest.mark.parametrize("hidden", [FIRST, MIDDLE, LAST])
@pytest.mark.parametrize("cuts", [97, 100_000])
def test_a_hidden_event_is_found_out(gateway: TopicGateway, hidden: int, cuts: int) -> None:
    """The stream passes over one event as if nobody wanted it: nothing behind it is given out."""
    gateway.cuts = cuts
    gateway.hidden = {hidden}
    with following(gateway) as events:
        found: list[int] = []
        with pytest.raises(ProofError, match=f"event {hidden} was left out"):
            read_all(events, found)
    assert found == [number for number in WANTED if number < hidden][: len(found)]


def read_all(events: Iterable[LedgerEvent], into: list[int]) -> None:
    """Note each event's sequence until iterating fails."""
    for event in events:
        into.append(int(event.sequence))  # noqa: PERF401 - what came before the error counts


@pytest.mark.parametrize("hidden", [FIRST, MIDDLE, LAST])
def test_an_event_hidden_in_the_rows_too_is_found_out(gateway: TopicGateway, hidden: int) -> None:
    """Rows that lack it do not lead to the digest that the state holds."""
    gateway.hidden, gateway.hides_rows = {hidden}, True
    not_those = pytest.raises(ProofError, match="not those that the ledger holds")
    with following(gateway) as events, not_those:
        next(events)


def test_an_event_that_its_publisher_did_not_sign_is_not_given_out(gateway: TopicGateway) -> None:
    """Also when validators took it: a chain shows what the ledger holds, not who wrote it."""
    chain = gateway.source
    true = make_entry(chain.genesis.chain_id, 99, TOPICS[0])
    forged = true.entry[:-1] + bytes([true.entry[-1] ^ 1])
    chain.add(open_entry(forged))
    chain.fill(2, first=COUNT)
    wrong = pytest.raises(ProofError, match="a publisher's signature is wrong")
    with following(gateway, after=COUNT - 1) as events, wrong:
        next(events)


def test_without_the_option_a_hidden_event_is_not_noticed(gateway: TopicGateway) -> None:
    """What a filtered subscription promises: only true events, in order, not all of them."""
    gateway.hidden = {FIRST}
    with client_of(gateway) as client, client.subscribe(topic=RULE) as events:
        assert next(events).sequence == WANTED[1]


def test_after_an_honest_gateway_nothing_is_lost(gateway: TopicGateway) -> None:
    """The check changes nothing when it fails: from an honest gateway the reader goes on."""
    gateway.hidden = {MIDDLE}
    with following(gateway) as events:
        found: list[int] = []
        with pytest.raises(ProofError):
            read_all(events, found)
        gateway.hidden = set()
        rest = list(islice(events, len(WANTED) - len(found)))
        assert [*found, *(event.sequence for event in rest)] == WANTED


def test_a_subscription_from_now_on_is_complete(gateway: TopicGateway) -> None:
    """It begins with what the gateway calls now, and misses nothing from there on."""
    assert isinstance(gateway.chain, TopicChainSource)
    gateway.lag = 6
    with following(gateway, after=None) as events:
        gateway.faults.append(_then(gateway, lambda: setattr(gateway, "lag", 0)))
        assert next(events).sequence == next(n for n in WANTED if n >= COUNT - 6)


def _then(
    gateway: TopicGateway, change: Callable[[], None]
) -> Callable[[httpx.Request], httpx.Response | None]:
    """Change something after the first stream was opened."""

    def fault(request: httpx.Request) -> httpx.Response | None:
        if "stream" not in request.url.path:
            return None
        response = gateway._stream(request)
        gateway.faults.clear()
        change()
        return response

    return fault


def test_only_topics_can_be_complete(gateway: TopicGateway) -> None:
    """With other conditions, or without genesis, the option is an error at once."""
    with client_of(gateway) as client:
        for filters in ({"subject": "x"}, {"topic": RULE, "type": "x"}):
            with pytest.raises(ValueError, match="topics alone"):
                client.subscribe(complete=True, **filters)  # type: ignore[arg-type] # filters
    with Client("http://one", transport=gateway.transport) as client:
        with pytest.raises(ValueError, match="genesis"):
            client.subscribe(topic=RULE, complete=True, verify=False)
        with pytest.raises(ValueError, match="genesis"):
            client.prove_complete(RULE, [])


def test_the_whole_log_is_complete_without_a_rule(gateway: TopicGateway) -> None:
    """Sequences have no gaps, and one proof shows all of them: no rows are asked for."""
    with client_of(gateway) as client, client.subscribe(complete=True) as events:
        assert [event.sequence for event in islice(events, COUNT)] == list(range(COUNT))
    assert not [text for text in gateway.requests if "topics" in text]


# --- one proof ------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [FIRST, MIDDLE, LAST])
def test_a_list_that_lacks_an_event_is_not_complete(gateway: TopicGateway, missing: int) -> None:
    """Whichever it is; the whole list is complete, up to the end of the proven log."""
    events = events_of(gateway)
    with client_of(gateway) as client:
        assert client.prove_complete(RULE, events).events == len(WANTED)
        with pytest.raises(ProofError, match=f"event {missing} was left out"):
            client.prove_complete(RULE, [item for item in events if item.sequence != missing])


def test_the_order_and_other_topics_do_not_matter(gateway: TopicGateway) -> None:
    """Events may come in any order, twice, and with those of other topics among them."""
    events = events_of(gateway)
    with client_of(gateway) as client:
        shown = client.prove_complete(TOPICS[2], [*reversed(events), *events], begin=5)
    assert (shown.begin, shown.end, shown.events) == (5, COUNT, 5)


def test_the_narrowest_rule_is_used(gateway: TopicGateway) -> None:
    """Of those that cover what is wanted, the one with the fewest events; ended ones never."""
    gateway.rules = [
        rule_of(">", count=90),
        rule_of(RULE, count=14),
        rule_of("offering.created", is_complete=False),
        rule_of("news", count=1),
    ]
    with client_of(gateway) as client:
        client.prove_complete("offering.created", events_of(gateway))
    assert [text for text in gateway.requests if "offering.%3E/completeness" in text]


# --- lying about the rows -------------------------------------------------------------------


def replace(**changes: object) -> Forge:
    """Give a forgery that sets fields of the page."""
    return lambda page: msgspec.structs.replace(page, **changes)


def row_changed(**changes: object) -> Forge:
    """Give a forgery that changes the first row."""

    def forge(page: CompletenessPage) -> CompletenessPage:
        rows = (msgspec.structs.replace(page.rows[0], **changes), *page.rows[1:])
        return msgspec.structs.replace(page, rows=rows)

    return forge


def bundle_changed(**changes: object) -> Forge:
    """Give a forgery of the proof."""
    return lambda page: msgspec.structs.replace(
        page, bundle=msgspec.structs.replace(page.bundle, **changes)
    )


_STRANGE = CompletenessRow(1, TOPICS[1], None, bytes(32))


@pytest.mark.parametrize(
    ("forge", "error"),
    [
        (replace(rows=()), ProofError),
        (replace(start=None), PeerFault),
        (replace(start=ChainStart(1, bytes(32))), ProofError),
        (replace(start=ChainStart(0, bytes(31) + b"\1")), ProofError),
        (row_changed(topic="news"), ProofError),
        (row_changed(topic=None, hidden_topic=digest_of("news")), ProofError),
        (row_changed(leaf_hash=bytes(32)), ProofError),
        (row_changed(sequence=1), PeerFault),
        (replace(next=None), ProofError),
        (replace(next=0), PeerFault),
        (replace(next=None, rows=()), ProofError),
        (bundle_changed(key=b"topic-rule/news"), ProofError),
        (bundle_changed(value=None), ProofError),
        (lambda page: msgspec.structs.replace(page, rows=page.rows[::-1]), PeerFault),
        (lambda page: msgspec.structs.replace(page, rows=(*page.rows[:1], _STRANGE)), PeerFault),
    ],
)
def test_forged_rows_prove_nothing(
    gateway: TopicGateway, forge: Forge, error: type[Exception]
) -> None:
    """Whatever is changed of the pages: an error, and no event counts as complete."""
    gateway.faults.append(forging(gateway, forge))
    with client_of(gateway) as client, pytest.raises(error):
        client.prove_complete(RULE, events_of(gateway))


NOT_THOSE = "not those that the ledger holds"


def hiding(page: CompletenessPage) -> CompletenessPage:
    """Leave the row of FORGOTTEN out."""
    rows = tuple(row for row in page.rows if row.sequence != FORGOTTEN)
    return msgspec.structs.replace(page, rows=rows)


def disguising(page: CompletenessPage) -> CompletenessPage:
    """Say that FORGOTTEN is an event on a topic that nobody asked for."""
    rows = [
        msgspec.structs.replace(row, topic="news") if row.sequence == FORGOTTEN else row
        for row in page.rows
    ]
    return msgspec.structs.replace(page, rows=tuple(rows))


def test_each_way_to_hide_an_event_is_closed(gateway: TopicGateway) -> None:
    """Its row left out or renamed, another rule's proof, a forged value, the end as the start."""
    source = gateway.source
    true = gateway.page(httpx.QueryParams({"begin": "0", "size": "0"}))
    assert true is not None
    other = build_state_bundle(source, OTHER_KEY)
    assert other is not None
    value = source.value_without(source.entries, FORGOTTEN)
    forged = msgspec.structs.replace(true.bundle, value=value)
    whole = rule_codec.decode(true.bundle.value or b"").chain
    assert whole is not None
    end = ChainStart(whole.count, whole.digest)
    begun = ChainStart(0, whole.digest)
    events = [item for item in events_of(gateway) if item.sequence != FORGOTTEN]
    ways: list[tuple[Forge, str]] = [
        (hiding, NOT_THOSE),
        (disguising, NOT_THOSE),
        (lambda page: msgspec.structs.replace(hiding(page), bundle=other), "of another key"),
        (lambda page: msgspec.structs.replace(hiding(page), bundle=forged), "state|leads"),
        (replace(start=end, rows=(), next=None), NOT_THOSE),
        (replace(start=begun, rows=(), next=None), "begins elsewhere"),
    ]
    for forge, words in ways:
        gateway.faults[:] = [forging(gateway, forge)]
        given = [] if words == "begins elsewhere" or forge is ways[4][0] else events
        with client_of(gateway) as client, pytest.raises(ProofError, match=words):
            client.prove_complete(RULE, given)


def test_an_event_too_many_is_noticed_at_the_end_too(gateway: TopicGateway) -> None:
    """What stands behind the last row is compared like everything else."""
    opened = make_entry(gateway.chain.genesis.chain_id, 99, TOPICS[0])
    extra = LedgerEvent(Sequence(COUNT - 1), opened.event, opened.id, opened.entry)
    with client_of(gateway) as client, pytest.raises(ProofError, match="was sent as 19"):
        client.prove_complete(RULE, [*events_of(gateway)[:-1], extra])


def test_rows_that_begin_too_late_prove_nothing(gateway: TopicGateway) -> None:
    """A true digest of the chain further on cannot stand in front of what was asked for."""
    events = events_of(gateway)
    whole = gateway.page(httpx.QueryParams({"begin": "12", "size": "0"}))
    assert whole is not None
    assert whole.start is not None
    assert whole.start.count > 0

    def forge(page: CompletenessPage) -> CompletenessPage:
        return page if page.start is None else whole

    gateway.faults.append(forging(gateway, forge))
    with client_of(gateway) as client:
        assert client.prove_complete(RULE, events, begin=12).begin == 12
        with pytest.raises(ProofError, match="in front of the first row is not shown"):
            client.prove_complete(RULE, events, begin=6)
        with pytest.raises(ProofError, match="in front of the first row is not shown"):
            client.prove_complete(RULE, events)


def test_an_old_proof_is_not_taken_for_a_new_one(gateway: TopicGateway) -> None:
    """A proof of a log that is shorter than what is held is a fault of the gateway."""
    short = gateway.page(httpx.QueryParams({"begin": "0", "size": "0"}))
    assert isinstance(gateway.chain, TopicChainSource)
    gateway.chain.fill(2, first=COUNT)
    assert short is not None
    rows = tuple(gateway.rows(COUNT))
    old = msgspec.structs.replace(short, rows=rows, next=None)
    gateway.faults.append(forging(gateway, lambda _: old))
    too_few = pytest.raises(PeerFault, match="a proof of 20 events, too few")
    with client_of(gateway) as client, too_few:
        client.prove_complete(RULE, events_of(gateway))


def test_rows_without_names_show_single_topics_alone(gateway: TopicGateway) -> None:
    """A digest can be compared with one topic's, not with a pattern."""
    gateway.nameless = {TOPICS[0]}
    events = events_of(gateway)
    with client_of(gateway) as client:
        assert client.prove_complete(TOPICS[2], events).events == 6
        assert client.prove_complete(TOPICS[0], events).events == 7
        with pytest.raises(ProofError, match="does not say on which topic"):
            client.prove_complete(RULE, events)


# --- rules that end and begin ---------------------------------------------------------------


def test_a_rule_that_began_later_says_so(gateway: TopicGateway) -> None:
    """From there on all is shown; what was asked for in front of it is not."""
    chain = TopicChainSource(since=6)
    chain.fill(COUNT)
    gateway = TopicGateway(chain)
    with client_of(gateway) as client:
        assert client.prove_complete(RULE, events_of(gateway)).begin == 6
        with pytest.raises(ProofError, match="complete only from sequence 6 on"):
            client.prove_complete(RULE, events_of(gateway), begin=5)
    only_from = pytest.raises(ProofError, match="complete only from sequence 6 on")
    with following(gateway) as events, only_from:
        next(events)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"until": COUNT}, "ceased to be complete at"), ({"since": COUNT}, "begun anew at sequence")],
)
def test_a_rule_that_changes_ends_a_subscription(
    gateway: TopicGateway, change: dict[str, int], words: str
) -> None:
    """What comes after is not shown any more, and the reader is told."""
    chain = gateway.chain
    assert isinstance(chain, TopicChainSource)
    with following(gateway) as events:
        assert len(list(islice(events, len(WANTED)))) == len(WANTED)
        for name, value in change.items():
            setattr(chain, name, value)
        chain.fill(4, first=COUNT)
        with pytest.raises(ProofError, match=words):
            next(events)
