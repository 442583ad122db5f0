"""The cosigner of one node: what it reads from the chain, and what it does with outcomes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consensus.core.cosigning_messages import (
    CheckpointMessage,
    CosignatureMessage,
    CosigningMessage,
    decode_peer_message,
)
from consensus.core.frames import FrameSplitter
from consensus.core.messages import Lane
from consensus.io.cosigning import Cosigner
from ledger.core.errors import PeerFault
from ledger.core.execute import execute_block
from ledger.core.ids import Height, NodeIndex
from ledger.core.limits import CHECKPOINT_REFRESH_S, FRAME_BYTES_MAX
from ledger.core.signing import SeedSigner
from ledger.core.tlog.checkpoint import Checkpoint, StoredCheckpoint, sign_checkpoint
from ledger.io.chain_store import ChainStore
from tests.ledger.sample_network import GENESIS, START_MS, VALIDATORS, batch, block_after, entry

MINUTE_MS = CHECKPOINT_REFRESH_S * 1_000
Sent = tuple[str, CosigningMessage]


class Wires:
    """Notes what is sent and who is blamed."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.blamed: list[NodeIndex] = []

    def send_frame(self, peer: NodeIndex, lane: Lane, frame: bytes) -> None:
        """Note a frame for one peer."""
        self._note(f"peer {peer}", lane, frame)

    def broadcast_frame(self, lane: Lane, frame: bytes) -> None:
        """Note a frame for all."""
        self._note("all", lane, frame)

    def send_guests(self, lane: Lane, frame: bytes) -> None:
        """Note a frame for guests."""
        self._note("guests", lane, frame)

    def blame(self, peer: NodeIndex, fault: PeerFault) -> None:
        """Note a fault."""
        assert str(fault).startswith("bad_checkpoint")
        self.blamed.append(peer)

    def _note(self, to: str, lane: Lane, frame: bytes) -> None:
        assert lane is Lane.BULK
        (payload,) = FrameSplitter(FRAME_BYTES_MAX).feed(frame)
        message = decode_peer_message(payload)
        assert isinstance(message, CosignatureMessage | CheckpointMessage)
        self.sent.append((to, message))


