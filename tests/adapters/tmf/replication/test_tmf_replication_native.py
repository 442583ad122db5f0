"""The native form against origins that answer wrongly, and events that are none of its own."""

from hashlib import sha256

import httpx
import msgspec
import pytest

from adapters.tmf.entity import canonical
from adapters.tmf.replication.core.model import Told
from adapters.tmf.replication.form import FetchFailed
from adapters.tmf.replication.ledger import Identity
from adapters.tmf.replication.native import SALT_HEADER, NativeForm
from adapters.tmf.replication.versions import hidden_subject
from ledger.core.errors import Unavailable
from ledger.core.limits import TMF_ENTITY_BYTES_MAX
from ledger.core.signing import SeedSigner
from pubsub.io.egress import EgressError, Errand, Reply
from tests.ledger.sample_network import event

ID = "urn:x"
BODY = canonical({"id": ID, "name": "x"})
SALT = b"s" * 16


class Origin:
    """Gives one answer to everybody."""

    def __init__(self) -> None:
        self.errands: list[Errand] = []
        self.reply: Reply | Exception = Reply(200, httpx.Headers(), BODY)

    async def run(self, errand: Errand) -> Reply:
        """Answer."""
        self.errands.append(errand)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


ORIGIN = Origin()
IDENTITY = Identity("did:web:me.example", SeedSigner(b"m" * 32), "test", "https://me.example")
FORM = NativeForm(IDENTITY, ORIGIN, lambda: 0, lambda _resource, _document: True)


def told(body: bytes = BODY, **changes: object) -> Told:
    """Give an event about the entity."""
    plain = Told(
        "native", "product-offering/" + "0" * 64, "product-offering", ID, "did:web:o.example", 1,
        sha256(body).digest(), b"", "https://o.example/x",
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        (Reply(404, httpx.Headers(), b""), "faulty"),
        (Reply(410, httpx.Headers(), b""), "later"),
        (Reply(200, httpx.Headers(), None), "faulty"),
        (EgressError("private"), "faulty"),
    ],
)
async def test_what_an_origin_answers_has_a_meaning(reply: Reply | Exception, result: str) -> None:
    """Each answer without content passes by itself or counts against the origin."""
    ORIGIN.reply = reply
    with pytest.raises(FetchFailed) as failed:
        await FORM.fetch(told())
    assert failed.value.result == result


@pytest.mark.parametrize("status", [301, 401, 429, 500, 503])
async def test_an_origin_that_cannot_answer_is_asked_later(status: int) -> None:
    """Neither side is judged for it."""
    ORIGIN.reply = Reply(status, httpx.Headers(), b"")
    with pytest.raises(Unavailable):
        await FORM.fetch(told())


@pytest.mark.parametrize("status", [403, 404])
async def test_what_only_parties_may_see_is_withheld(status: int) -> None:
    """For such an entity the origin's refusal is no fault."""
    ORIGIN.reply = Reply(status, httpx.Headers(), b"")
    with pytest.raises(FetchFailed) as failed:
        await FORM.fetch(told(resource="product-order"))
    assert failed.value.result == "withheld"


async def test_no_more_than_an_entity_is_read() -> None:
    """The limit goes with the request, and a redirect would be an answer like any other."""
    ORIGIN.reply = Reply(200, httpx.Headers(), BODY)
    assert await FORM.fetch(told()) == BODY
    assert ORIGIN.errands[-1].answer_bytes_max == TMF_ENTITY_BYTES_MAX
    assert ORIGIN.errands[-1].wants_answer


@pytest.mark.parametrize("salt", [None, "", "zz" * 16, "00" * 15, "00" * 17])
async def test_a_hidden_entity_needs_its_salt(salt: str | None) -> None:
    """Without a well-formed salt the subject cannot be checked."""
    headers = httpx.Headers({SALT_HEADER: salt} if salt is not None else {})
    ORIGIN.reply = Reply(200, headers, BODY)
    with pytest.raises(FetchFailed):
        await FORM.fetch(told(resource="product-order"))


async def test_a_hidden_entity_is_bound_to_its_subject() -> None:
    """The salt must lead from the id to the subject that was told."""
    ORIGIN.reply = Reply(200, httpx.Headers({SALT_HEADER: SALT.hex()}), BODY)
    subject = hidden_subject("product-order", ID, SALT)
    order = told(resource="product-order", subject=subject)
    fetched = await FORM.fetch(order)
    assert FORM.check(order, fetched).resource == "productOrder"
    with pytest.raises(FetchFailed):
        FORM.check(order, b"t" * 16 + BODY)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed"),
        (b"[]", "malformed"),
        (b"{", "malformed"),
        (b'{"id":"urn:x","id":"urn:x"}', "malformed"),
        (b'{"name":"x","id":"urn:x"}', "malformed"),
        (b'{ "id":"urn:x"}', "malformed"),
        (b'{"id":"urn:x","n":1e999}', "malformed"),
        (b"\xff", "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'{"id":"urn:y"}', "wrong-entity"),
        (b'{"id":1}', "wrong-entity"),
        (b"{}", "wrong-entity"),
    ],
)
def test_content_of_the_right_hash_may_still_be_wrong(body: bytes, code: str) -> None:
    """An origin that told the hash of nonsense is refused for good."""
    with pytest.raises(FetchFailed) as failed:
        FORM.check(told(body), body)
    assert (failed.value.result, failed.value.code) == ("refused", code)


def test_content_of_another_hash_is_a_fault() -> None:
    """One byte decides."""
    with pytest.raises(FetchFailed) as failed:
        FORM.check(told(), BODY + b" ")
    assert (failed.value.result, failed.value.code) == ("faulty", "hash-mismatch")
    assert FORM.check(told(), BODY).document == {"id": ID, "name": "x"}


@pytest.mark.parametrize(
    ("topic", "type_", "subject"),
    [
        ("catalog.offering.changed", "product-offering", ID),
        ("tmf.category", "product-offering", ID),
        ("tmf.individual", "individual", ID),
        ("tmf.usage", "usage", ID),
        ("tmf.product-order", "product-order", ID),
    ],
)
def test_events_of_other_kinds_are_not_read(topic: str, type_: str, subject: str) -> None:
    """Topic, type and kind of subject must belong together."""
    assert FORM.read(event(topic=topic, type=type_, subject=subject), 1) is None
    sound = FORM.read(event(topic="tmf.category", type="category", subject=ID), 7)
    assert sound is not None
    assert (sound.key, sound.sequence) == (f"category/{sha256(ID.encode()).hexdigest()}", 7)
