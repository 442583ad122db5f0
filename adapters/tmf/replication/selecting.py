"""The part of the catalogue that a node takes, changed: what it hid before is wanted now."""

import msgspec

from adapters.tmf.replication.core.chain import Rules, select
from adapters.tmf.replication.core.selection import Selection
from adapters.tmf.replication.tracking import page, save, set_setting, setting
from adapters.tmf.store.database import Store
from ledger.core.limits import REPLICATION_BATCH_EVENTS

__all__ = ["apply_selection", "kept_selection"]

_NAME = "selection"


def kept_selection(store: Store) -> Selection:
    """Give the selection that the node went by last; all before there was one."""
    with store.read() as reading:
        found = setting(reading.connection, _NAME)
    return msgspec.json.decode(found, type=Selection) if found else Selection()


def apply_selection(store: Store, rules: Rules) -> None:
    """Judge all entities anew, when the selection differs from the one they were judged by.

    The selection is remembered last: after a crash in between all of this is done again.
    """
    if kept_selection(store) == rules.selection:
        return
    after = ""
    while True:
        with store.write() as txn:
            lines = page(txn.connection, after, REPLICATION_BATCH_EVENTS)
            if not lines:
                set_setting(txn.connection, _NAME, msgspec.json.encode(rules.selection))
                return
            after = lines[-1].key
            judged = [(line, select(line.tracked, rules)) for line in lines]
            save(
                txn.connection,
                [line._replace(tracked=new) for line, new in judged if new is not line.tracked],
            )
