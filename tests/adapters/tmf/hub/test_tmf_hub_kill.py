"""Real processes, killed: every committed change is told, in order, at least once."""

import sys
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio.streams.text import TextReceiveStream

from adapters.tmf.store.database import Store
from tests.adapters.dlt.endpoint import Endpoint
from tests.adapters.tmf.api.api_world import make_world, running, until
from tests.adapters.tmf.hub.test_tmf_hub_delivery import held, names

ROOT = Path(__file__).parents[4]


async def run_until_killed(database: str, callback: str, first: int, offerings: int) -> int:
    """Run a process until it has made so many offerings, and kill it; give the next number."""
    module = "tests.adapters.tmf.hub.hub_process"
    command = [sys.executable, "-m", module, database, callback, str(first)]
    next_number = first
    async with await anyio.open_process(
        [*command, database, callback, str(first)], cwd=ROOT
    ) as process:
        assert process.stdout is not None
        with anyio.fail_after(30):
            async for text in TextReceiveStream(process.stdout):
                next_number += text.count("\n")
                if next_number - first >= offerings:
                    break
        process.kill()
        assert await process.wait() == -9
    return next_number


@pytest.mark.process
async def test_events_survive_kills(tmp_path: Path, callback: Endpoint) -> None:
    """Three processes are killed at work; the fourth tells the rest, and repeats little."""
    database = f"sqlite:///{tmp_path / 'node.db'}"
    first = 0
    for offerings in (5, 30, 60):
        first = await run_until_killed(database, callback.url, first, offerings) + 1_000
    store = Store.open(database)
    with store.read() as reading:
        bodies = [change.after or b"" for change in reading.changes(0, 9_999)]
    made = [msgspec.json.decode(body)["name"] for body in bodies]
    assert len(made) >= 95
    world = make_world(store, tmp_path / "jobs")
    async with running(world):
        await until(lambda: held(world)[0].progress.position == len(made))
    store.close()
    told = names(callback)
    assert list(dict.fromkeys(told)) == made
    assert len(told) < 2 * len(made)
