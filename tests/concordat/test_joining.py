"""Copying a ledger from several gateways, of which some lie, lag or are down."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from concordat.compose.joining import Joining, copy_snapshot
from consensus.core.restoring import restored_from
from consensus.core.safety_record import first_record
from ledger.core.codec import encode
from ledger.core.epoch import EpochStart
from ledger.core.errors import Offence, PeerFault, ProofError, Unavailable
from ledger.core.ids import Height
from ledger.core.ids import Sequence as SequenceNumber
from ledger.core.limits import SNAPSHOT_AGE_MS_MAX
from ledger.core.snapshot import LogPart, log_codec, read_blocks, read_log, read_state
from ledger.core.snapshot_manifest import Manifest, manifest_codec, new_manifest
from ledger.io.chain_store import ChainStore
from ledger.io.snapshot_store import SnapshotStore
from pubsub.client.answers import Answer
from pubsub.client.exchange import Call, Flow, Lost, Pause, Request, Timing
from pubsub.client.snapshots import SnapshotGateways
from tests.concordat.conftest import Run
from tests.ledger.epochs_world import EpochsChain, beyond_the_end, make_epochs
from tests.ledger.sample_network import GENESIS, START_MS, VALIDATORS
from tests.ledger.snapshot_world import BLOCK_EVENTS, KEPT, make_source, open_copy

HONEST, OTHER = "http://honest", "http://other"

Reply = Callable[[Request], Answer | Lost]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainStore]:
    """A chain."""
    with make_source(tmp_path_factory.mktemp("source") / "chain", 12) as store:
        yield store


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts of everything; and the present is that of the chain."""
    monkeypatch.setattr("ledger.core.snapshot.SNAPSHOT_CHUNK_BYTES", 6_000)
    monkeypatch.setattr("concordat.compose.joining.time.time_ns", lambda: START_MS * 1_000_000)


def honest(source: ChainStore) -> Reply:
    """Answer as a gateway does."""

    def reply(request: Request) -> Answer | Lost:
        values = dict(request.parameters)
        with source.read() as reader:
            match request.path.rpartition("/")[2]:
                case "snapshot":
                    part: object = new_manifest(reader)
                case "blocks":
                    part = read_blocks(reader, Height(int(values["highest"])))
                case "state":
                    root = bytes.fromhex(values["root"])
                    part = read_state(reader.read_node, root, values.get("path", ""))
                case _:
                    first = SequenceNumber(int(values["first"]))
                    part = read_log(reader, first, int(values["size"]))
        assert part is not None
        return Answer(200, encode(part), {})

    return reply


class Network:
    """Carries out flows against gateways of one process."""

    def __init__(self, **replies: Reply) -> None:
        self.replies = {f"http://{name}": reply for name, reply in replies.items()}
        self.asked: list[str] = []
        self.now_ms = 0

    def carry(self, flow: Flow[object]) -> object:
        """Carry out a flow; pauses cost no time but the clock's."""
        outcome: Answer | Lost | None = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as stop:
                return stop.value
            outcome = None
            if isinstance(step, Pause):
                self.now_ms += step.ms
            else:
                outcome = self._answer(step)

    def _answer(self, call: Call) -> Answer | Lost:
        self.asked.append(call.url)
        return self.replies[call.url](call.request)

    def copy(self, store: SnapshotStore, *, accept_old: bool = False) -> SnapshotGateways:
        """Copy from all of them, in the order of their names."""
        timing = Timing(now_ms=lambda: self.now_ms, spread=lambda _: 0)
        gateways = SnapshotGateways(list(self.replies), timing)
        joining = Joining(list(self.replies), accept_old, lambda _: None)
        copy_snapshot(store, gateways, self.carry, joining)  # type: ignore[arg-type] # any value
        return gateways


