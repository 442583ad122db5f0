"""A process that writes to a store until it is killed, saying what it committed.

Run as ``python -m tests.adapters.tmf.store.crashing_writer URL``.
"""

import sys

from adapters.tmf.entity import Entity, canonical
from adapters.tmf.store.database import Store

__all__ = ["main"]


def main(url: str) -> None:
    """Create, change and remove entities, several in a transaction, for ever."""
    store = Store.open(url)
    turn = 0
    while True:
        turn += 1
        with store.write() as writing:
            for index in range(turn % 5 + 1):
                id_ = str((turn * 3 + index) % 17)
                body = {"id": id_, "turn": turn, "list": [str(turn)] * (turn % 7)}
                what = "create" if writing.get("product", id_) is None else "attribute"
                change = writing.put(
                    Entity("product", id_, canonical(body)),
                    "create" if what == "create" else "attribute",
                )
            gone = writing.remove("product", str(turn % 17))
        sys.stdout.write(f"{(gone or change).number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
