"""What a gateway gives to members that join: pieces that verify, and clear words otherwise."""

from pathlib import Path

import pytest

from ledger.core.snapshot import blocks_codec, log_codec, state_codec
from ledger.core.snapshot_manifest import manifest_codec
from ledger.io.snapshot_store import SnapshotStore
from pubsub.io.snapshot_api import MEDIA_SNAPSHOT
from tests.ledger.sample_network import GENESIS, entry
from tests.pubsub.gateway_world import World
from tests.pubsub.test_publish import problem


async def test_the_pieces_make_a_ledger(world: World, tmp_path: Path) -> None:
    """Manifest, blocks, state and log of a gateway complete a verified copy."""
    for number in range(5):
        world.chain.extend([entry(number)])
    with SnapshotStore.open(tmp_path / "copy", GENESIS, lambda _count: 3) as copy:
        answer = await world.get("/v1/snapshot")
        assert answer.headers["content-type"] == MEDIA_SNAPSHOT
        manifest = manifest_codec.decode(answer.content)
        assert manifest.root.log_size == 4
        copy.begin(manifest)
        assert copy.next_block is not None
        answer = await world.get(f"/v1/snapshot/blocks?highest={copy.next_block.height}")
        copy.add_blocks(blocks_codec.decode(answer.content))
        root = manifest.root.state_root.hex()
        answer = await world.get(f"/v1/snapshot/state?root={root}")
        copy.add_state(state_codec.decode(answer.content))
        answer = await world.get("/v1/snapshot/log?first=0&size=4")
        copy.add_log(log_codec.decode(answer.content))
        assert copy.is_complete
        copy.finish()


async def test_state_goes_on_at_a_path(world: World) -> None:
    """A path gives the same nodes as the whole from there on."""
    world.chain.extend([entry(1)])
    world.chain.extend()
    manifest = manifest_codec.decode((await world.get("/v1/snapshot")).content)
    target = f"/v1/snapshot/state?root={manifest.root.state_root.hex()}"
    whole = state_codec.decode((await world.get(target)).content).nodes
    left = state_codec.decode((await world.get(f"{target}&path=0")).content).nodes
    right = state_codec.decode((await world.get(f"{target}&path=1")).content).nodes
    assert left == whole[1:]
    assert right == whole[-len(right) :]
    assert 0 < len(right) < len(left)
    problem(await world.get(f"{target}&path={'0' * 200}"), 404, "not_found")


async def test_a_new_chain_has_no_snapshot_yet(world: World) -> None:
    """Genesis alone is nothing to copy."""
    problem(await world.get("/v1/snapshot"), 503, "proof_not_ready")


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/v1/snapshot/log?first=0&size=3", "not_found"),
        ("/v1/snapshot/log?first=2&size=2", "not_found"),
        ("/v1/snapshot/log?first=3&size=2", "not_found"),
        ("/v1/snapshot/log?first=0", "invalid_parameter"),
        ("/v1/snapshot/log?first=-1&size=2", "invalid_parameter"),
        ("/v1/snapshot/blocks?highest=99", "not_found"),
        ("/v1/snapshot/blocks?highest=0", "not_found"),
        ("/v1/snapshot/blocks", "invalid_parameter"),
        (f"/v1/snapshot/state?root={'00' * 32}", "not_found"),
        ("/v1/snapshot/state?root=00", "invalid_parameter"),
        (f"/v1/snapshot/state?root={'00' * 32}&path=2", "invalid_parameter"),
        (f"/v1/snapshot/state?root={'00' * 32}&path={'0' * 257}", "invalid_parameter"),
        ("/v1/snapshot?height=1", "invalid_parameter"),
    ],
)
async def test_what_is_not_there_is_said(world: World, target: str, code: str) -> None:
    """A gateway that lacks a piece, or is asked wrongly, says so with a stable code."""
    for number in range(2):
        world.chain.extend([entry(number)])
    problem(await world.get(target), 404 if code == "not_found" else 400, code)
