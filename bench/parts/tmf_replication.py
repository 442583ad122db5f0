"""A catalogue travels to three marketplaces over a bad net.

Run as ``python -m bench.parts.tmf_replication``. One member publishes offerings; three others
follow the ledger and fetch. All nodes have real databases and the whole of replication; the ledger
is a list in memory and HTTP stays in this process. A fetch loses its request with the given chance
and its answer with the same one, and each marketplace crashes as often as asked and starts again
from its database. Measured is how long it takes until all are equal; what is lost or differs then
is counted. All nodes share one process, so the rate is that of one processor for four nodes.
"""

import argparse
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import anyio
import structlog
from sqlalchemy import func, select

from adapters.tmf.entity import Entity, canonical
from adapters.tmf.replication.core.model import Status
from adapters.tmf.replication.tables import TRACKED
from adapters.tmf.store.database import Store
from bench.parts.tmf_search import offerings
from tests.adapters.tmf.replication.replication_world import Network, Node, PlayedLedger

__all__ = ["main"]

_TRANSACTION: Final = 100  # offerings
_MARKETPLACES: Final = ("madrid", "paris", "berlin")
_POLL_S: Final = 0.25


def main(arguments: list[str] | None = None) -> None:
    """Publish, replicate, crash, compare; print what it took."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.parts.tmf_replication", description=__doc__
    )
    parser.add_argument("--offerings", type=int, default=10_000)
    parser.add_argument("--loss", type=int, default=10, help="of requests, and of answers, percent")
    parser.add_argument("--restarts", type=int, default=3, help="of each marketplace")
    parser.add_argument("--limit-s", type=int, default=3_600, help="give up after so long")
    chosen = parser.parse_args(arguments)
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        anyio.run(_measure, Path(folder), chosen)


async def _measure(folder: Path, chosen: argparse.Namespace) -> None:
    ledger, network = PlayedLedger(), Network(seed=1)
    network.loss = chosen.loss
    seller = Node("seller", folder, ledger, network)
    marketplaces = [Node(name, folder, ledger, network) for name in _MARKETPLACES]
    for node in (seller, *marketplaces):
        node.spread = network.spread
        node.reopen()
    _fill(seller, chosen.offerings)
    started, used = time.perf_counter(), time.process_time()
    with anyio.fail_after(chosen.limit_s):
        async with seller.running(), anyio.create_task_group() as group:
            group.start_soon(_tell_published, ledger, chosen.offerings, started)
            for node in marketplaces:
                group.start_soon(_replicate, node, chosen, started)
    seconds = time.perf_counter() - started
    count = chosen.offerings * len(marketplaces)
    print(
        f"all equal after {seconds:.1f} s: {count / seconds:.0f} replicas a second in one process"
    )
    used = (time.process_time() - used) * 1000 / count
    print(f"{used:.1f} ms of processor time a replica: publishing, serving, fetching, storing")
    own = seller.own()
    for node in marketplaces:
        held = node.replicas()
        print(
            f"{node.did}: lost {len(own.keys() - held.keys())},"
            f" different {sum(held[id_] != own[id_] for id_ in own.keys() & held.keys())},"
            f" too many {len(held.keys() - own.keys())}, in quarantine {len(node.quarantined())}"
        )
    print(f"{len(network.asked)} fetches for {count} replicas, {len(ledger.events_held)} events")


async def _replicate(node: Node, chosen: argparse.Namespace, started: float) -> None:
    """Run one marketplace until it holds all, with its crashes spread over the way."""
    total, parts = chosen.offerings, chosen.restarts + 1
    for count in (total * part // parts for part in range(1, parts + 1)):
        async with node.running():
            while await node.store.in_thread(_held) < count:  # noqa: ASYNC110 - no event tells it
                await anyio.sleep(_POLL_S)
        if count < total:
            node.reopen()
    print(f"{node.did} holds all after {time.perf_counter() - started:.1f} s")


async def _tell_published(ledger: PlayedLedger, count: int, started: float) -> None:
    await ledger.until_more(count - 1)
    print(f"{count} events are on the ledger after {time.perf_counter() - started:.1f} s")


def _held(store: Store) -> int:
    with store.read() as reading:
        query = select(func.count()).where(TRACKED.c.status == Status.CURRENT)
        return reading.connection.execute(query).scalar_one()


def _fill(node: Node, count: int) -> None:
    started = time.perf_counter()
    for part in _parts(offerings(count)):
        with node.store.write() as txn:
            for entity in part:
                txn.put(entity, "create")
    seconds = time.perf_counter() - started
    print(f"{count} offerings stored by the seller in {seconds:.1f} s")


def _parts(documents: Iterable[dict[str, object]]) -> Iterable[list[Entity]]:
    part: list[Entity] = []
    for document in documents:
        id_ = str(document["id"])
        part.append(Entity("productOffering", id_, canonical(document)))
        if len(part) == _TRANSACTION:
            yield part
            part = []
    yield part


if __name__ == "__main__":
    main()
