"""``concordat prune``: what an operator wants forgotten is, unless somebody still needs it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import create_engine, insert

from adapters.dome.dlt.state import DltState
from adapters.dome.dlt.subscriptions import Subscription
from adapters.tmf.replication.tables import POSITIONS
from concordat import testnet
from ledger.core.block import Block, block_id
from ledger.core.certificate import QuorumCertificate
from ledger.core.execute import execute_block
from ledger.core.genesis import Genesis
from ledger.core.ids import Epoch, Height, NodeIndex, Sequence
from ledger.core.state import StateView
from ledger.core.tlog.checkpoint import StoredCheckpoint
from ledger.core.validators import members_codec
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_store import ChainStore, ChainWriter
from ledger.io.environment import Table
from ledger.io.keystore import KeyPurpose, open_key
from pubsub.client.identity import Publisher
from pubsub.core.consumer.config import ConsumerConfig
from pubsub.core.consumer.pending import Pending
from pubsub.core.consumer.record import encode_config, encode_state
from pubsub.core.consumer.state import ConsumerState
from pubsub.io.delivery_store import DeliveryStore
from tests.concordat.conftest import Run
from tests.ledger.sample_network import batch, block_after

RunJson = Callable[..., dict[str, object]]

NAMES = ("alpha", "beta", "gamma", "delta")
BLOCKS, BLOCK_EVENTS = 20, 5
COUNT = BLOCKS * BLOCK_EVENTS
HOUR_MS = 3_600_000


class Chain:
    """The ledger of a member, written without a network: a block for each five events."""

    def __init__(self, network: testnet.Testnet, home: Path) -> None:
        self.path = home / "data" / "chain"
        self.genesis: Genesis = network.genesis
        key = open_key(home / "keys" / "publisher.json", KeyPurpose.PUBLISHER, password=None)
        self._publisher = Publisher(key.info.owner, key.signer, self.genesis.chain_id)

    def grow(self, blocks: int, authors: tuple[int, ...] = (0, 1, 2, 3), hours: int = 1) -> None:
        """Apply blocks by these validators, one after so many hours, all of whom vote."""
        with ChainStore.open(self.path, self.genesis) as store:
            for number in range(blocks):
                with store.write() as writer:
                    self._block(writer, authors[number % len(authors) :] + authors, hours)

    def _block(self, writer: ChainWriter, authors: tuple[int, ...], hours: int) -> None:
        head = writer.reader.head()
        time_ms = head.time_ms + hours * HOUR_MS
        rows = [
            self._publisher.sign("alpha.x", "thing.changed", data=b"x" * 300, time_ms=time_ms).entry
            for _ in range(BLOCK_EVENTS)
        ]
        id_, encoded = batch(rows, writer.root.height)
        writer.store_batch(id_, encoded)
        _, block = block_after(writer.root, head.block_id, [id_], time_ms)
        votes = tuple((NodeIndex(index), bytes(64)) for index in sorted(set(authors)))
        qc = QuorumCertificate(Epoch(0), block.round, head.block_id, None, votes)
        block = msgspec.structs.replace(block, author=NodeIndex(authors[0]), qc=qc)
        result = execute_block(writer, block_id(block), block, lambda _: True)
        assert not result.refused
        writer.apply(result)
        note = StoredCheckpoint(Epoch(0), 0, result.root.log_size, b"note")
        writer.put_checkpoint(note)

    def first_held(self) -> int:
        """Open the store with all checks; give its first sequence, which can be read."""
        with ChainStore.open(self.path, self.genesis) as store, store.read() as reader:
            first = reader.first_held()
            assert len(reader.entries(first, COUNT, 10**9)) == reader.head().log_size - first
        return first


@pytest.fixture
def network(tmp_path: Path) -> testnet.Testnet:
    """Make the files of a network of four; nothing of it runs."""
    members = [(name, testnet.Ports(26_600 + i, 27_600 + i)) for i, name in enumerate(NAMES)]
    return testnet.create_testnet(tmp_path / "net", testnet.TestnetPlan("four", members))


@pytest.fixture
def home(network: testnet.Testnet) -> Path:
    """Give the home of its first member."""
    return network.homes["alpha"]


@pytest.fixture
def chain(network: testnet.Testnet, home: Path) -> Chain:
    """Give that member's chain, with events."""
    chain = Chain(network, home)
    chain.grow(BLOCKS)
    return chain


