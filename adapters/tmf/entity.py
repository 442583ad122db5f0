"""An entity of the access node, and a change of one: the two values that all packages share.

Owns what an entity is: the bytes of one JSON object in canonical form (RFC 8785), so that its hash
is the same on every node. What only this node knows stands beside the bytes, never in them.
"""

import re
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias

import msgspec
import rfc8785

__all__ = ["OWN", "Change", "Entity", "JsonObject", "What", "canonical", "content_hash"]

JsonObject: TypeAlias = dict[str, Any]
"""A parsed JSON object, as a client sent it or as it is stored."""

OWN = ""
"""The origin of entities that this node owns."""

What = Literal["create", "attribute", "state", "delete"]
"""What a change did; the hub makes the names of its events from it."""


class Entity(msgspec.Struct, frozen=True):
    """One stored entity.

    Attributes:
        resource: lowerCamel name of the TM Forum resource, unique over the APIs
            ("productOffering").
        id: unique within the resource.
        body: the JSON object in canonical form; it holds ``id`` and a relative ``href``.
        origin: DID of the member that owns it; ``OWN`` for this node's.
        revision: counts the writes of this entity at this node, from 1.
        changed_ms: when this node wrote it, Unix time in milliseconds.
    """

    resource: str
    id: str
    body: bytes
    origin: str = OWN
    revision: int = 1
    changed_ms: int = 0

    def document(self) -> JsonObject:
        """Parse the body."""
        return msgspec.json.decode(self.body, type=dict[str, Any])


class Change(msgspec.Struct, frozen=True):
    """One line of the journal.

    Attributes:
        number: order of commits, from 1, without gaps that could fill later.
        event_id: UUID, the same however often the change is told.
        before: the canonical body before; None for a create.
        after: the canonical body after; None for a delete.
        origin: whose entity it is; ``OWN`` for this node's.
        time_ms: when it was written.
    """

    number: int
    resource: str
    id: str
    what: What
    event_id: str
    before: bytes | None
    after: bytes | None
    origin: str
    time_ms: int


_encode_sorted = msgspec.json.Encoder(order="sorted").encode

# Numbers that msgspec may write otherwise than ECMAScript does: of 16 digits and more, whole
# floats, exponents; and null, which it also makes of NaN. A string can look like one; then the slow
# way gives the same.
_NOT_FOR_SURE: Final = re.compile(
    rb"[:,\[](?:null|-?(?:[0-9]{16,}(?:\.[0-9]+)?|[0-9]+\.0|[0-9]+(?:\.[0-9]+)?e[+-]?[0-9]+))[,\]}]"
)


def canonical(document: JsonObject) -> bytes:
    """Encode in the form that is stored, hashed and replicated (RFC 8785).

    The quick way of an ordinary document costs a tenth of the library's.

    Raises:
        ValueError: it holds what JSON of this form cannot (NaN, integers beyond 2**53).
    """
    body = _encode_sorted(document)
    # Beyond ASCII the order of members may differ: RFC 8785 sorts by UTF-16 code units.
    if body.isascii() and _NOT_FOR_SURE.search(body) is None:
        return body
    try:
        return rfc8785.dumps(document)
    except rfc8785.CanonicalizationError as error:
        raise ValueError(str(error)) from None


def content_hash(body: bytes) -> bytes:
    """Hash canonical bytes: 32 bytes of SHA-256."""
    return sha256(body).digest()
