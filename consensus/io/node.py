"""The composition of one validator process: opens the stores, connects the parts, runs them.

The only module that knows all parts of the shell. It refuses to start where going on could
contradict what this validator has signed, and says what to do about it.
"""

import errno
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog
import trio

from consensus.core.control import Head
from consensus.core.effects import (
    Broadcast,
    CancelTimer,
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
    SetTimer,
    StoreBatch,
)
from consensus.core.messages import BatchMessage
from consensus.core.node import NodeCore, Tuning
from consensus.core.safety_record import encode_record, first_record
from consensus.io.chain_worker import ChainWorker
from consensus.io.control_server import ControlServer, open_control_socket
from consensus.io.driver import Driver, Handlers, wall_clock_ms
from consensus.io.examiner import Examiner
from consensus.io.inbox import Inbox
from consensus.io.metrics import NodeMetrics, Sources
from consensus.io.network import Address, Network
from consensus.io.restore import restore
from consensus.io.safety_writer import SafetyWriter
from consensus.io.store_server import StoreServer
from consensus.io.timers import Timers
from consensus.io.tls import PeerIdentity
from consensus.io.transport import PeerTransport
from ledger.core.block import batch_id
from ledger.core.errors import InvariantError, Unavailable
from ledger.core.genesis import Genesis
from ledger.core.ids import Height, NodeIndex, PublicKey
from ledger.core.limits import THREAD_SWITCH_US
from ledger.core.signing import Signer
from ledger.io.chain_store import ChainStore
from ledger.io.errors import StorageError
from ledger.io.safety_store import SafetyStore

__all__ = ["NodeSettings", "create_safety_store", "create_stores", "serve_node"]

_log = structlog.get_logger()


@dataclass(frozen=True)
class NodeSettings:
    """What a validator process needs to know.

    Attributes:
        signer: holds the voting key; peer_seed: 32 bytes, seed of the TLS identity.
        control_path: where gateways find the node.
        listen: host and port on which peers are awaited.
        peer_addresses: where to dial each validator; None: as the genesis file says.
    """

    genesis: Genesis
    signer: Signer
    peer_seed: bytes = field(repr=False)
    chain_dir: Path
    safety_dir: Path
    control_path: Path
    listen: Address
    peer_addresses: Mapping[int, Address] | None = None
    tuning: Tuning = field(default_factory=Tuning)


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
    record = encode_record(first_record(genesis, key, sit_out=sit_out))
    SafetyStore.create(safety_dir, record).close()


async def serve_node(
    settings: NodeSettings,
    *,
    task_status: "trio.TaskStatus[None]" = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a validator until cancelled.

    Raises:
        Unavailable: it cannot start: an address is in use, a path is not usable.
        InvariantError: it must not go on (StorageError: a store is unusable or in use).
    """
    sys.setswitchinterval(THREAD_SWITCH_US / 1_000_000)
    network = _network(settings)
    with (
        ChainStore.open(settings.chain_dir, settings.genesis) as chain_store,
        _open_safety(settings.safety_dir) as safety_store,
    ):
        restored = restore(settings.genesis, settings.signer.public_key, chain_store, safety_store)
        core = NodeCore(settings.genesis, settings.signer, restored, chain_store, settings.tuning)
        node = _Node(core, network, chain_store, safety_store)
        control = open_control_socket(settings.control_path)
        try:
            listeners = await _listen(settings.listen)
            _log.info(
                "node_started",
                chain=settings.genesis.chain_id,
                index=network.index,
                height=restored.roots[-1].height,
            )
            with _plain_errors():
                await node.run(listeners, control, task_status)
        finally:
            control.socket.close()
            settings.control_path.unlink(missing_ok=True)


class _Node:
    """The parts of one validator and what connects them."""

    def __init__(
        self, core: NodeCore, network: Network, chain: ChainStore, safety: SafetyStore
    ) -> None:
        self._core = core
        inbox = Inbox()
        put = inbox.put_own
        with chain.read() as reader:
            head = reader.head()
        self._transport = PeerTransport(network, inbox)
        self._timers = Timers(put)
        self._chain = ChainWorker(chain, put, self._on_chain_durable)
        self._examiner = Examiner(chain, put, self._chain.mark_checked)
        self._server = StoreServer(chain, self._transport.send_frame)
        self._control = ControlServer(
            inbox, Head(head.height, head.log_size), self._status_document, self._metrics_text
        )
        self._safety = SafetyWriter(safety)
        self._driver = Driver(core, inbox, self._handlers())
        self._metrics = NodeMetrics(
            Sources(
                status=self._status,
                counters=core.counters,
                transport=self._transport,
                driver=self._driver,
                safety=self._safety,
                chain=self._chain,
                examiner=self._examiner,
            )
        )

    async def run(
        self,
        listeners: list[trio.SocketListener],
        control: trio.SocketListener,
        task_status: "trio.TaskStatus[None]",
    ) -> None:
        """Run all parts; the end of one is the end of all."""
        async with trio.open_nursery() as nursery:
            for part in (
                self._chain.thread.run,
                self._examiner.run,
                self._server.run,
                self._timers.run,
                self._driver.run,
            ):
                nursery.start_soon(part)
            nursery.start_soon(self._transport.run, listeners)
            nursery.start_soon(self._control.run, control)
            task_status.started()

    # --- effects ----------------------------------------------------------------------------

    def _handlers(self) -> Handlers:
        transport, chain = self._transport, self._chain
        return {
            Persist: self._persist,
            Send: lambda effect: transport.send(effect.peer, effect.message),
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
            Reply: self._control.reply,
            Penalize: self._penalize,
        }

    # The core stores, sends and proposes only batches whose every signature was verified (its
    # own entry by entry, those of others by ExamineBatch), so applying need not do it again.

    def _persist(self, effect: Persist) -> None:
        for proposal in effect.proposals:
            for encoded in proposal.inline:
                self._chain.mark_checked(batch_id(encoded))
        self._safety.persist(effect)

    def _broadcast(self, effect: Broadcast) -> None:
        if isinstance(effect.message, BatchMessage):
            self._chain.mark_checked(batch_id(effect.message.batch))
        self._transport.broadcast(effect.message)

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

    def _status(self) -> dict[str, object]:
        return self._core.status(wall_clock_ms())

    def _status_document(self) -> bytes:
        return msgspec.json.encode(self._status())

    def _metrics_text(self) -> bytes:
        return self._metrics.render()


def _network(settings: NodeSettings) -> Network:
    """Find this validator's place in the genesis file. Raises Unavailable when it has none."""
    validators = settings.genesis.validator_set()
    index = validators.index_of(settings.signer.public_key)
    if index is None:
        raise Unavailable("the voting key is not one of the genesis file's validators")
    identity = PeerIdentity(settings.peer_seed)
    if identity.public_key != validators.members[index].peer_key:
        raise Unavailable("the peer key is not the one that the genesis file gives this validator")
    others = [NodeIndex(i) for i in range(len(validators)) if i != index]
    addresses = dict(settings.peer_addresses or {})
    return Network(
        identity=identity,
        genesis_hash=settings.genesis.hash,
        index=index,
        keys={i: PublicKey(validators.members[i].peer_key) for i in others},
        addresses={i: addresses.get(i) or _address(validators.members[i].address) for i in others},
    )


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


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


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
