"""The composition of one validator process: opens the stores, connects the parts, runs them.

The only module that knows all parts of the shell. It refuses to start where going on could
contradict what this validator has signed, and says what to do about it.
"""

import errno
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

from consensus.core.control import Head
from consensus.core.counters import Counters
from consensus.core.departure import Departure
from consensus.core.effects import (
    Broadcast,
    CancelTimer,
    EndEpoch,
    ExamineBatch,
    ExamineEntries,
    Execute,
    Penalize,
    Persist,
    RecordEvidence,
    Reply,
    Send,
    ServeBatches,
    ServeBlocks,
    ServeEpochEnd,
    SetTimer,
    StoreBatch,
)
from consensus.core.messages import BatchMessage, Lane
from consensus.core.node import NodeCore
from consensus.core.ports import Restored
from consensus.core.safety_record import encode_record, first_record
from consensus.io.chain_worker import ChainWorker
from consensus.io.control_server import ControlServer, open_control_socket
from consensus.io.cosigning import Cosigner
from consensus.io.driver import Driver, Handlers, wall_clock_ms
from consensus.io.examiner import Examiner
from consensus.io.inbox import Inbox
from consensus.io.metrics import NodeMetrics, Sources
from consensus.io.network import Address, Network, TransportCounters
from consensus.io.node_settings import NodeSettings, network_of
from consensus.io.restore import restore
from consensus.io.safety_writer import SafetyWriter
from consensus.io.store_server import StoreServer
from consensus.io.timers import Timers
from consensus.io.transport import PeerTransport
from ledger.core.block import batch_id
from ledger.core.epoch import EpochStart
from ledger.core.errors import InvariantError, Unavailable
from ledger.core.genesis import Genesis
from ledger.core.ids import Epoch, Height, NodeIndex, PublicKey
from ledger.core.limits import NODE_GARBAGE_OBJECTS_MAX
from ledger.io.chain_store import ChainStore
from ledger.io.errors import StorageError
from ledger.io.safety_store import SafetyStore

__all__ = ["NodeSettings", "create_safety_store", "create_stores", "serve_node"]

_log = structlog.get_logger()
_LEFT: Final = "this key is no validator's any more, and the network goes on without it"


def create_stores(genesis: Genesis, key: PublicKey, chain_dir: Path, safety_dir: Path) -> None:
    """Make the two stores of a validator that has never run.

    Args:
        key: its voting key.

    Raises:
        StorageError: there is one already, or a directory cannot be written.
    """
    ChainStore.create(chain_dir, genesis).close()
    create_safety_store(genesis, key, safety_dir)


def create_safety_store(
    genesis: Genesis, key: PublicKey, safety_dir: Path, *, sit_out: bool = False
) -> None:
    """Make a safety store.

    Args:
        key: the voting key.
        sit_out: this validator has run before and its record is lost. It signs nothing until its
            peers have proven a round after which that is safe again.

    Raises:
        StorageError: there is one already, or the directory cannot be written.
    """
    record = encode_record(first_record(EpochStart.of_genesis(genesis), key, sit_out=sit_out))
    SafetyStore.create(safety_dir, record).close()


