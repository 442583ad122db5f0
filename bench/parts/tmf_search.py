"""``python -m bench.parts.tmf_search``: fill the access node's store with offerings, and list them.

Measures how many offerings a second are stored and indexed, and how long list requests take, from
the text of the query to the entities. One process, one connection at a time. With SQLite all work
is done in this thread, so its processor time tells what an idle machine would take.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

from adapters.tmf.entity import Entity, JsonObject, canonical
from adapters.tmf.query.leaves import leaves
from adapters.tmf.query.model import AnyOf, Comparison
from adapters.tmf.query.parse import parse_query
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Page

__all__ = ["main", "offerings"]

_RESOURCE: Final = "productOffering"
_TRANSACTION: Final = 100  # offerings
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SELLERS: Final = 2_000
_CATEGORIES: Final = 200
_WORDS: Final = (
    *("cloud", "storage", "edge", "twin", "analytics", "managed", "secure", "open", "sovereign"),
    *("data", "space", "connector", "identity", "wallet", "monitoring", "city", "water", "energy"),
)
_SEEN_BY: Final = (
    AnyOf(
        (
            Comparison("lifecycleStatus", "eq", "Launched"),
            Comparison("relatedParty.id", "eq", "urn:ngsi-ld:organization:seller-7"),
        )
    ),
)
_QUERIES: Final = {
    "one by name (1)": "name=offering+77",
    "of a seller (~50)": "relatedParty.id=urn:ngsi-ld:organization:seller-42",
    "of a category, launched, first 20": (
        "category.id=urn:ngsi-ld:category:17&lifecycleStatus=Launched&limit=20"
    ),
    "price in a narrow range": (
        "productOfferingPrice.price.value.gte=100&productOfferingPrice.price.value.lt=100.2"
    ),
    "changed in one hour (~60)": (
        "lastUpdate.gte=2026-01-20T10:00:00Z&lastUpdate.lt=2026-01-20T12:00:00%2B01:00"
    ),
    "of a category, regex on the name": (
        "category.id=urn:ngsi-ld:category:17&name.regex=(?i)OFFERING+.*7%24&limit=20"
    ),
    "of a seller, by price": (
        "relatedParty.id=urn:ngsi-ld:organization:seller-42&sort=-productOfferingPrice.price.value"
    ),
    "first 20": "limit=20",
    "20 from the middle": "offset=50000&limit=20",
    "launched (80 %), first 20": "lifecycleStatus=Launched&limit=20",
    "all by last update, first 20": "sort=-lastUpdate&limit=20",
    "launched by name, first 20": "lifecycleStatus=Launched&sort=name&limit=20",
    "regex over all names": "name.regex=77%24&limit=20",
}


def offerings(count: int, seed: int = 1) -> Iterator[JsonObject]:
    """Make offerings like those of a marketplace: about 1.5 KiB and 40 leaves each."""
    chance = random.Random(seed)
    for index in range(count):
        yield _offering(index, chance)


def _offering(index: int, chance: random.Random) -> JsonObject:
    seller = f"urn:ngsi-ld:organization:seller-{chance.randrange(_SELLERS)}"
    updated = _START + timedelta(minutes=index % 40_000, milliseconds=chance.randrange(60_000))
    price = round(chance.uniform(1, 1000), 2)
    id_ = f"urn:ngsi-ld:product-offering:{chance.randbytes(16).hex()}"
    return {
        "id": id_,
        "href": f"/tmf-api/productCatalogManagement/v4/productOffering/{id_}",
        "@type": "ProductOffering",
        "@baseType": "ProductOffering",
        "name": f"offering {index}",
        "description": " ".join(chance.choices(_WORDS, k=40)),
        "isBundle": False,
        "isSellable": True,
        "version": f"{chance.randrange(5)}.{chance.randrange(10)}",
        "lastUpdate": updated.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "lifecycleStatus": chance.choices(("Launched", "Active", "Retired"), (80, 15, 5))[0],
        "validFor": {
            "startDateTime": "2026-01-01T00:00:00Z",
            "endDateTime": "2030-01-01T00:00:00Z",
        },
        "category": [
            {"id": f"urn:ngsi-ld:category:{chance.randrange(_CATEGORIES)}", "name": word}
            for word in chance.sample(_WORDS, 2)
        ],
        "channel": [{"id": str(chance.randrange(4)), "name": "web"}],
        "marketSegment": [{"id": str(chance.randrange(9)), "name": "public sector"}],
        "place": [{"id": str(chance.randrange(30)), "name": "EU", "@referredType": "Region"}],
        "productSpecification": {
            "id": f"urn:ngsi-ld:product-specification:{index // 3}",
            "name": f"specification {index // 3}",
            "version": "1.0",
        },
        "productOfferingPrice": [
            {
                "id": f"urn:ngsi-ld:product-offering-price:{index}",
                "name": "monthly",
                "priceType": "recurring",
                "price": {"unit": "EUR", "value": price},
            }
        ],
        "relatedParty": [
            {"id": seller, "name": f"did:elsi:{seller[-9:]}", "role": "Seller"},
            {"id": "urn:ngsi-ld:organization:operator", "role": "SellerOperator"},
        ],
    }


def main(arguments: list[str] | None = None) -> None:
    """Fill a database, ask it, print what it took; a database in a folder of its own is removed."""
    parser = argparse.ArgumentParser(prog="python -m bench.parts.tmf_search", description=__doc__)
    parser.add_argument("--offerings", type=int, default=100_000)
    parser.add_argument("--url", default="", help="an empty database; default: a file of SQLite")
    parser.add_argument("--keep", type=Path, help="folder for SQLite's file, used again if there")
    parser.add_argument("--repeats", type=int, default=30, help="of every query")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = (chosen.keep or Path(folder)) / "offerings.db"
        store = Store.open(chosen.url or f"sqlite:///{file}")
        with store.read() as reading:
            is_empty = reading.last_change() == 0
        if is_empty:
            _fill(store, chosen.offerings)
        if file.exists():
            print(f"{file.stat().st_size / chosen.offerings:.0f} bytes of database an offering")
        for name, raw in _QUERIES.items():
            _ask(store, name, raw, chosen.repeats)
        store.close()


def _fill(store: Store, count: int) -> None:
    sample = next(offerings(1))
    print(f"{len(canonical(sample))} bytes and {len(list(leaves(sample)))} leaves an offering")
    waiting = offerings(count)
    started, busy = time.perf_counter(), time.thread_time()
    for _ in range(0, count, _TRANSACTION):
        with store.write() as writing:
            for _, document in zip(range(_TRANSACTION), waiting, strict=False):
                writing.put(Entity(_RESOURCE, document["id"], canonical(document)), "create")
    seconds, processor = time.perf_counter() - started, time.thread_time() - busy
    print(
        f"{count} offerings stored in {seconds:.1f} s ({processor:.1f} s of processor time):"
        f" {count / seconds:.0f} a second"
    )


def _ask(store: Store, name: str, raw: str, repeats: int) -> None:
    """Print the median and the longest of the repeats, for an operator and for a caller."""
    for who, visible in (("operator", ()), ("caller", _SEEN_BY)):
        elapsed: list[float] = []
        worked: list[float] = []
        page = Page([], 0)
        for _ in range(repeats):
            started, busy = time.perf_counter(), time.thread_time()
            with store.read() as reading:
                page = reading.find(_RESOURCE, parse_query(raw), visible)
            worked.append((time.thread_time() - busy) * 1000)
            elapsed.append((time.perf_counter() - started) * 1000)
        print(
            f"{name:36} {who:9} {page.total:7} found {len(page.entities):5} given  ms: median"
            f" {median(elapsed):8.2f}  longest {max(elapsed):8.2f}  processor {median(worked):8.2f}"
        )


if __name__ == "__main__":
    main()
