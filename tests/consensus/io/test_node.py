"""Whole validators: four real ones agree over loopback TLS, survive restarts, refuse bad starts."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio

from consensus.core.control import MetricsReply, MetricsRequest, StatusReply, StatusRequest
from consensus.core.effects import Persist
from consensus.core.messages import Message, ProposalMessage
from consensus.io.node import NodeSettings, create_safety_store, serve_node
from consensus.io.safety_writer import SafetyWriter
from consensus.io.transport import PeerTransport
from ledger.core.errors import RejectCode, Unavailable
from ledger.core.ids import NodeIndex, Sequence
from ledger.core.signing import SeedSigner
from ledger.io.chain_store import ChainStore
from ledger.io.errors import StorageError
from tests.consensus.io.members import gateway, make_event, make_settings

WAIT_S = 50  # never reached on a machine that is not starved


@asynccontextmanager
async def serving(members: list[NodeSettings]) -> AsyncIterator[None]:
    """Run validators for as long as the block lasts."""
    async with trio.open_nursery() as nursery:
        for member in members:
            await nursery.start(serve_node, member)
        with trio.fail_after(WAIT_S):
            yield
        nursery.cancel_scope.cancel()


def log_of(member: NodeSettings) -> list[bytes]:
    """Read all entries of a stopped member's log."""
    with ChainStore.open(member.chain_dir, member.genesis) as store, store.read() as reader:
        size = reader.head().log_size
        return [reader.entry(Sequence(sequence)) or b"" for sequence in range(size)]


async def test_four_validators_agree_on_one_log(tmp_path: Path) -> None:
    """Events handed in anywhere stand in every member's log, in the same order, once."""
    members = make_settings(tmp_path, 4)
    events = [make_event(members[0].genesis, nonce).entry for nonce in range(40)]
    async with serving(members):
        for index, member in enumerate(members):
            async with gateway(member.control_path) as node:
                assert await node.submit(*events[index * 10 : index * 10 + 10]) == ("",) * 10
        for member in members:
            async with gateway(member.control_path) as node:
                await node.until_log_size(40)
    logs = [log_of(member) for member in members]
    assert sorted(logs[0]) == sorted(events)
    assert logs[1:] == [logs[0]] * 3