async def serve_node(
    settings: NodeSettings,
    *,
    task_status: "trio.TaskStatus[None]" = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a validator until cancelled, or until it is none any more and the others go on.

    Started with a key that is no validator's it follows the chain, and becomes a validator when
    an epoch begins in which it is one.

    Raises:
        Unavailable: it cannot start: an address is in use, a path is not usable.
        InvariantError: it must not go on (StorageError: a store is unusable or in use).
    """
    # What a node holds is frozen values and bytes, which refer to nothing older than themselves.
    gc.freeze()
    gc.set_threshold(NODE_GARBAGE_OBJECTS_MAX)
    with (
        ChainStore.open(settings.chain_dir, settings.genesis) as chain_store,
        _open_safety(settings.safety_dir) as safety_store,
    ):
        node = _Node(settings, chain_store, safety_store)
        control = open_control_socket(settings.control_path)
        try:
            listeners = await _listen(settings.listen)
            with _plain_errors():
                await node.run(listeners, control, task_status)
        finally:
            control.socket.close()
            settings.control_path.unlink(missing_ok=True)


class _Node:
    """The parts of one validator and what connects them.

    Core and transport live for one epoch each, everything else as long as the process.
    """

    def __init__(self, settings: NodeSettings, chain: ChainStore, safety: SafetyStore) -> None:
        self._settings = settings
        self._stores = chain, safety
        self._inbox = Inbox()
        self._restored = self._restore(())
        self._core = self._make_core(None)
        put = self._inbox.put_own
        with chain.read() as reader:
            head = reader.head()
        self._timers = Timers(put)
        self._chain = ChainWorker(chain, put, self._on_chain_durable, self._is_awaited)
        self._cosigner = Cosigner(chain, settings.signer, self._chain.put)
        self._transport = self._connect(None)
        self._left = trio.Event()
        self._departure: Departure | None = None
        self._examiner = Examiner(chain, put, self._chain.mark_checked)
        self._server = StoreServer(chain, self._send_frame)
        told = Head(head.height, head.log_size, head.height, 0)
        self._control = ControlServer(self._inbox, told, self._status_document, self._metrics_text)
        self._safety = SafetyWriter(safety)
        self._driver = Driver(self._core, self._inbox, self._handlers(), self._flush)
        self._sources = Sources(
            status=self._status,
            stores={"chain": settings.chain_dir, "safety": settings.safety_dir},
            evidence=self._evidence_count,
            inbox=self._inbox,
            counters=self._core.counters,
            transport=self._transport,
            driver=self._driver,
            safety=self._safety,
            chain=self._chain,
            examiner=self._examiner,
            cosigner=self._cosigner,
        )
        self._metrics = NodeMetrics(self._sources)

    async def run(
        self,
        listeners: list[trio.SocketListener],
        control: trio.SocketListener,
        task_status: "trio.TaskStatus[None]",
    ) -> None:
        """Run all parts until this validator has left the network; any error ends them all."""
        async with trio.open_nursery() as nursery:
            for part in (
                self._chain.run,
                self._examiner.run,
                self._server.run,
                self._timers.run,
            ):
                nursery.start_soon(part)
            nursery.start_soon(self._control.run, control)
            task_status.started()
            while (end := await self._live(listeners)) is not None:
                self._begin_epoch(end)
                listeners = await _listen(self._settings.listen)
            nursery.cancel_scope.cancel()

    # --- epochs -----------------------------------------------------------------------------

    async def _live(self, listeners: list[trio.SocketListener]) -> EndEpoch | None:
        """Run the core and the connections of one epoch to its end; None when it has left."""
        start = self._restored.start
        _log.info(
            "node_started",
            chain=self._settings.genesis.chain_id,
            epoch=start.number,
            index=self._core.index,
            height=self._restored.roots[-1].height,
        )
        end = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._transport.run, listeners)
            nursery.start_soon(_cancel_when, self._left, nursery.cancel_scope)
            end = await self._driver.run()
            nursery.cancel_scope.cancel()
        return end

    def _begin_epoch(self, end: EndEpoch) -> None:
        """Make the core of the next epoch. The last block of the one before is durable."""
        before = self._restored
        self._timers.clear()
        self._server.forget()
        self._restored = self._restore(end.carried)
        if self._restored.observes and not before.observes:
            self._departure = Departure(before.start, self._restored.start)
        self._core = self._make_core(self._core.counters)
        self._cosigner.begin_epoch(self._restored.start)
        self._transport = self._connect(self._transport.counters)
        self._sources.transport = self._transport
        self._driver.go_on_with(self._core)

    def _restore(self, carried: tuple[bytes, ...]) -> Restored:
        settings = self._settings
        restored = restore(settings.genesis, settings.signer.public_key, *self._stores)
        return msgspec.structs.replace(restored, carried=(*carried, *restored.carried))

    def _make_core(self, counters: Counters | None) -> NodeCore:
        signer, tuning = self._settings.signer, self._settings.tuning
        return NodeCore(signer, self._restored, self._stores[0], tuning, counters)

    def _connect(self, counters: TransportCounters | None) -> PeerTransport:
        transport = PeerTransport(self._network(), self._inbox, counters, self._cosigner)
        self._cosigner.attach(transport)
        return transport

    def _network(self) -> Network:
        start, before = self._restored.start, None
        if start.number > 0:
            with self._stores[0].read() as reader:
                before = reader.epoch_start(Epoch(start.number - 1))
        return network_of(self._settings, start, before)

    # --- effects ----------------------------------------------------------------------------

    def _handlers(self) -> Handlers:
        chain = self._chain
        return {
            Persist: self._persist,
            Send: lambda effect: self._transport.send(effect.peer, effect.message),
            Broadcast: self._broadcast,
            SetTimer: self._timers.set,
            CancelTimer: self._timers.cancel,
            ExamineEntries: self._examiner.examine,
            ExamineBatch: self._examiner.examine,
            StoreBatch: self._store_batch,
            Execute: chain.put,
            RecordEvidence: chain.put,
            ServeBlocks: self._server.serve,
            ServeBatches: self._server.serve,
            ServeEpochEnd: self._server.serve,
            Reply: self._control.reply,
            Penalize: self._penalize,
        }

    # The core stores, sends and proposes only batches whose every signature was verified (its
    # own entry by entry, those of others by ExamineBatch), so applying need not do it again.

    def _persist(self, effect: Persist) -> None:
        self._transport.flush(self._core.awaited)  # what need not wait for the disk
        for proposal in effect.proposals:
            for encoded in proposal.inline:
                self._chain.mark_checked(batch_id(encoded))
        self._safety.persist(effect)

    def _broadcast(self, effect: Broadcast) -> None:
        if isinstance(effect.message, BatchMessage):
            self._chain.mark_checked(batch_id(effect.message.batch))
        self._transport.broadcast(effect.message)

    def _flush(self) -> None:
        self._transport.flush(self._core.awaited)  # those of the present epoch
        self._chain.flush()  # after what others wait for

    def _send_frame(self, peer: NodeIndex, lane: Lane, frame: bytes) -> None:
        self._transport.send_frame(peer, lane, frame)  # the one of the present epoch

    def _store_batch(self, effect: StoreBatch) -> None:
        self._chain.mark_checked(effect.batch_id)
        self._chain.put(effect)

    def _penalize(self, effect: Penalize) -> None:
        _log.warning("peer_fault", peer=effect.peer, fault=f"{effect.offence}: {effect.detail}")
        self._transport.silence(effect.peer)

    # --- answers ----------------------------------------------------------------------------

    def _on_chain_durable(self, height: Height, log_size: int) -> None:
        self._metrics.on_durable(height, trio.current_time())
        self._control.on_head(height, log_size)
        self._cosigner.on_durable(height)
        if self._departure is None:
            return
        with self._stores[0].read() as reader:
            self._departure.follow(reader, height)
        if self._departure.is_due:
            _log.info("node_left", epoch=self._restored.start.number, height=height, reason=_LEFT)
            self._left.set()

    def _is_awaited(self) -> bool:
        return self._control.is_awaited()

    def _status(self) -> dict[str, object]:
        return self._core.status(wall_clock_ms())

    def _status_document(self) -> bytes:
        return msgspec.json.encode(self._status())

    def _evidence_count(self) -> int:
        with self._stores[0].read() as reader:
            return len(reader.evidence())

    def _metrics_text(self) -> bytes:
        return self._metrics.render()


def _open_safety(path: Path) -> SafetyStore:
    if not path.exists():
        raise StorageError(
            path,
            "the safety record, which says what this validator has signed, is not there",
            "If it has never run, create both of its stores. If it has run, bring back this very "
            "directory from the same disk, never from a copy or a backup; if it is lost, create "
            "a safety store that sits out until signing is safe again",
        )
    return SafetyStore.open(path)


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def _listen(address: Address) -> list[trio.SocketListener]:
    host, port = address
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        hint = ""
        if error.errno == errno.EADDRINUSE:
            hint = ": another program (perhaps this node) is listening there"
        raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror}{hint}") from error


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Raise the one error that ended the node, not the group that the nursery makes of it."""
    try:
        yield
    except BaseExceptionGroup as group:
        fatal = next(_leaves(group, InvariantError), None)
        if fatal is None:
            raise
        _log.critical("node_stopped", error=str(fatal))
        raise fatal from group


def _leaves(
    group: BaseExceptionGroup[BaseException], kind: type[InvariantError]
) -> Iterator[InvariantError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error, kind)
        elif isinstance(error, kind):
            yield error
