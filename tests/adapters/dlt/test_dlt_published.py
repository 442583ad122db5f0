"""The DLT adapter against its published description (see tests/adapters/conftest.py)."""

from typing import Any

import pytest
import yaml

from tests.adapters.dlt.dlt_world import BUYER_DID, publish, publishing
from tests.pubsub.gateway_world import World
from tests.support.reference import REFERENCE

SPEC: Any = yaml.safe_load((REFERENCE / "specs" / "dome" / "dlt-adapter-v2.yaml").read_text())
WHOLE_TIME = "startDate=0&endDate=999999999999999&envM=prd"


@pytest.mark.parametrize("path", SPEC["paths"])
async def test_every_described_path_is_served(world: World, path: str) -> None:
    """No described operation is answered 404, and none of another method is known."""
    for method in ("GET", "POST", "DELETE"):
        answer = await world.http.request(method, path)
        assert (answer.status_code == 404) == (method.lower() not in SPEC["paths"][path])


@pytest.mark.parametrize("path", ["/api/v2/publishEvent", "/api/v2/subscribe"])
async def test_described_requests_are_taken(world: World, path: str) -> None:
    """The description's own examples of requests are answered 201."""
    content = SPEC["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    body = content["examples"]["0"]["value"]
    answer = await world.http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 201, answer.text


async def test_listed_events_have_the_described_members_in_their_order(world: World) -> None:
    """An item of events has the names of the description's example, in that order."""
    described = SPEC["paths"]["/api/v2/events"]["get"]["responses"]["200"]["content"]
    reference = described["application/json"]["examples"]["0"]["value"][0]
    await publish(world, BUYER_DID, publishing())
    (item,) = (await world.get(f"/api/v2/events?{WHOLE_TIME}")).json()
    assert list(item) == list(reference)
    assert [type(value) for value in item.values()] == [type(v) for v in reference.values()]
