"""The console's pages about the ledger: how the member does, events, one event, topics.

Owns what these pages show, and reads it as the API's handlers do; nothing here changes anything.
"""

import time
from collections import Counter
from itertools import islice
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

from ledger.core.event import OpenEntry, open_entry
from ledger.core.ids import Height, Sequence
from ledger.core.validators import Validator
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_scan import Selection
from ledger.io.chain_store import ChainStore
from pubsub.core.cloudevents import CloudEvent, cloudevent
from pubsub.core.documents import BlockDocument, block_document
from pubsub.core.limits import CONSOLE_BLOCKS, CONSOLE_EVENTS, CONSOLE_RATE_EVENTS, CONSOLE_TOPICS
from pubsub.core.parameters import Parameters
from pubsub.core.rights import Principal
from pubsub.io.operations import read_status
from pubsub.io.reads import find_readable
from pubsub.io.state import Gateway
from pubsub.io.wanted import FILTER_NAMES, REPEATABLE_NAMES, Wanted, read_interest, wanted_of

__all__ = ["event_values", "events_values", "overview_values", "topics_values"]

_MINUTE_MS: Final = 60_000
_LOOK_BACK: Final = (CONSOLE_EVENTS, 1_000, 20_000)  # entries: further where matches are rare
_SHOWN: Final = ("id", "topic", "type", "subject", "source", "time", "entityhash", "previoushash")
_SHOWN_LAST: Final = ("dataref", "datacontenttype", "tags", "publisherkey", "nonce", "signature")


class _Node(msgspec.Struct, frozen=True):
    """What is shown of the node's status document."""

    name: str = ""
    epoch: int = 0
    round: int = 0
    leader: str = ""
    leaders: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    mempool_entries: int = 0


class _ValidatorRow(NamedTuple):
    name: str
    state: str
    is_connected: bool
    leads: str
    address: str
    did: str


class _TopicRow(NamedTuple):
    name: str
    total: int
    minute: int
    newest: int | None


async def overview_values(
    gateway: Gateway, request: Request, reader: Principal
) -> dict[str, object]:
    """Give what the overview shows."""
    del request, reader
    status = await read_status(gateway)
    node = msgspec.json.decode(status.node, type=_Node | None)
    validators: list[_ValidatorRow] = []
    blocks: list[BlockDocument] = []
    quorum = 0
    if gateway.access.is_open:
        with gateway.access.store.read() as chain:
            blocks = _newest_blocks(chain)
            members = chain.epoch_start().validator_set()
        quorum = members.quorum
        validators = [_validator_row(node, member) for member in members.members]
    return {
        "status": status,
        "node": node,
        "validators": validators,
        "quorum": quorum,
        "blocks": blocks,
    }


async def events_values(gateway: Gateway, request: Request, reader: Principal) -> dict[str, object]:
    """Give what the page of events shows: the newest that meet the conditions."""
    pairs = [(name, value) for name, value in request.query_params.multi_items() if value]
    interest = read_interest(Parameters(pairs, FILTER_NAMES, REPEATABLE_NAMES))
    wanted = wanted_of(interest, reader.may_read)

    def read(store: ChainStore) -> tuple[list[CloudEvent], int]:
        with store.read() as chain:
            size = chain.head().log_size
            rows = [
                cloudevent(opened, sequence, chain.height_of(sequence))
                for sequence, opened in _newest(chain, wanted, size)
            ]
        return rows, size

    events, size = await gateway.access.in_thread(read)
    stream = urlencode([*pairs, ("after", str(size - 1))])
    query = {name: request.query_params.get(name, "") for name in FILTER_NAMES}
    return {"events": events, "query": query, "stream": f"/console/stream?{stream}"}


async def event_values(gateway: Gateway, request: Request, reader: Principal) -> dict[str, object]:
    """Give what the page of one event shows. Raises Refusal when there is none."""
    with gateway.access.store.read() as chain:
        sequence, opened = find_readable(chain, request.path_params["id"], reader)
        event = cloudevent(opened, sequence, chain.height_of(sequence))
    fields: list[tuple[str, object]] = [("sequence", sequence), ("block", event.height)]
    fields += [(name, getattr(event, name)) for name in (*_SHOWN, *_SHOWN_LAST)]
    return {
        "event": event,
        "fields": [(name, value) for name, value in fields if value],
        "data": opened.event.data.decode("utf-8", "backslashreplace"),
    }


async def topics_values(gateway: Gateway, request: Request, reader: Principal) -> dict[str, object]:
    """Give what the page of topics shows: all that the caller may read, the busiest first."""
    del request
    since_ms = time.time_ns() // 1_000_000 - _MINUTE_MS

    def read(store: ChainStore) -> list[_TopicRow]:
        with store.read() as chain:
            counts = list(islice(chain.topic_counts(), CONSOLE_TOPICS))
            first = chain.head().log_size - 1 - CONSOLE_RATE_EVENTS
            after = max(chain.first_held() - 1, first)
            found = chain.scan(Selection(), after, CONSOLE_RATE_EVENTS)
        newest: dict[str, int] = {}
        minute: Counter[str] = Counter()
        for sequence, entry in found:
            event = open_entry(entry).event
            newest[event.topic] = sequence
            minute[event.topic] += event.time_ms >= since_ms
        rows = [_TopicRow(name, count, minute[name], newest.get(name)) for name, count in counts]
        return sorted(rows, key=lambda row: (-row.minute, row.name))

    rows = await gateway.access.in_thread(read)
    shown = [row for row in rows if reader.may_read(row.name)]
    return {"topics": shown, "window": CONSOLE_RATE_EVENTS}


def _newest(chain: ChainReader, wanted: Wanted, size: int) -> list[tuple[Sequence, OpenEntry]]:
    """Give the newest events that are wanted, the newest first."""
    found: list[tuple[Sequence, OpenEntry]] = []
    for back in _LOOK_BACK:
        rows = chain.scan(wanted.selection, max(chain.first_held() - 1, size - 1 - back), back)
        opened = ((sequence, open_entry(entry)) for sequence, entry in reversed(rows))
        found = list(islice((row for row in opened if wanted.matches(row[1])), CONSOLE_EVENTS))
        if len(found) == CONSOLE_EVENTS or back >= size:
            break
    return found


def _newest_blocks(chain: ChainReader) -> list[BlockDocument]:
    head = chain.head_height()
    blocks: list[BlockDocument] = []
    for height in range(head, max(0, head - CONSOLE_BLOCKS), -1):
        block = chain.block(Height(height))
        if block is None:
            break  # this member joined later
        members = chain.epoch_start(block.epoch).validator_set()
        certificate = chain.certificate(Height(height))
        blocks.append(block_document(block, members, chain.root(Height(height)), certificate))
    return blocks


def _validator_row(node: _Node | None, member: Validator) -> _ValidatorRow:
    """Say what the node sees of a validator, or that it says nothing."""
    name = member.name
    if node is None:
        state, leads = "unknown", ""
    else:
        connection = "not connected" if name in node.missing else "connected"
        state = "this member" if name == node.name else connection
        turn = "in turn" if name in node.leaders else "passed over"
        leads = "now" if name == node.leader else turn
    is_good = state in ("this member", "connected")
    return _ValidatorRow(name, state, is_good, leads, member.address, member.did)