def holds(document: dict[str, object]) -> list[tuple[int, str]]:
    """Give who held a pruning back, the one that counts first."""
    found = document["held_back_by"]
    assert isinstance(found, list)
    return [(hold["position"], hold["who"]) for hold in found]


def test_newest_events_are_kept(home: Path, chain: Chain, concordat_json: RunJson) -> None:
    """What is older than the newest so many is forgotten, and a second time there is nothing."""
    told = concordat_json("prune", "--home", home, "--keep-events", 40)
    assert (told["first_before"], told["first_held"], told["log_size"]) == (0, 60, COUNT)
    assert told["rows"] != 0
    assert holds(told) == []
    assert chain.first_held() == 60
    again = concordat_json("prune", "--home", home, "--keep-events", 40)
    assert (again["first_before"], again["first_held"], again["rows"]) == (60, 60, 0)


def test_events_of_some_days_are_kept(
    home: Path, chain: Chain, concordat_json: RunJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block's events are old when it is, by the clock; both conditions together keep more."""
    with ChainStore.open_readonly(chain.path) as store, store.read() as reader:
        now_ms = reader.head().time_ms
    monkeypatch.setattr("time.time_ns", lambda: now_ms * 1_000_000)
    days = 6.5 / 24
    told = concordat_json("prune", "--home", home, "--keep-days", days, "--dry-run")
    assert told["first_held"] == COUNT - 7 * BLOCK_EVENTS
    options = ("--home", home, "--keep-days", days, "--keep-events")
    assert concordat_json("prune", *options, 70, "--dry-run")["first_held"] == COUNT - 70
    assert concordat_json("prune", *options, 7, "--dry-run")["first_held"] == COUNT - 35


def test_clock_that_is_ahead_makes_nothing_old(
    home: Path, chain: Chain, concordat_json: RunJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days count from the last block, by a clock that is behind it from the clock."""
    with ChainStore.open_readonly(chain.path) as store, store.read() as reader:
        head_ms = reader.head().time_ms
    options = ("--home", home, "--keep-days", 10.5 / 24, "--dry-run")
    for ahead_ms, kept_blocks in ((365 * 24 * HOUR_MS, 11), (0, 11), (-2 * HOUR_MS, 13)):
        now_ms = head_ms + ahead_ms
        monkeypatch.setattr("time.time_ns", lambda now_ms=now_ms: now_ms * 1_000_000)
        assert concordat_json("prune", *options)["wanted"] == COUNT - kept_blocks * BLOCK_EVENTS


@pytest.mark.parametrize("days", ["nan", "inf", "-inf", "-1", "1e305", "36501"])
def test_days_are_a_number(home: Path, chain: Chain, concordat: Run, days: str) -> None:
    """Anything else is an error of usage, and nothing is forgotten."""
    told = concordat("prune", "--home", home, "--keep-days", days, code=2)
    assert "--keep-days" in told.stderr
    assert chain.first_held() == 0


def test_rehearsal_changes_nothing(home: Path, chain: Chain, concordat: Run) -> None:
    """It says what would be forgotten."""
    told = concordat("prune", "--home", home, "--keep-events", 40, "--dry-run").stdout
    assert "60 events would be forgotten" in told
    assert chain.first_held() == 0


def test_validator_that_was_away_is_waited_for(
    home: Path, chain: Chain, concordat_json: RunJson, concordat: Run
) -> None:
    """It may ask for what follows the last ledger that it had, unless the operator says not to."""
    chain.grow(BLOCKS, authors=(0, 1, 2))
    last = chain.genesis.validators[3].name
    told = concordat_json("prune", "--home", home, "--keep-events", 30)
    ((position, who),) = holds(told)
    # It made block 20 with the ledger of block 19, when its disk had that of block 18.
    assert (position, told["first_held"]) == (18 * BLOCK_EVENTS, 18 * BLOCK_EVENTS)
    assert who == f"validator {last}, last seen with the ledger of block 19,"
    human = concordat("prune", "--home", home, "--keep-events", 30).stdout
    assert f"{who} needs {position} and later" in human
    options = ("--home", home, "--keep-events", 30, "--without")
    assert "no validator is named dleta" in concordat("prune", *options, "dleta", code=2).stderr
    assert concordat_json("prune", *options, last)["first_held"] == 2 * COUNT - 30


def test_search_for_a_validator_ends_where_contents_do(
    home: Path, chain: Chain, concordat_json: RunJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it signed before does not matter: nothing that it lacks is here any more."""
    chain.grow(BLOCKS, authors=(0, 1, 2))
    last = chain.genesis.validators[3].name
    options = ("--home", home, "--keep-events")
    assert concordat_json("prune", *options, 50, "--without", last)["first_held"] == 150
    block = ChainReader.block
    read: list[Height] = []

    def watched(reader: ChainReader, height: Height) -> Block | None:
        read.append(height)
        return block(reader, height)

    monkeypatch.setattr(ChainReader, "block", watched)
    told = concordat_json("prune", *options, 30, "--dry-run")
    assert holds(told) == [(150, f"validator {last}, unseen since block 30,")]
    assert min(read) == 31


def test_validator_that_never_signed_needs_everything(
    network: testnet.Testnet, home: Path, concordat_json: RunJson
) -> None:
    """Nobody knows what it has."""
    Chain(network, home).grow(BLOCKS, authors=(0, 1, 2))
    last = network.genesis.validators[3].name
    told = concordat_json("prune", "--home", home, "--keep-events", 1)
    assert told["first_held"] == 0
    assert f"{last}, unseen since block 0," in holds(told)[0][1]


def test_validators_of_the_next_epoch_are_waited_for(
    chain: Chain, home: Path, concordat_json: RunJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While their set waits nobody knows what they have, unless the operator does."""
    members = chain.genesis.validators
    new = msgspec.structs.replace(members[0], name="epsilon", key=bytes(32))
    waiting = members_codec.encode((*members[1:], new))
    monkeypatch.setattr(StateView, "pending_validators", lambda _: waiting)
    options = ("prune", "--home", home, "--keep-events", 40, "--dry-run")
    told = concordat_json(*options)
    who = "validator epsilon, of the set that waits for the next epoch,"
    assert (told["first_held"], holds(told)) == (0, [(0, who)])
    assert concordat_json(*options, "--without", "epsilon")["first_held"] == COUNT - 40


def test_votes_show_what_a_validator_has(chain: Chain, home: Path, concordat_json: RunJson) -> None:
    """A validator that made no block for long, but votes, has the ledgers that it voted for."""
    chain.grow(BLOCKS, authors=(0, 1, 2))
    with ChainStore.open(chain.path, chain.genesis) as store, store.write() as writer:
        head = writer.reader.head()
        vote = (NodeIndex(3), bytes(64))
        _, block = block_after(writer.root, head.block_id, ())
        qc = QuorumCertificate(Epoch(0), block.round, head.block_id, None, (vote,))
        block = msgspec.structs.replace(block, qc=qc, time_ms=head.time_ms)
        writer.apply(execute_block(writer, block_id(block), block, lambda _: True))
    told = concordat_json("prune", "--home", home, "--keep-events", 30)
    assert (told["first_held"], holds(told)) == (2 * COUNT - 30, [])


def test_validator_may_have_signed_before_its_commit(
    chain: Chain, home: Path, concordat_json: RunJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of the last half minute, but at most so many, may be missing on anybody's disk."""
    chain.grow(10, hours=0)
    told = concordat_json("prune", "--home", home, "--keep-events", 10, "--dry-run")
    positions = [position for position, _ in holds(told)]
    # Blocks 20 to 30 have the same time; the votes are for ledger 28.
    assert positions == [19 * BLOCK_EVENTS] * len(NAMES)
    monkeypatch.setattr("concordat.retention_holds.SYNC_BLOCKS_AHEAD_MAX", 4)
    told = concordat_json("prune", "--home", home, "--keep-events", 10, "--dry-run")
    positions = [position for position, _ in holds(told)]
    assert positions == [24 * BLOCK_EVENTS] * 3 + [25 * BLOCK_EVENTS]  # that of the last author


def test_checkpoint_is_not_passed(chain: Chain, home: Path, concordat_json: RunJson) -> None:
    """Entries that no quorum has cosigned yet are kept."""
    with ChainStore.open(chain.path, chain.genesis) as store, store.write() as writer:
        writer.put_checkpoint(StoredCheckpoint(Epoch(0), 0, 30, b"note"))
    told = concordat_json("prune", "--home", home, "--keep-events", 30)
    assert (told["first_held"], holds(told)) == (30, [(30, "the next cosigned checkpoint")])


def put_consumer(home: Path, state: ConsumerState) -> DeliveryStore:
    """Store a consumer; give the open store."""
    store = DeliveryStore.open(home / "data" / "delivery")
    key = state.config.name.encode()
    rows: list[tuple[Table, bytes, bytes | None]] = [
        (store._tables["consumers"], key, encode_config(state.config, "owner")),
        (store._tables["positions"], key, encode_state(state)),
    ]
    store.commit_rows(rows)
    return store


def test_consumer_is_waited_for(
    chain: Chain, home: Path, concordat: Run, concordat_json: RunJson
) -> None:
    """Also for what it was given and has not settled; and while the gateway runs, for that."""
    state = ConsumerState(ConsumerConfig(name="orders"), 1, Sequence(37))
    store = put_consumer(home, state)
    refused = concordat("prune", "--home", home, "--keep-events", 30, code=3)
    assert "the gateway of" in refused.stderr
    store.close()
    told = concordat_json("prune", "--home", home, "--keep-events", 30)
    assert (told["first_held"], holds(told)) == (35, [(37, "consumer or webhook orders")])
    state.position = Sequence(90)
    state.pending.add(Sequence(48), Pending(1, 0, 10**15, is_out=True))
    put_consumer(home, state).close()
    assert holds(concordat_json("prune", "--home", home, "--keep-events", 30))[0][0] == 48
    assert chain.first_held() == 45


def test_facades_are_waited_for(chain: Chain, home: Path, concordat_json: RunJson) -> None:
    """The access node's journal, subscriptions of the DLT adapter, EBSI's whole log."""
    engine = create_engine(f"sqlite:///{home / 'data' / 'access-node.sqlite'}")
    POSITIONS.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(POSITIONS).values(name="ledger", number=49))
    engine.dispose()
    state = DltState(home / "data" / "dlt-adapter.sqlite")
    assert state.subscribe(Subscription("http://127.0.0.1/x"), 69) is not None
    state.close()
    told = concordat_json("prune", "--home", home, "--keep-events", 20)
    assert holds(told) == [
        (50, "the access node's journal"),
        (70, "subscription 1 of the DLT adapter"),
    ]
    assert chain.first_held() == 50
    database = sqlite3.connect(home / "data" / "access-node.sqlite")
    database.execute("DELETE FROM tmf_replication_position")
    database.commit()
    database.close()
    assert holds(concordat_json("prune", "--home", home, "--keep-events", 5))[0][0] == 0
    config = home / "concordat.toml"
    config.write_text(config.read_text().replace("#ebsi = false", "ebsi = true", 1))
    told = concordat_json("prune", "--home", home, "--keep-events", 5)
    assert any("EBSI" in who for position, who in holds(told) if position == 0)


def test_running_member_is_not_pruned(chain: Chain, home: Path, concordat: Run) -> None:
    """While the node has the store, the command says what to stop."""
    with ChainStore.open(chain.path, chain.genesis):
        told = concordat("prune", "--home", home, "--keep-events", 10, code=3)
    assert "the node of" in told.stderr
    assert "is running: stop it first" in told.stderr
    concordat("prune", "--home", home, code=2)


def test_restored_member_has_forgotten_the_same(
    chain: Chain, network: testnet.Testnet, home: Path, concordat: Run, tmp_path: Path
) -> None:
    """A backup holds what the member holds."""
    concordat("prune", "--home", home, "--keep-events", 40)
    concordat("backup", "--home", home, "--to", tmp_path / "backup")
    concordat("restore", tmp_path / "new", "--from", tmp_path / "backup", "--keys", home / "keys")
    assert Chain(network, tmp_path / "new").first_held() == chain.first_held() == 60


def test_compact_gives_the_space_back(chain: Chain, home: Path, concordat_json: RunJson) -> None:
    """After a pruning the store's file is smaller by what was forgotten, and its proofs hold."""
    chain.grow(150)
    size = (chain.path / "data.mdb").stat().st_size
    concordat_json("prune", "--home", home, "--keep-events", 20)
    assert (chain.path / "data.mdb").stat().st_size == size
    told = concordat_json("compact", "--home", home)
    assert told["bytes"] < size - 150 * BLOCK_EVENTS * 300  # type: ignore[operator] # an int
    assert chain.first_held() == 830
