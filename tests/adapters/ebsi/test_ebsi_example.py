"""The example of docs/adapters/ebsi.md does what it says."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.ebsi.ebsi_client import MINE, ebsi_world
from tests.adapters.ebsi.ebsi_world import TSR
from tests.ledger.sample_network import ALICE_DID

ROOT = Path(__file__).parents[3]


async def test_the_documented_client_writes_a_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code block of the documentation, as it stands there, inserts a schema."""
    text = (ROOT / "docs" / "adapters" / "ebsi.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(block, "ebsi.md", "exec"), names)  # noqa: S102 - our own documentation
    async with ebsi_world(tmp_path, monkeypatch) as ebsi:
        schema, token = b'{"type":"object"}', f"{ALICE_DID} tsr_write"
        receipt = await names["insert_schema"](
            ebsi.world.http, bytes(MINE.key), token, bytes(32), schema
        )
        assert receipt["status"] == "0x1"
        assert (await ebsi.world.get(f"{TSR}/schemas/0x{'00' * 32}")).content == schema
