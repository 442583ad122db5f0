"""The transparency log over HTTP: what a verifier of others reads, what is cached, who may see."""

import gzip
from pathlib import Path

import pytest

from ledger.core.genesis import Genesis
from ledger.core.tlog.checkpoint import Checkpoint, StoredCheckpoint
from ledger.core.tlog.policy import policy_of, write_policy
from ledger.core.tlog.proof import parse_tlog_proof, verify_tlog_proof
from pubsub.core.rights import Scope
from pubsub.io.rights import RightsSettings
from tests.independent import tlog_verifier as independent
from tests.ledger.sample_network import GENESIS, VALIDATORS
from tests.ledger.tlog.cosigned import TIME_S, leaf_of_extra, note_of, signed_lines
from tests.pubsub.gateway_world import World, gateway_world, sample
from tests.pubsub.test_publish import problem

EVENTS = 600  # two tiles and a part
FOR_EVER = "public, max-age=31536000, immutable"


def cosign(world: World, genesis: Genesis = GENESIS) -> Checkpoint:
    """Have the validators sign the newest ledger, and the node store it."""
    with world.chain.store.write() as writer:
        root, epoch = writer.root, writer.reader.epoch_start().number
        checkpoint = Checkpoint(genesis.chain_id, root.log_size, root.log_root)
        rows = list(zip(genesis.validators, VALIDATORS, strict=True))[:3]
        note = note_of(checkpoint, signed_lines(checkpoint, rows))
        writer.put_checkpoint(StoredCheckpoint(epoch, TIME_S, root.log_size, note))
    return checkpoint


@pytest.fixture
async def log(world: World) -> World:
    """Give a gateway of a log with a checkpoint."""
    for first in range(0, EVENTS, 200):
        world.chain.extend([sample(number).entry for number in range(first, first + 200)])
    cosign(world)
    world.chain.extend([sample(EVENTS).entry])
    return world


async def fetched(world: World, size: int) -> dict[str, bytes]:
    """Get everything that a verifier of a log of this size asks for."""
    paths = ["/checkpoint", "/policy"]
    count, level = size, 0
    while count:
        for number, width in independent.tiles_of(count):
            paths.append(f"/tile/{level}/{independent.tile_path(number, width)}")
            if level == 0:
                paths.append(f"/tile/entries/{independent.tile_path(number, width)}")
        count, level = count // 256, level + 1
    answers = {path: await world.get(f"/log{path}") for path in paths}
    assert {answer.status_code for answer in answers.values()} == {200}
    return {path: answer.content for path, answer in answers.items()}


async def test_a_verifier_of_others_accepts_the_log(log: World) -> None:
    """Checkpoint, policy, all tiles and all entries hold for an independent verifier."""
    files = await fetched(log, EVENTS)
    head = independent.check_checkpoint(
        files["/checkpoint"], independent.read_policy(files["/policy"])
    )
    assert (head.origin, head.size) == (GENESIS.chain_id, EVENTS)
    leaves = independent.read_leaves(files.__getitem__, head)
    entries = independent.read_entries(files.__getitem__, leaves)
    assert entries == [sample(number).entry for number in range(EVENTS)]


async def test_every_event_is_proven(log: World) -> None:
    """Proofs by id and by sequence hold, for the product and for the other verifier."""
    rules = independent.read_policy((await log.get("/log/policy")).content)
    for number in (0, 255, 256, EVENTS - 1):
        for name in (str(number), sample(number).id.hex()):
            answer = await log.get(f"/v1/events/{name}/tlog-proof")
            assert answer.headers["content-type"].startswith("text/plain")
            assert answer.headers["concordat-sequence"] == str(number)
            assert answer.headers["cache-control"] == "no-store"
            shown = verify_tlog_proof(parse_tlog_proof(answer.content), GENESIS)
            assert shown.opened.id == sample(number).id
            other = independent.check_proof(answer.content, rules, leaf_of_extra)
            assert other.number == number


async def test_an_event_that_is_not_covered_yet(log: World) -> None:
    """The newest event has no proof until the next checkpoint."""
    answer = await log.get(f"/v1/events/{EVENTS}/tlog-proof")
    problem(answer, 503, "proof_not_ready")
    cosign(log)
    assert (await log.get(f"/v1/events/{EVENTS}/tlog-proof")).status_code == 200


async def test_an_event_that_is_not_there(log: World) -> None:
    """There is no proof of an unknown event."""
    problem(await log.get(f"/v1/events/{'ab' * 32}/tlog-proof"), 404, "event_not_found")