def test_a_gateway_that_lies_is_left_and_the_copy_completed(
    source: ChainStore, tmp_path: Path
) -> None:
    """The first wrong piece ends the trust in its sender; the next gateway has the rest."""
    right = honest(source)

    def lies_later(request: Request) -> Answer | Lost:
        answer = right(request)
        if request.path.endswith("log") and request.parameters["first"] != "0":
            assert isinstance(answer, Answer)
            part = log_codec.decode(answer.body)
            return Answer(200, encode(LogPart(part.entries[::-1], part.proof)), {})
        return answer

    network = Network(a_liar=lies_later, honest=right)
    with open_copy(tmp_path) as copy:
        gateways = network.copy(copy)
        assert gateways.url == HONEST
        assert "not those of the certified log" in gateways.refused["http://a_liar"]
    # It was believed up to the piece that did not hold, and never asked after it.
    assert network.asked.index("http://a_liar") < network.asked.index(HONEST)
    assert "http://a_liar" not in network.asked[len(network.asked) - 3 :]
    with ChainStore.open(tmp_path, GENESIS) as store, store.read() as reader:
        assert reader.head().log_size > 100


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"", {}),
        Answer(200, b"\x93", {}),
        Answer(200, b"<html>", {}),
    ],
)
def test_when_nobody_can_be_believed_it_says_why(tmp_path: Path, answer: Answer) -> None:
    """The error names every gateway and its fault; nothing was begun."""
    network = Network(a=lambda _: answer, b=lambda _: answer)
    with open_copy(tmp_path) as copy:
        with pytest.raises(ProofError, match=r"no gateway is left.*http://a:.*http://b:"):
            network.copy(copy)
        assert copy.manifest is None


def test_an_answer_without_end_ends_the_trust(source: ChainStore, tmp_path: Path) -> None:
    """Who floods is left like who lies, at the manifest and later."""
    right = honest(source)

    def floods(request: Request) -> Answer | Lost:
        if request.path == "/v1/snapshot":
            return right(request)
        raise PeerFault(Offence.FLOOD, "an answer of more than 1 bytes")

    def floods_at_once(_request: Request) -> Answer | Lost:
        raise PeerFault(Offence.FLOOD, "an answer of more than 1 bytes")

    network = Network(a=floods_at_once, b=floods, honest=right)
    with open_copy(tmp_path) as copy:
        gateways = network.copy(copy)
        assert set(gateways.refused) == {"http://a", "http://b"}


def test_the_highest_ledger_that_holds_is_copied(source: ChainStore, tmp_path: Path) -> None:
    """An old ledger is outbid by a newer one, and a higher one that is forged by neither."""
    with make_source(tmp_path / "behind", 3) as old:
        right = honest(source)

        def boasts(request: Request) -> Answer | Lost:
            answer = right(request)
            assert isinstance(answer, Answer)
            manifest = msgspec.msgpack.decode(answer.body, type=Manifest)
            higher = msgspec.structs.replace(manifest.root, height=Height(10_000))
            return Answer(200, encode(msgspec.structs.replace(manifest, root=higher)), {})

        network = Network(a=boasts, b=honest(old), honest=right)
        with open_copy(tmp_path / "copy") as copy:
            gateways = network.copy(copy)
            assert set(gateways.refused) == {"http://a"}
            with source.read() as reader:
                assert copy.manifest == new_manifest(reader)


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EpochsChain]:
    """A chain of three epochs, of which the last has no validator of the first."""
    chain = make_epochs(tmp_path_factory.mktemp("later") / "chain")
    with chain.store:
        yield chain


def test_a_ledger_of_a_later_epoch_is_copied(later: EpochsChain, tmp_path: Path) -> None:
    """A gateway that hides an epoch's end, or tells another network's, is left and named."""
    right = honest(later.store)

    def lies(change: Callable[[Manifest], Manifest]) -> Reply:
        def reply(request: Request) -> Answer | Lost:
            answer = right(request)
            assert isinstance(answer, Answer)
            return Answer(200, encode(change(manifest_codec.decode(answer.body))), {})

        return reply

    def without_the_last(manifest: Manifest) -> Manifest:
        return msgspec.structs.replace(manifest, epoch_ends=manifest.epoch_ends[:-1])

    def turned_round(manifest: Manifest) -> Manifest:
        return msgspec.structs.replace(manifest, epoch_ends=manifest.epoch_ends[::-1])

    network = Network(a=lies(without_the_last), b=lies(turned_round), honest=right)
    with open_copy(tmp_path) as copy:
        gateways = network.copy(copy)
        assert "the ends of 1 epochs are shown" in gateways.refused["http://a"]
        assert "the end of epoch 0 does not hold" in gateways.refused["http://b"]
    with ChainStore.open(tmp_path, GENESIS) as store, store.read() as reader:
        key = VALIDATORS[0].public_key
        record = first_record(EpochStart.of_genesis(GENESIS), key, sit_out=True)
        restored = restored_from(record, (), reader)
        assert restored.observes
        assert restored.start.number == 2


