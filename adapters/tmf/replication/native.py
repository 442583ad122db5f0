"""The native form of events: SHA-256 of canonical JSON, and a fetch with a proof of identity.

An event has the entity's type in kebab case as type, ``tmf.<type>`` as topic, the entity's id as
subject (a salted hash for entities that only parties may see), the hash of the version and of the
one before, and the place at this node where the version is served. Its end has no hash.
"""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Final, Protocol
from urllib.parse import quote

import msgspec

from adapters.tmf.entity import Change, JsonObject, canonical
from adapters.tmf.replication.core.model import NONE, Code, Told
from adapters.tmf.replication.form import Draft, FetchFailed, Taken
from adapters.tmf.replication.ledger import Identity
from adapters.tmf.replication.proof import prove
from adapters.tmf.replication.shared import (
    Audience,
    audience_of,
    kebab_of,
    name_of,
    tags_for,
)
from adapters.tmf.replication.versions import (
    HIDDEN_SUBJECT,
    add_version,
    forget_old,
    hidden_subject,
    key_of,
    last_published,
    made_secret,
    new_published,
)
from adapters.tmf.store.ports import Writing
from ledger.core.errors import DecodeError, Unavailable
from ledger.core.event import Event
from ledger.core.limits import TMF_ENTITY_BYTES_MAX
from pubsub.client.identity import EventContent
from pubsub.core.strict_json import require_strict_json
from pubsub.io.egress import EgressError, Errand, Reply

__all__ = ["DIGEST_PATH", "PATH", "SALT_HEADER", "Carrier", "NativeForm"]

PATH: Final = "/replication/v1/entities"
DIGEST_PATH: Final = "/replication/v1/digest"
SALT_HEADER: Final = "concordat-subject-salt"

_TOPICS: Final = "tmf."
_MEDIA: Final = "application/json"
_SALT: Final = re.compile(r"[0-9a-f]{32}\Z")
_SALT_BYTES: Final = 16
_GONE: Final = (403, 404)
_SUPERSEDED: Final = 410
_OK: Final = 200
_DIGEST_BYTES: Final = 32


class Carrier(Protocol):
    """Runs errands to any host, under the rules of egress."""

    async def run(self, errand: Errand) -> Reply:
        """Send a request. Raises EgressError, Unavailable."""
        ...


