"""From a member's home and other members' gateways to stores that a node can start from.

The ledger is copied into a directory beside the chain store and takes its place when it is whole.
An existing safety record is kept; where there is none, a new one sits out, because nobody here can
know whether this key has signed before.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

import httpx

from concordat.compose.node import recover_stores
from concordat.home import Home, HomeError
from consensus.core.leader import schedule_blocks
from ledger.core.errors import PeerFault, Unavailable
from ledger.core.genesis import Genesis
from ledger.core.limits import SNAPSHOT_AGE_MS_MAX
from ledger.core.snapshot import blocks_codec, log_codec, state_codec
from ledger.core.snapshot_manifest import Manifest
from ledger.io.chain_store import ChainHead, ChainStore
from ledger.io.environment import sync_names
from ledger.io.errors import StorageError, storage_errors
from ledger.io.snapshot_store import SnapshotStore
from pubsub.client.exchange import Flow, Request, Timing
from pubsub.client.snapshots import SnapshotGateways, snapshot_request
from pubsub.client.sync_carrier import Carrier
from pubsub.client.wire import CALL_TIMEOUT

__all__ = ["Joining", "copy_snapshot", "join_network", "part_path"]

T = TypeVar("T")

_HOUR_MS: Final = 3_600_000


class Carry(Protocol):
    """Carries out flows."""

    def __call__(self, flow: Flow[T]) -> T:
        """Give the value of a flow."""
        ...


class Joining(NamedTuple):
    """How a ledger is to be copied.

    Attributes:
        urls: of the gateways to read from, the first one first.
        accept_old: take a ledger whatever its age.
        watch: called after each piece.
    """

    urls: Sequence[str]
    accept_old: bool
    watch: Callable[[SnapshotStore], None]


def part_path(home: Home) -> Path:
    """Give where the copy stands until it is whole."""
    chain_dir = home.resolve(home.config.node.chain_dir)
    return chain_dir.with_name(f"{chain_dir.name}.joining")


def join_network(home: Home, genesis: Genesis, joining: Joining) -> ChainHead:
    """Make the member's stores out of a verified copy of the ledger; give where it ends.

    Raises:
        HomeError: the member has blocks already.
        ProofError: no gateway is left that can be believed. What was verified is kept.
        Unavailable: no gateway has what is wanted. What was verified is kept.
        StorageError: a store is in use or cannot be written.
    """
    chain_dir, part = home.resolve(home.config.node.chain_dir), part_path(home)
    _require_empty(chain_dir, genesis)
    if not _is_whole(part, genesis):
        timing = Timing()
        with httpx.Client(timeout=CALL_TIMEOUT) as http:
            carrier = Carrier(timing, http)
            with _opened(part, genesis) as store:
                copy_snapshot(store, SnapshotGateways(joining.urls, timing), carrier.run, joining)
    with ChainStore.open(part, genesis) as whole, whole.read() as reader:
        head = reader.head()
    with storage_errors(chain_dir, "put the copy in its place"):
        if chain_dir.exists():
            shutil.rmtree(chain_dir)
        part.rename(chain_dir)
        sync_names(chain_dir)
    recover_stores(home, genesis)
    return head


def copy_snapshot(
    store: SnapshotStore, gateways: SnapshotGateways, carry: Carry, joining: Joining
) -> None:
    """Read every piece that ``store`` lacks, and finish it.

    Raises:
        As :func:`join_network`.
    """
    if store.manifest is None:
        store.begin(_newest(store, gateways, carry, joining))
    while not store.is_complete:
        request, take = _next_piece(store)
        try:
            carry(gateways.piece(request, take))
        except PeerFault as fault:  # an answer without end
            gateways.refuse(str(fault))
        joining.watch(store)
    store.finish()


def _opened(part: Path, genesis: Genesis) -> SnapshotStore:
    part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SnapshotStore.open(part, genesis, schedule_blocks)


def _newest(
    store: SnapshotStore, gateways: SnapshotGateways, carry: Carry, joining: Joining
) -> Manifest:
    """Choose the ledger to copy."""
    manifest = None
    while manifest is None:
        try:
            manifest = carry(gateways.newest(store.genesis))
        except PeerFault as fault:
            gateways.refuse(str(fault))
    age_ms = time.time_ns() // 1_000_000 - manifest.header.time_ms
    if age_ms > SNAPSHOT_AGE_MS_MAX and not joining.accept_old:
        raise Unavailable(
            f"the newest certified ledger that these gateways show is {age_ms // _HOUR_MS} hours "
            f"old: ask gateways of other members too, or take it with --accept-old if the network "
            f"has stood still that long"
        )
    return manifest


def _next_piece(store: SnapshotStore) -> tuple[Request, Callable[[bytes], None]]:
    """Give the request for the next piece and what takes it."""
    manifest, block, node = store.manifest, store.next_block, store.next_node
    assert manifest is not None
    if block is not None:
        request = snapshot_request("blocks", highest=block.height)
        return request, lambda body: store.add_blocks(blocks_codec.decode(body))
    if node is not None:
        path = {"path": node.path} if node.path else {}
        request = snapshot_request("state", root=manifest.root.state_root.hex(), **path)
        return request, lambda body: store.add_state(state_codec.decode(body))
    request = snapshot_request("log", first=store.log_size, size=manifest.root.log_size)
    return request, lambda body: store.add_log(log_codec.decode(body))


def _require_empty(chain_dir: Path, genesis: Genesis) -> None:
    """Refuse to replace a chain that has blocks."""
    if not chain_dir.exists():
        return
    with ChainStore.open(chain_dir, genesis) as store, store.read() as reader:
        height = reader.head_height()
    if height:
        raise HomeError(
            f"{chain_dir} holds blocks up to {height} already: `concordat run` gets the others. "
            f"To copy the ledger anew, move this directory away first (never data/safety)"
        )


def _is_whole(part: Path, genesis: Genesis) -> bool:
    """Say whether an earlier copy only was not put in its place."""
    try:
        ChainStore.open(part, genesis).close()
    except StorageError:
        return False
    return True