async def test_what_need_not_wait_for_the_record_leaves_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No write begins while something is queued, and proposals are among what leaves before one."""
    steps: list[str] = []
    broadcast, flush, persist = PeerTransport.broadcast, PeerTransport.flush, SafetyWriter.persist

    def noted_broadcast(self: PeerTransport, message: Message) -> None:
        steps.append("proposed" if isinstance(message, ProposalMessage) else "queued")
        broadcast(self, message)

    def noted_flush(self: PeerTransport, first: NodeIndex) -> None:
        steps.append("flushed")
        flush(self, first)

    def noted_persist(self: SafetyWriter, effect: Persist) -> None:
        steps.append("written")
        persist(self, effect)

    monkeypatch.setattr(PeerTransport, "broadcast", noted_broadcast)
    monkeypatch.setattr(PeerTransport, "flush", noted_flush)
    monkeypatch.setattr(SafetyWriter, "persist", noted_persist)
    members = make_settings(tmp_path, 4)
    async with serving(members), gateway(members[0].control_path) as node:
        for number in range(1, 4):
            await node.submit(make_event(members[0].genesis, number).entry)
            await node.until_log_size(number)
    before = [old for old, new in itertools.pairwise(steps) if new == "written"]
    assert set(before) == {"flushed"}
    ahead = list(zip(steps, steps[1:], steps[2:], strict=False))
    assert ("proposed", "flushed", "written") in ahead


async def test_rejections_carry_their_codes(tmp_path: Path) -> None:
    """Each entry gets its own code, in order; a known event is a duplicate."""
    members = make_settings(tmp_path, 1)
    good = make_event(members[0].genesis, 1).entry
    async with serving(members), gateway(members[0].control_path) as node:
        codes = await node.submit(b"garbage", good, good)
        assert codes == (RejectCode.MALFORMED, "", RejectCode.DUPLICATE)
        await node.until_log_size(1)
        assert await node.submit(good) == (RejectCode.DUPLICATE,)


async def test_three_of_four_go_on_and_the_fourth_catches_up(tmp_path: Path) -> None:
    """A stopped validator does not stop the others; started again it gets what it missed."""
    members = make_settings(tmp_path, 4)
    genesis = members[0].genesis
    async with serving(members), gateway(members[0].control_path) as node:
        await node.submit(make_event(genesis, 1).entry)
        await node.until_log_size(1)
    async with serving(members[:3]):
        async with gateway(members[0].control_path) as node:
            for nonce in range(2, 6):
                await node.submit(make_event(genesis, nonce).entry)
                await node.until_log_size(nonce)
        async with serving(members[3:]), gateway(members[3].control_path) as late:
            await late.until_log_size(5)
    assert log_of(members[3]) == log_of(members[0])


async def test_status_and_metrics_are_served(tmp_path: Path) -> None:
    """A gateway can ask how the node is, in JSON and in the Prometheus text format."""
    members = make_settings(tmp_path, 1)
    async with serving(members), gateway(members[0].control_path) as node:
        await node.submit(make_event(members[0].genesis, 1).entry)
        await node.until_log_size(1)
        status = await node.ask(StatusRequest(1_000))
        assert isinstance(status, StatusReply)
        assert msgspec.json.decode(status.document)["name"] == "node-0"
        metrics = await node.ask(MetricsRequest(1_001))
        assert isinstance(metrics, MetricsReply)
        text = metrics.text.decode()
        assert "concordat_consensus_total_txs_total 1.0" in text
        assert "concordat_consensus_validators 1.0" in text
        writes = number_in(text, "concordat_safety_write_seconds_count")
        assert writes == number_in(text, 'concordat_safety_write_seconds_bucket{le="+Inf"}') > 0
        assert number_in(text, 'concordat_store_size_bytes{store="safety"}') > 4_096
        assert number_in(text, 'concordat_store_disk_free_bytes{store="chain"}') > 0
        assert 0 <= number_in(text, "concordat_consensus_last_final_age_seconds") < WAIT_S
        assert number_in(text, "concordat_consensus_evidence_stored") == 0


async def test_metrics_name_who_is_not_there(tmp_path: Path) -> None:
    """Each other validator is connected or not; rounds that were given up count by their leader."""
    members = make_settings(tmp_path, 4)
    async with serving(members[:3]), gateway(members[0].control_path) as node:
        for number in range(1, 5):
            await node.submit(make_event(members[0].genesis, number).entry)
            await node.until_log_size(number)
        metrics = await node.ask(MetricsRequest(1_002))
        assert isinstance(metrics, MetricsReply)
    text = metrics.text.decode()
    seen = {n: number_in(text, f'{_CONNECTED}{{validator="node-{n}"}}') for n in (1, 2, 3)}
    assert seen == {1: 1, 2: 1, 3: 0}
    assert number_in(text, "concordat_consensus_missing_validators") == 1
    assert number_in(text, 'concordat_consensus_leader_timeouts_total{leader="node-3"}') > 0
    assert f'{_CONNECTED}{{validator="node-0"}}' not in text


_CONNECTED = "concordat_consensus_validator_connected"


def number_in(text: str, name: str) -> float:
    """Read one number of the Prometheus text format."""
    [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[-1])


async def _refusal(member: NodeSettings) -> str:
    with pytest.raises((Unavailable, StorageError)) as caught, trio.fail_after(WAIT_S):
        await serve_node(member)
    return str(caught.value)


async def test_missing_safety_record_is_no_start(tmp_path: Path) -> None:
    """Without its record a validator does not sign; the message says how to go on."""
    [member] = make_settings(tmp_path, 1)
    lost = replace(member, safety_dir=tmp_path / "lost")
    assert "sits out" in await _refusal(lost)
    create_safety_store(lost.genesis, lost.signer.public_key, lost.safety_dir, sit_out=True)
    async with serving([lost]):
        pass


async def test_record_of_another_key_is_no_start(tmp_path: Path) -> None:
    """A validator never signs against another one's record."""
    first, second = make_settings(tmp_path, 2)
    assert "another voting key" in await _refusal(replace(first, safety_dir=second.safety_dir))


async def test_second_process_on_a_home_is_no_start(tmp_path: Path) -> None:
    """Two processes with one key would sign against each other: the second is refused."""
    [member] = make_settings(tmp_path, 1)
    async with serving([member]):
        assert str(member.chain_dir) in await _refusal(member)


async def test_port_in_use_is_no_start(tmp_path: Path) -> None:
    """The message names the address and the likely cause."""
    [member] = make_settings(tmp_path, 1)
    listeners = await trio.open_tcp_listeners(member.listen[1], host=member.listen[0])
    try:
        assert "is listening there" in await _refusal(member)
    finally:
        await listeners[0].aclose()


@pytest.mark.parametrize(("change", "text"), [
    ({"signer": SeedSigner(b"?" * 32)}, "voting key"),
    ({"peer_seed": b"?" * 32}, "peer key"),
    ({"control_path": Path("/tmp/" + "x" * 120)}, "107 bytes"),
])  # fmt: skip
async def test_wrong_settings_are_no_start(
    tmp_path: Path, change: dict[str, object], text: str
) -> None:
    """Keys that the genesis file does not name and unusable paths are refused with a reason."""
    [member] = make_settings(tmp_path, 1)
    assert text in await _refusal(replace(member, **change))  # type: ignore[arg-type]