class NativeForm:
    """Events in native form."""

    name: Final = "native"

    def __init__(
        self,
        identity: Identity,
        carrier: Carrier,
        now_ms: Callable[[], int],
        is_published: Callable[[str, JsonObject], bool],
    ) -> None:
        """Prepare.

        Args:
            is_published: the profile's rule: (lowerCamel resource, document) -> whether this
                version is for the others. What was published is told on, whatever becomes of it.
        """
        self._identity = identity
        self._carrier = carrier
        self._now_ms = now_ms
        self._is_published = is_published

    # --- own changes ------------------------------------------------------------------------

    def draft(self, txn: Writing, change: Change) -> Draft | None:
        """Make the event of an own change; None when it is not for the others."""
        kebab = kebab_of(change.resource)
        if (audience := audience_of(kebab)) is Audience.NOBODY:
            return None
        known = last_published(txn.connection, kebab, change.id)
        if change.after is None:
            if known is None or known.hash == NONE:
                return None
            body, document, version = b"", {}, NONE
        else:
            body, document = change.after, msgspec.json.decode(change.after, type=dict)
            version = sha256(body).digest()
            if known and known.hash == version:
                return None
            is_told = known is not None and known.hash != NONE
            if not (is_told or self._is_published(change.resource, document)):
                return None
        if known is None:
            is_hidden = audience is Audience.PARTIES
            secret = made_secret(txn.connection) if is_hidden else None
            known = new_published(kebab, change.id, secret)
        add_version(txn.connection, known._replace(hash=version), body, self._now_ms())
        content = EventContent(
            subject=known.subject,
            entity_hash=version,
            previous_hash=known.hash,
            location=self._location(kebab, known.subject, version),
            content_type=_MEDIA,
            tags=tags_for(kebab, document, self._identity.environment),
        )
        return Draft(_TOPICS + kebab, kebab, content)

    def published(self, txn: Writing, event: Event, sequence: int) -> None:  # noqa: ARG002
        """Forget versions that nobody needs any more."""
        forget_old(txn.connection, self._now_ms())

    def _location(self, kebab: str, subject: str, version: bytes) -> str:
        place = f"{self._identity.public_url}{PATH}/{kebab}/{quote(subject, safe=':')}"
        return f"{place}?hash={version.hex()}" if version != NONE else place

    # --- others' events ---------------------------------------------------------------------

    def read(self, event: Event, sequence: int) -> Told | None:
        """Say what an event tells of an entity; None when it is not of this form."""
        audience = audience_of(event.type)
        if event.topic != _TOPICS + event.type or audience is Audience.NOBODY:
            return None
        if audience is Audience.PARTIES and not HIDDEN_SUBJECT.match(event.subject):
            return None
        return Told(
            form=self.name,
            key=key_of(event.type, event.subject),
            resource=event.type,
            subject=event.subject,
            publisher=event.publisher,
            sequence=sequence,
            version=event.entity_hash,
            previous=event.previous_hash,
            location=event.location,
            tags=event.tags,
        )

    async def fetch(self, told: Told) -> bytes:
        """Get a version: the canonical bytes, behind the salt when the subject is hidden."""
        reply = await self._ask(
            told, told.location, f"{told.resource}/{told.subject}", told.version.hex()
        )
        if reply.status != _OK:
            raise _failure(reply.status, told)
        if reply.body is None:
            raise FetchFailed("faulty", Code.TOO_LARGE, f"above {TMF_ENTITY_BYTES_MAX} bytes")
        if audience_of(told.resource) is not Audience.PARTIES:
            return reply.body
        salt = reply.headers.get(SALT_HEADER, "")
        if not _SALT.match(salt):
            raise FetchFailed("faulty", Code.MALFORMED, "the answer has no salt for its subject")
        return bytes.fromhex(salt) + reply.body

    async def digest(self, told: Told) -> bytes | None:
        """Ask the publisher of an event for the digest of all that it published.

        Returns:
            None when it has none to give now.

        Raises:
            FetchFailed, Unavailable: it cannot be asked.
        """
        base = told.location.partition(PATH)[0]
        reply = await self._ask(told, base + DIGEST_PATH, "digest", "")
        is_digest = reply.status == _OK and len(reply.body or b"") == _DIGEST_BYTES
        return reply.body if is_digest else None

    async def _ask(self, told: Told, url: str, subject: str, version: str) -> Reply:
        """Send a request with a proof of identity to the publisher of an event."""
        who = self._identity
        asked = (who.did, told.publisher, subject, version)
        proof = prove(who.signer, asked, self._now_ms())
        headers = {"authorization": f"Bearer {proof}", "accept": _MEDIA}
        errand = Errand("GET", url, TMF_ENTITY_BYTES_MAX, headers=headers, wants_answer=True)
        try:
            return await self._carrier.run(errand)
        except EgressError as error:
            raise FetchFailed("faulty", Code.LOCATION_FORBIDDEN, str(error)) from None

    def check(self, told: Told, body: bytes) -> Taken:
        """Hold what was fetched to the hash and the subject that were told."""
        salt = b""
        if audience_of(told.resource) is Audience.PARTIES:
            salt, body = body[:_SALT_BYTES], body[_SALT_BYTES:]
        if sha256(body).digest() != told.version:
            raise FetchFailed("faulty", Code.HASH_MISMATCH, "the content has another hash")
        try:
            require_strict_json(body)
            document = msgspec.json.decode(body, type=dict)
            is_canonical = canonical(document) == body
        except (DecodeError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise FetchFailed("refused", Code.MALFORMED, f"no JSON object: {error}") from None
        if not is_canonical:
            raise FetchFailed("refused", Code.MALFORMED, "the JSON is not in canonical form")
        id_ = document.get("id")
        if not isinstance(id_, str) or told.subject != (
            hidden_subject(told.resource, id_, salt) if salt else id_
        ):
            raise FetchFailed("refused", Code.WRONG_ENTITY, "the content is of another entity")
        return Taken(name_of(told.resource), id_, document)

    def taken(self, txn: Writing, told: Told, taken: Taken | None) -> None:
        """Nothing more is kept of it."""


def _failure(status: int, told: Told) -> Exception:
    """Give what an answer without content means."""
    detail = f"the origin answered {status}"
    if status == _SUPERSEDED:
        return FetchFailed("later", Code.NOT_SERVED, "superseded: a newer event is on its way")
    if status in _GONE and audience_of(told.resource) is Audience.PARTIES:
        return FetchFailed("withheld", Code.NOT_SERVED, detail)
    if status in _GONE:
        return FetchFailed("faulty", Code.NOT_SERVED, detail)
    return Unavailable(detail)