def test_gateways_that_contradict_each_other_end_the_copy(
    later: EpochsChain, tmp_path: Path
) -> None:
    """Who holds keys of removed validators can show another ledger: none of both is chosen."""
    with later.store.read() as reader:
        present = new_manifest(reader)
    assert present is not None
    old = beyond_the_end(present, 5_000)
    replies = {"liar": Answer(200, encode(old), {}), "right": Answer(200, encode(present), {})}
    for names in (("liar", "right"), ("right", "liar")):
        network = Network(**{name: lambda _, name=name: replies[name] for name in names})
        with open_copy(tmp_path) as copy:
            with pytest.raises(ProofError, match=r"contradict each other .*liar at 5000.*fork"):
                network.copy(copy)
            assert copy.manifest is None


def test_an_old_ledger_is_taken_only_when_that_is_wanted(
    source: ChainStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger as old as the limit is taken, an older one is not, unless the operator says so."""
    with source.read() as reader:
        manifest = new_manifest(reader)
    assert manifest is not None
    network = Network(honest=honest(source))
    for name, over_ms, accept_old in (("a", 0, False), ("b", 1, False), ("c", 1, True)):
        now_ms = manifest.header.time_ms + SNAPSHOT_AGE_MS_MAX + over_ms
        monkeypatch.setattr(time, "time_ns", lambda now_ms=now_ms: now_ms * 1_000_000)
        with open_copy(tmp_path / name) as copy:
            if name != "b":
                network.copy(copy, accept_old=accept_old)
                continue
            with pytest.raises(Unavailable, match="1 hours old"):
                network.copy(copy)
            assert copy.manifest is None


def test_gateways_that_fail_are_asked_in_turn(source: ChainStore, tmp_path: Path) -> None:
    """One that is down or has not that much is passed over, and not accused."""
    right = honest(source)
    turns = iter(range(1_000))

    def fails(request: Request) -> Answer | Lost:
        failing = next(turns) % 2
        return Lost("refused") if failing else right(request)

    network = Network(
        a=lambda _: Lost("refused"), b=lambda _: Answer(404, b"{}", {}), c=fails, d=fails
    )
    with open_copy(tmp_path) as copy:
        assert network.copy(copy).refused == {}


def test_it_gives_up_and_keeps_what_it_has(source: ChainStore, tmp_path: Path) -> None:
    """Without a gateway it ends in time; the next attempt goes on, and with other gateways."""
    right = honest(source)

    def dies(request: Request) -> Answer | Lost:
        return Lost("gone") if request.path.endswith("log") else right(request)

    with open_copy(tmp_path) as copy, pytest.raises(Unavailable, match="gave up"):
        Network(a=dies).copy(copy)
    with open_copy(tmp_path) as copy:
        assert copy.next_block is None
        assert copy.next_node is None
        Network(honest=right).copy(copy)
    with ChainStore.open(tmp_path, GENESIS) as store, store.read() as reader:
        assert reader.head().log_size == 10 * BLOCK_EVENTS


def test_urls_are_checked(concordat: Run, tmp_path: Path) -> None:
    """A copy needs a gateway, and a gateway speaks HTTP."""
    assert "not an HTTP URL" in concordat("join", tmp_path, "--from", "x:1", code=2).stderr
    assert "no member home" in concordat("join", tmp_path, "--from", HONEST, code=2).stderr
    for urls in ([], ["ftp://x"], ["http://a", "b"]):
        with pytest.raises(ValueError, match="HTTP URL"):
            SnapshotGateways(urls, Timing())


def test_a_core_starts_from_a_copy(
    source: ChainStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the blocks that decide the leader schedule, and the one ledger that is there."""
    monkeypatch.setattr("consensus.core.restoring.schedule_blocks", lambda _count: KEPT)
    with open_copy(tmp_path) as copy:
        Network(honest=honest(source)).copy(copy)
    with ChainStore.open(tmp_path, GENESIS) as store, store.read() as reader:
        key = VALIDATORS[0].public_key
        restored = restored_from(
            first_record(EpochStart.of_genesis(GENESIS), key, sit_out=True), (), reader
        )
        height = reader.head_height()
        assert restored.roots == (reader.root(height),)
        assert [block.height for block in restored.recent] == list(
            range(max(1, height - KEPT + 1), height + 1)
        )
        assert restored.open_batches == ()
