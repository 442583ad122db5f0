"""Whole validators cosign: what a quorum signed is stored, and a verifier of others accepts it."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from consensus.core.control import MetricsReply, MetricsRequest
from consensus.core.cosigning import Cosigning, Due, Outcome
from consensus.core.cosigning_messages import CosignatureMessage, encode_cosigning
from consensus.core.frames import encode_frame
from consensus.core.messages import Lane
from consensus.io import cosigning, node
from consensus.io.cosigning import Cosigner
from consensus.io.node import NodeSettings, serve_node
from ledger.core.ids import Epoch, Height, PublicKey
from ledger.core.tlog.checkpoint import StoredCheckpoint
from ledger.core.tlog.policy import policy_of, write_policy
from ledger.io.chain_store import ChainStore
from tests.consensus.io.members import (
    gateway,
    make_change,
    make_event,
    make_settings,
    make_validator,
)
from tests.independent import tlog_verifier as independent

WAIT_S = 50  # never reached on a machine that is not starved


async def metric(member: NodeSettings, name: str) -> float:
    """Read one number from a node's metrics."""
    async with gateway(member.control_path) as node:
        reply = await node.ask(MetricsRequest(9_999))
    assert isinstance(reply, MetricsReply)
    found = re.search(rb"^concordat_%b (\S+)$" % name.encode(), reply.text, re.MULTILINE)
    assert found is not None
    return float(found[1])


async def until(member: NodeSettings, name: str, least: float) -> None:
    """Wait until a number in a node's metrics is at least so high."""
    while await metric(member, name) < least:  # noqa: ASYNC110 - nobody tells of it
        await trio.sleep(0.05)


async def publish(member: NodeSettings, *numbers: int) -> None:
    """Hand events in, and wait until they are durable here."""
    async with gateway(member.control_path) as node:
        entries = [make_event(member.genesis, number).entry for number in numbers]
        assert set(await node.submit(*entries)) == {""}
        await node.until_log_size(max(numbers))


def require_stored(members: Sequence[NodeSettings], size: int) -> list[StoredCheckpoint]:
    """Check what each of the members, which have ended, has stored; give it."""
    found = []
    for member in members:
        with ChainStore.open(member.chain_dir, member.genesis) as store, store.read() as reader:
            stored = reader.checkpoint()
            assert stored is not None
            start = reader.epoch_start(stored.epoch)
        origin = member.genesis.chain_id
        policy = write_policy(policy_of(origin, start.validator_set()))
        head = independent.check_checkpoint(stored.note, independent.read_policy(policy))
        assert (head.origin, head.size, stored.log_size) == (origin, size, size)
        assert len(head.times) == start.validator_set().quorum
        assert set(head.times.values()) == {stored.time_s}
        found.append(stored)
    return found


async def test_every_member_stores_what_a_quorum_signed(tmp_path: Path) -> None:
    """Four validators sign the same checkpoint, and each stores it with three cosignatures."""
    members = make_settings(tmp_path, 4)
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            for member in members:
                await nursery.start(serve_node, member)
            await publish(members[0], 1, 2, 3, 4, 5)
            for member in members:
                await until(member, "checkpoint_size", 5)
                assert await metric(member, "checkpoint_contradictions_total") == 0
            nursery.cancel_scope.cancel()
    require_stored(members, 5)


async def test_one_that_was_away_and_all_that_start_again(tmp_path: Path) -> None:
    """A late node gets the newest checkpoint from its peers; a restart loses and needs none."""
    members = make_settings(tmp_path, 4)
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            for member in members[:3]:
                await nursery.start(serve_node, member)
            await publish(members[0], 1, 2)
            for member in members[:3]:
                await until(member, "checkpoint_size", 2)
            await nursery.start(serve_node, members[3])
            await until(members[3], "checkpoint_size", 2)
            nursery.cancel_scope.cancel()
        before = require_stored(members, 2)
        async with trio.open_nursery() as nursery:
            for member in members:
                await nursery.start(serve_node, member)
            for member in members:
                assert await metric(member, "checkpoint_size") == 2
            await publish(members[1], 3)
            for member in members:
                await until(member, "checkpoint_size", 3)
            nursery.cancel_scope.cancel()
    after = require_stored(members, 3)
    assert all(new.time_s >= old.time_s for old, new in zip(before, after, strict=True))


