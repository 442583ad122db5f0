"""Killed or raced, the store stays whole: journal without gaps, entities and index as it says."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select

from adapters.tmf.entity import Entity
from adapters.tmf.query.leaves import leaves
from adapters.tmf.store.database import Store
from adapters.tmf.store.keys import key_of_leaf
from adapters.tmf.store.schema import ENTITIES, LEAVES, PATHS

ROOT = Path(__file__).parents[4]


def _check_whole(store: Store) -> int:
    """Replay the journal, compare it with entities and index; give its newest number."""
    with store.read() as reading:
        changes = reading.changes(0, 1_000_000)
        assert [change.number for change in changes] == list(range(1, len(changes) + 1))
        expected: dict[str, bytes] = {}
        for change in changes:
            assert change.before == expected.pop(change.id, None)
            if change.after is not None:
                expected[change.id] = change.after
        stored = list(reading.every("product"))
        assert {entity.id: entity.body for entity in stored} == expected
        indexed = reading.connection.execute(
            select(ENTITIES.c.id, PATHS.c.path, LEAVES.c.position, LEAVES.c.key, LEAVES.c.tail)
            .join(LEAVES, LEAVES.c.entity == ENTITIES.c.number)
            .join(PATHS, PATHS.c.number == LEAVES.c.path)
        ).all()
        assert sorted(tuple(row) for row in indexed) == sorted(
            (entity.id, leaf.path.encode(), leaf.position, *key_of_leaf(leaf))
            for entity in stored
            for leaf in leaves(entity.document())
        )
        return reading.last_change()


@pytest.mark.parametrize("commits", [1, 5, 20])
def test_a_killed_writer_leaves_whole_transactions(database: str, commits: int) -> None:
    """After kill -9 all that was confirmed is there, and nothing is there by half."""
    command = [sys.executable, "-m", "tests.adapters.tmf.store.crashing_writer", database]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        confirmed = [int(child.stdout.readline()) for _ in range(commits)]
        child.kill()
        confirmed += [int(line) for line in child.stdout.read().splitlines(keepends=False)]
    store = Store.open(database)
    assert _check_whole(store) >= confirmed[-1]
    with store.write() as writing:
        writing.put(Entity("product", "later", b'{"id":"later"}'), "create")
    _check_whole(store)
    store.close()


def _numbers_seen(store: Store, writers: list[threading.Thread]) -> Iterator[list[int]]:
    while any(writer.is_alive() for writer in writers):
        with store.read() as reading:
            yield [change.number for change in reading.changes(0, 10_000)]


def test_no_reader_sees_a_gap_in_the_journal(database: str) -> None:
    """With two processes' worth of writers, every reader sees numbers 1 to n, and n only grows."""
    stores = [Store.open(database) for _ in range(3)]

    def write(store: Store, name: str) -> None:
        for index in range(40):
            with store.write() as writing:
                for part in range(index % 3 + 1):
                    id_ = f"{name}{index}.{part}"
                    writing.put(Entity("product", id_, b"{}"), "create")

    writers = [
        threading.Thread(target=write, args=(stores[index % 2], str(index))) for index in range(4)
    ]
    for writer in writers:
        writer.start()
    seen = list(_numbers_seen(stores[2], writers))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seen)
    assert all(len(earlier) <= len(later) for earlier, later in pairwise(seen))
    with stores[2].read() as reading:
        assert reading.last_change() == 4 * sum(index % 3 + 1 for index in range(40))
    for store in stores:
        store.close()
