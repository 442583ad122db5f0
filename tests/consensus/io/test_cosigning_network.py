"""Whole validators cosign: what a quorum signed is stored, and a verifier of others accepts it."""

import re
from pathlib import Path

import trio

from consensus.core.control import MetricsReply, MetricsRequest
from consensus.io.node import NodeSettings, serve_node
from ledger.core.tlog.checkpoint import StoredCheckpoint
from ledger.core.tlog.policy import policy_of, write_policy
from ledger.io.chain_store import ChainStore
from tests.consensus.io.members import gateway, make_event, make_settings
from tests.independent import tlog_verifier as independent

WAIT_S = 50  # never reached on a machine that is not starved


async def until_covered(member: NodeSettings, size: int) -> None:
    """Wait until a member knows a cosigned checkpoint of so many events."""
    async with gateway(member.control_path) as node:
        while True:
            reply = await node.ask(MetricsRequest(9_999))
            assert isinstance(reply, MetricsReply)
            found = re.search(rb"^concordat_checkpoint_size (\S+)$", reply.text, re.MULTILINE)
            assert found is not None
            if float(found[1]) >= size:
                return
            await trio.sleep(0.05)


def stored_by(member: NodeSettings) -> StoredCheckpoint:
    """Give what a member that has ended has stored."""
    with ChainStore.open(member.chain_dir, member.genesis) as store, store.read() as reader:
        found = reader.checkpoint()
    assert found is not None
    return found


async def test_every_member_stores_what_a_quorum_signed(tmp_path: Path) -> None:
    """Four validators sign the same checkpoint, and each stores it with three cosignatures."""
    members = make_settings(tmp_path, 4)
    rules = independent.read_policy(
        write_policy(policy_of(members[0].genesis.chain_id, members[0].genesis.validator_set()))
    )
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            for member in members:
                await nursery.start(serve_node, member)
            async with gateway(members[0].control_path) as node:
                entries = [make_event(members[0].genesis, number).entry for number in range(5)]
                assert set(await node.submit(*entries)) == {""}
                await node.until_log_size(5)
            for member in members:
                await until_covered(member, 5)
            nursery.cancel_scope.cancel()
    for member in members:
        stored = stored_by(member)
        head = independent.check_checkpoint(stored.note, rules)
        assert (head.origin, head.size) == (member.genesis.chain_id, 5)
        assert len(head.times) == 3
        assert set(head.times.values()) == {stored.time_s}