async def test_the_next_epoch_signs_by_itself(tmp_path: Path) -> None:
    """New validators cosign as soon as their first second is over, also a log that is quiet."""
    members = make_settings(tmp_path, 5, validators=4)
    new = tuple(make_validator(index, members[index].listen[1]) for index in (0, 1, 2, 4))
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            for member in members:
                await nursery.start(serve_node, member)
            await publish(members[0], 1)
            async with gateway(members[0].control_path) as node:
                change = make_change(members[0].genesis, 2, new)
                assert await node.submit(change.entry) == ("",)
            for index in (0, 1, 2, 4):
                await until(members[index], "consensus_epoch", 1)
            count = await metric(members[0], "checkpoints_total")
            await until(members[0], "checkpoints_total", count + 1)
            await until(members[4], "checkpoint_size", 2)
            nursery.cancel_scope.cancel()
    stored = require_stored([members[0], members[4]], 2)
    assert {item.epoch for item in stored} == {Epoch(1)}


async def test_one_that_has_left_and_follows(tmp_path: Path) -> None:
    """A member of the epoch before, started again, gets the checkpoints of those who stayed."""
    members = make_settings(tmp_path, 5)
    stay = tuple(make_validator(index, members[index].listen[1]) for index in range(4))
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            for member in members[:4]:
                await nursery.start(serve_node, member)
            async with trio.open_nursery() as leaving:
                await leaving.start(serve_node, members[4])
                async with gateway(members[0].control_path) as node:
                    change = make_change(members[0].genesis, 1, stay)
                    assert await node.submit(change.entry) == ("",)
            await nursery.start(serve_node, members[4])
            await publish(members[0], 2)
            await until(members[4], "checkpoint_size", 2)
            nursery.cancel_scope.cancel()
    (stored,) = require_stored(members[4:], 2)
    assert stored.epoch == 1


class LyingCosigning(Cosigning):
    """Signs another root than that of the ledger."""

    liar: PublicKey

    def on_due(self, due: Due) -> Outcome:
        """Sign what was never so, when it is the liar who does."""
        is_liar = self._signer.public_key == self.liar
        return super().on_due(due._replace(log_root=b"x" * 32) if is_liar else due)


class FloodingCosigner(Cosigner):
    """Says all it can whenever something is durable, when it is the liar's."""

    liar: PublicKey

    def on_durable(self, height: Height) -> None:
        """Send signatures of ledgers to come, and of this second."""
        super().on_durable(height)
        if self._signer.public_key == self.liar:
            for number in range(500):
                message = CosignatureMessage(
                    Epoch(0), 1 << (number % 60), number, b"x" * 32, bytes(64), bytes(64)
                )
                self._wires.broadcast_frame(Lane.BULK, encode_frame(encode_cosigning(message)))


async def _run_with_a_liar(members: Sequence[NodeSettings]) -> None:
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            for member in members:
                await nursery.start(serve_node, member)
            for number in range(1, 6):
                await publish(members[0], number)
                for member in members[:3]:
                    await until(member, "checkpoint_size", number)
            nursery.cancel_scope.cancel()
    require_stored(members[:3], 5)


async def test_a_validator_that_signs_wrong_roots_is_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three others complete every checkpoint; none stores anything of the liar's."""
    members = make_settings(tmp_path, 4)
    monkeypatch.setattr(LyingCosigning, "liar", members[3].signer.public_key, raising=False)
    monkeypatch.setattr(cosigning, "Cosigning", LyingCosigning)
    await _run_with_a_liar(members)
    liar = members[3]
    with ChainStore.open(liar.chain_dir, liar.genesis) as store, store.read() as reader:
        assert reader.checkpoint() is None


async def test_a_validator_that_floods_is_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of signatures of ledgers that are not, from one peer, delay no checkpoint."""
    members = make_settings(tmp_path, 4)
    monkeypatch.setattr(FloodingCosigner, "liar", members[3].signer.public_key, raising=False)
    monkeypatch.setattr(node, "Cosigner", FloodingCosigner)
    await _run_with_a_liar(members)