class Node:
    """A chain, and the cosigner of a validator on it."""

    def __init__(self, store: ChainStore, signer: SeedSigner = VALIDATORS[0]) -> None:
        self.store = store
        self.kept: list[StoredCheckpoint] = []
        self.wires = Wires()
        self.cosigner = Cosigner(store, signer, self.kept.append)
        self.cosigner.attach(self.wires)

    def extend(self, ms: int, *numbers: int) -> Height:
        """Apply a block with events, made so long after genesis; tell that it is durable."""
        height = extend(self.store, ms, *numbers)
        self.cosigner.on_durable(height)
        return height

    def said(self) -> list[tuple[int, int]]:
        """Give (seconds, size) of what was signed and said to all."""
        own = [message for to, message in self.wires.sent if to == "all"]
        return [(m.time_s - START_MS // 1_000, m.log_size) for m in own]


def extend(store: ChainStore, ms: int, *numbers: int) -> Height:
    """Apply the next block."""
    with store.write() as writer:
        payload = []
        if numbers:
            id_, encoded = batch([entry(number) for number in numbers], numbers[0])
            writer.store_batch(id_, encoded)
            payload.append(id_)
        parent = writer.reader.head().block_id
        block_id, block = block_after(writer.root, parent, payload, START_MS + ms)
        result = execute_block(writer, block_id, block, lambda _: False)
        assert not result.refused
        writer.apply(result)
        return block.height


def of_peer(peer: int, sent: CosigningMessage) -> CosignatureMessage:
    """Give what another validator says of the same ledger."""
    checkpoint = Checkpoint(GENESIS.chain_id, sent.log_size, sent.log_root)
    signed = sign_checkpoint(VALIDATORS[peer], checkpoint, sent.time_s)
    return CosignatureMessage(sent.epoch, sent.time_s, sent.log_size, sent.log_root, *signed)


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Iterator[ChainStore]:
    assert START_MS % MINUTE_MS == 20_000  # a minute begins 40 s after genesis
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        yield store


def test_it_signs_what_is_durable(store: ChainStore) -> None:
    """Blocks that became durable give signatures, the newest of several at once."""
    node = Node(store)
    node.extend(100, 1)
    assert node.said() == []
    node.extend(130)
    assert node.said() == [(0, 1)]
    extend(store, 1_200, 2)
    extend(store, 2_200, 3)
    node.extend(3_300)
    assert node.said() == [(0, 1), (3, 3)]


def test_a_quorum_is_stored_and_passed_on(store: ChainStore) -> None:
    """The complete checkpoint is kept and told to guests; who connects is told, too."""
    node = Node(store)
    node.extend(100, 1)
    node.extend(130)
    (_, own), *_ = node.wires.sent
    for peer in (1, 2):
        node.cosigner.on_message(NodeIndex(peer), of_peer(peer, own))
    (kept,) = node.kept
    assert (kept.log_size, node.cosigner.log_size, node.cosigner.checkpoints) == (1, 1, 1)
    assert [to for to, _ in node.wires.sent] == ["all", "guests"]
    node.cosigner.on_peer_up(NodeIndex(3))
    to, told = node.wires.sent[-1]
    assert (to, told) == ("peer 3", node.wires.sent[1][1])


def test_who_connects_before_it_is_complete(store: ChainStore) -> None:
    """A peer that connects is told this node's own signature again."""
    node = Node(store)
    node.extend(100, 1)
    node.extend(130)
    node.cosigner.on_peer_up(NodeIndex(3))
    assert node.wires.sent[-1] == ("peer 3", node.wires.sent[0][1])


def test_faults_and_lies(store: ChainStore) -> None:
    """A wrong signature is blamed; a signature of another root is counted once."""
    node = Node(store)
    node.extend(100, 1)
    node.extend(130)
    (_, own), *_ = node.wires.sent
    node.cosigner.on_message(NodeIndex(1), of_peer(2, own))
    assert node.wires.blamed == [1]
    lie = CosignatureMessage(own.epoch, own.time_s, own.log_size, bytes(32), bytes(64), bytes(64))
    for _ in range(3):
        node.cosigner.on_message(NodeIndex(3), lie)
    assert node.cosigner.lies == 1
    assert node.wires.blamed == [1]
    assert not node.kept


def test_one_that_starts_again_agrees(store: ChainStore) -> None:
    """After a restart the newest checkpoint of the last minute is signed again, and the next."""
    node = Node(store)
    node.extend(100, 1)
    node.extend(130)
    node.extend(45_000, 2)
    node.extend(45_030)
    node.extend(46_500, 3)
    again = Node(store)
    assert again.said() == node.said()[-1:]
    for one in (node, again):
        one.wires.sent.clear()
    height = extend(store, 47_700)
    for one in (node, again):
        one.cosigner.on_durable(height)
    assert node.said() == again.said() == [(47, 3)]


def test_one_that_starts_before_the_first_minute_agrees(store: ChainStore) -> None:
    """In the epoch's first minute a restarted node begins with the epoch."""
    node = Node(store)
    node.extend(100, 1)
    node.extend(130)
    node.extend(1_500, 2)
    assert Node(store).said() == node.said()[-1:]
    assert node.said()


def test_an_observer_signs_nothing_and_stores(store: ChainStore) -> None:
    """A node that is no validator keeps what it is told, once its own ledger is that."""
    node, observer = Node(store), Node(store, SeedSigner(b"o" * 32))
    node.extend(100, 1)
    height = node.extend(130)
    (_, own), *_ = node.wires.sent
    for peer in (1, 2):
        node.cosigner.on_message(NodeIndex(peer), of_peer(peer, own))
    told = node.wires.sent[-1][1]
    observer.cosigner.on_message(NodeIndex(0), told)
    assert not observer.kept
    observer.cosigner.on_durable(height)
    assert observer.kept == node.kept
    assert observer.said() == []
