"""A process that makes offerings and delivers their events, until somebody kills it.

Its arguments: the address of the database, the callback, and the number of the first offering. It
writes the number of each offering once it is committed.
"""

import sys
from itertools import count
from pathlib import Path

import anyio

from adapters.tmf.store.database import Store
from tests.adapters.tmf.api.api_world import CATALOGUE, OFFERING, make_world, running


async def main(database: str, callback: str, first: int) -> None:
    """Make offerings as fast as it goes."""
    world = make_world(Store.open(database), Path("unused"))
    async with running(world):
        body = {"callback": callback, "query": "eventType=ProductOfferingCreateEvent"}
        await world.client.post(f"{CATALOGUE}/hub", json=body)  # or it is there already
        for number in count(first):
            sent = {"name": str(number), "id": f"{first}-{number}"}
            await world.create(OFFERING, sent)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
