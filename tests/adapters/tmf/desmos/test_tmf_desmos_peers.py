"""Asking peers: what is sent, and what each answer means."""

from collections.abc import Awaitable, Callable

import anyio
import httpx
import pytest

from adapters.tmf.desmos.bundles import write_lines
from adapters.tmf.desmos.offers import Offer, read_offers, write_offers
from adapters.tmf.desmos.peers import DesmosPeers
from adapters.tmf.replication.form import FetchFailed
from ledger.core.errors import DecodeError, Unavailable
from pubsub.io.egress import EgressError, Errand, Reply

URL = "https://other.example"
PLACE = f"{URL}/api/v2/entities/urn:ngsi-ld:catalog:1?hl={'ab' * 32}"
ENTITY = b'{"id":"e","type":"catalog"}'


class Network:
    """A network that gives one answer.

    Attributes:
        asked: what was sent.
    """

    def __init__(self, status: int, body: bytes | None, error: Exception | None = None) -> None:
        self._reply = Reply(status, httpx.Headers(), body)
        self._error = error
        self.asked: list[Errand] = []

    async def run(self, errand: Errand) -> Reply:
        """Answer."""
        self.asked.append(errand)
        await anyio.lowlevel.checkpoint()
        if self._error:
            raise self._error
        return self._reply


async def token() -> str:
    """Give a token."""
    return "t"


def peers(network: Network) -> DesmosPeers:
    """Give peers on a network."""
    return DesmosPeers(network, token, "https://node.example")


async def test_an_entity_is_asked_for_at_its_place() -> None:
    """The location is used as it stands, with the token."""
    network = Network(200, b"body")
    assert await peers(network).entity(PLACE) == b"body"
    (errand,) = network.asked
    assert (errand.method, errand.url) == ("GET", PLACE)
    assert errand.headers["authorization"] == "Bearer t"


@pytest.mark.parametrize(
    "network, result, code",
    [
        (Network(404, b""), "faulty", "not-served"),
        (Network(410, b""), "faulty", "not-served"),
        (Network(403, b""), "withheld", "not-served"),
        (Network(200, None), "faulty", "too-large"),
        (Network(200, b"", EgressError("no")), "faulty", "location-forbidden"),
    ],
)
async def test_an_entity_that_is_not_given(network: Network, result: str, code: str) -> None:
    """Gone, forbidden, too large, or at a place that may not be called."""
    with pytest.raises(FetchFailed) as caught:
        await peers(network).entity(PLACE)
    assert (caught.value.result, caught.value.code) == (result, code)


@pytest.mark.parametrize("status", [401, 302, 429, 500])
async def test_other_answers_pass_by_themselves(status: int) -> None:
    """Our token may be renewed, the origin may recover."""
    with pytest.raises(Unavailable):
        await peers(Network(status, b"")).entity(PLACE)


async def test_a_discovery_is_sent_and_read_as_lines() -> None:
    """Both sides' entities are lines; the issuer is this node."""
    network = Network(200, write_offers([Offer("b", "catalog")]))
    found = await peers(network).discover(URL, [Offer("a", "catalog")])
    assert [offer.id for offer in found] == ["b"]
    (errand,) = network.asked
    assert (errand.method, errand.url) == ("POST", f"{URL}/api/v2/sync/p2p/discovery")
    assert errand.headers == {
        "authorization": "Bearer t",
        "accept": "application/x-ndjson",
        "content-type": "application/x-ndjson",
        "x-issuer": "https://node.example",
    }
    assert read_offers(errand.body) == [Offer("a", "catalog")]


async def test_entities_are_asked_for_by_id() -> None:
    """Ids are a JSON array, the answer is lines."""
    network = Network(200, write_lines([ENTITY]))
    (parcel,) = await peers(network).entities(URL, ["e", "f"])
    assert parcel.id == "e"
    (errand,) = network.asked
    assert (errand.method, errand.url) == ("POST", f"{URL}/api/v2/sync/p2p/entities")
    assert errand.body == b'[{"id":"e"},{"id":"f"}]'
    assert errand.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "ask", [lambda one: one.discover(URL, []), lambda one: one.entities(URL, [])]
)
async def test_peers_that_do_not_answer_as_they_should(
    ask: Callable[[DesmosPeers], Awaitable[object]],
) -> None:
    """No answer may be tried again; one that cannot be read is a fault."""
    for network in (Network(500, b""), Network(200, None), Network(200, b"", EgressError("no"))):
        with pytest.raises(Unavailable):
            await ask(peers(network))
    with pytest.raises(DecodeError):
        await ask(peers(Network(200, b"{")))
