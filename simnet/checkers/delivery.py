"""Delivery and stores of whole nodes, judged at the end of a run.

Each subscriber was given exactly what a naive filter over the final log gives, in order, nothing
left out, repetitions apart; none stands still where every member could have given it more. The log
holds nothing that may not be admitted. A fresh store that executes the chain from genesis ends up
with the content, byte for byte, that each machine of that height holds; only certificates may
differ, because each is as good as another.
"""

from typing import TYPE_CHECKING

import msgspec

from consensus.core.effects import Execute
from ledger.core.ids import BlockId
from simnet.checkers.checker import Checker, require
from simnet.checkers.promises import event_id
from simnet.checkers.table import block_id
from simnet.full.federation import FullFederation
from simnet.full.storage import FullStorage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simnet.full.subscribers import Subscriber
    from simnet.world import World

__all__ = ["Delivery", "wants"]

_TOPIC = 2  # position in an event
_POLL_US = 250_000  # a subscriber asks so often
_PAGE = 8  # and is given so many positions of the log at a time


class Delivery(Checker):
    """Looks at subscribers, logs and tables when a run is over."""

    def __init__(self) -> None:
        self._calm_us = 0
        self._final = 0  # entries that every honest member held when the chaos ended
        self._done: list[int] = []  # those that each subscriber was done with by then

    def on_calm(self, world: "World") -> None:
        """Note how far everybody is."""
        federation = world.federation
        assert isinstance(federation, FullFederation)
        self._calm_us = world.now_us
        self._final = min(
            m.storage.snapshot.log_size
            for m in world.honest
            if isinstance(m.storage, FullStorage) and not m.left
        )
        self._done = [int(subscriber.cursor) + 1 for subscriber in federation.subscribers]

    def on_end(self, world: "World") -> None:
        """Judge all of it."""
        federation = world.federation
        assert isinstance(federation, FullFederation)
        stores = [m.storage for m in world.honest if isinstance(m.storage, FullStorage)]
        longest = max(stores, key=lambda store: store.chain.durable_height)
        entries = longest.log[: longest.roots[longest.chain.durable_height].log_size]
        topics = [(event_id(e), str(msgspec.msgpack.decode(e)[0][_TOPIC])) for e in entries]
        pages = max(0, (world.now_us - self._calm_us) // _POLL_US - 1)
        for subscriber, done in zip(federation.subscribers, self._done, strict=True):
            _check_subscriber(subscriber, topics)
            due = min(self._final, done + _PAGE * pages)
            where = f"subscriber {subscriber.name} stands at {subscriber.cursor}"
            require(int(subscriber.cursor) + 1 >= due, "delivery", f"{where}, {due} were due")
        admissible = {
            handed.entry for handed in federation.publishers.handed if handed.is_admissible
        }
        for entry in entries:
            require(entry in admissible, "admission", f"the log holds {entry[:60]!r}")
        fresh = federation.new_storage(world.honest[0].index, sit_out=False)
        _execute_again(longest, fresh)
        for machine, store in zip(world.honest, stores, strict=True):
            if store.chain.durable_height == longest.chain.durable_height:
                same = _content(store) == _content(fresh)
                require(same, "replay", f"the tables of {machine.name} hold something else")


def wants(pattern: str, topic: str) -> bool:
    """Say whether a topic matches a pattern, the naive way."""
    wanted, given = pattern.split("."), topic.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    fits = [w in ("*", g) for w, g in zip(wanted, given, strict=False)]
    return len(wanted) == len(given) and all(fits)


def _check_subscriber(subscriber: "Subscriber", log: "Sequence[tuple[bytes, str]]") -> None:
    wanted = [i for i, (_, topic) in enumerate(log) if wants(subscriber.pattern, topic)]
    done = 0  # how many of these it was given
    for sequence, id_ in subscriber.seen:
        what = f"subscriber {subscriber.name} was given {sequence}"
        require(sequence < len(log), "delivery", f"{what} before it was final")
        require(log[sequence][0] == id_, "delivery", f"{what}, and it was another event")
        if done < len(wanted) and sequence == wanted[done]:
            done += 1
        else:
            repeated = sequence in wanted[:done]
            require(repeated, "delivery", f"{what} after {wanted[:done][-1:]}")
    missed = [i for i in wanted[done:] if i <= int(subscriber.cursor)]
    require(not missed, "delivery", f"subscriber {subscriber.name} was not given {missed[:3]}")


def _execute_again(store: FullStorage, fresh: FullStorage) -> None:
    for height, block in enumerate(store.blocks[: store.chain.durable_height], start=1):
        for id_ in block.payload:
            encoded = store.batch(id_)
            assert encoded is not None, "finality has looked"
            fresh.store_batch(id_, encoded)
        root = fresh.execute(Execute(BlockId(block_id(block)), block, None, ())).root
        require(root == store.roots[height], "replay", f"another root at {height}")
    fresh.commit()


def _content(store: FullStorage) -> tuple[object, ...]:
    chain, size = store.chain, store.roots[store.chain.durable_height].log_size
    ordered = chain.ordered.durable
    return (
        chain.log[:size],
        chain.log_heights[:size],
        ordered,
        {id_: chain.batches.durable[id_] for id_ in ordered},
        chain.events.durable,
        chain.refused.durable,
        chain.tiles.durable,
        chain.nodes.durable,
    )