async def test_before_the_first_checkpoint(world: World) -> None:
    """There is no checkpoint yet, but a policy that it will have to meet."""
    problem(await world.get("/log/checkpoint"), 503, "proof_not_ready")
    answer = await world.get("/log/policy")
    assert answer.headers["concordat-epoch"] == "0"
    independent.read_policy(answer.content)


async def test_an_empty_log(world: World) -> None:
    """A log without entries has a checkpoint, and no tiles."""
    cosign(world)
    rules = independent.read_policy((await world.get("/log/policy")).content)
    head = independent.check_checkpoint((await world.get("/log/checkpoint")).content, rules)
    assert independent.read_leaves(lambda _: b"", head) == []
    problem(await world.get("/log/tile/0/000.p/1"), 404, "not_found")


async def test_checkpoints_change_and_tiles_do_not(log: World) -> None:
    """Caches keep a checkpoint for a second, tiles and entries for ever."""
    for path in ("/log/checkpoint", "/log/policy"):
        answer = await log.get(path)
        assert answer.headers["cache-control"] == "public, max-age=1"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["concordat-epoch"] == "0"
    for path in ("/log/tile/0/000", "/log/tile/0/002.p/88", "/log/tile/entries/001"):
        answer = await log.get(path)
        assert answer.headers["cache-control"] == FOR_EVER
        assert answer.headers["content-type"] == "application/octet-stream"


async def test_partial_tiles(log: World) -> None:
    """A partial tile is the beginning of the whole one, also when that is there."""
    whole = (await log.get("/log/tile/0/000")).content
    assert len(whole) == 8_192
    for width in (1, 100, 255):
        assert (await log.get(f"/log/tile/0/000.p/{width}")).content == whole[: 32 * width]
        bundle = (await log.get(f"/log/tile/entries/000.p/{width}")).content
        assert (await log.get("/log/tile/entries/000")).content.startswith(bundle)


@pytest.mark.parametrize(
    "path",
    [
        "0/002",
        "0/002.p/90",
        "0/003.p/1",
        "1/000",
        "1/000.p/3",
        "2/000.p/1",
        "63/000.p/1",
        "64/000",
        "00/000",
        "0/0",
        "0/x000/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/x036/x028/x797/x018/x963/967",
        "entries/002",
        "entries/002.p/90",
        "entries/003.p/1",
        "entries/00",
        "entries/x036/x028/x797/x018/x963/967",
    ],
)
async def test_tiles_that_are_not_there(log: World, path: str) -> None:
    """What the log has not, or what is no name of a tile, is not found."""
    problem(await log.get(f"/log/tile/{path}"), 404, "not_found")


async def test_entries_are_compressed_for_who_can_read_that(log: World) -> None:
    """With gzip the same bytes come smaller; without it as they are."""
    headers = {"accept-encoding": "gzip"}
    zipped = await log.http.get("/log/tile/entries/000", headers=headers)
    plain = await log.http.get("/log/tile/entries/000", headers={"accept-encoding": "identity"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert zipped.content == plain.content
    assert len(gzip.compress(plain.content, 1)) == int(zipped.headers["content-length"])
    assert int(zipped.headers["content-length"]) < len(plain.content)
    assert {zipped.headers["vary"], plain.headers["vary"]} == {"accept-encoding, authorization"}


async def test_policies_of_epochs(log: World) -> None:
    """The policy of an epoch is given by its number; one that has not begun has none."""
    now = (await log.get("/log/policy")).content
    assert (await log.get("/log/policy?epoch=0")).content == now
    expected = write_policy(policy_of(GENESIS.chain_id, GENESIS.validator_set()))
    assert now.endswith(expected)
    problem(await log.get("/log/policy?epoch=1"), 400, "invalid_parameter")
    problem(await log.get("/log/checkpoint?x=1"), 400, "invalid_parameter")


async def test_restricted_topics(tmp_path: Path) -> None:
    """Where a topic is restricted, strangers see hashes, and no entry of it."""
    anonymous = frozenset({Scope.READ})
    rights = RightsSettings(anonymous=anonymous, restricted=("catalog.secret",))
    async with gateway_world(tmp_path, rights=rights) as world:
        world.chain.extend([sample(0).entry, sample(1, topic="catalog.secret").entry])
        cosign(world)
        for path in ("/log/checkpoint", "/log/policy", "/log/tile/0/000.p/2"):
            assert (await world.get(path)).status_code == 200
        problem(await world.get("/log/tile/entries/000.p/2"), 403, "forbidden")
        problem(await world.get("/v1/events/1/tlog-proof"), 404, "event_not_found")
        assert (await world.get("/v1/events/0/tlog-proof")).status_code == 200
