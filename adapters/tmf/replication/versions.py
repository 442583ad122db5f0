"""What this node published in native form: the last hash of each entity, and the versions.

Owns the chain of hashes of own entities and the bytes that peers fetch. A version is kept until a
newer one is published, and for a day after that, so that a peer which lags finds what it was told;
later it learns the hash of the newer one.
"""

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256
from secrets import token_bytes
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, delete, insert, select, update

from adapters.tmf.replication.core.model import NONE
from adapters.tmf.replication.shared import Audience, audience_of
from adapters.tmf.replication.tables import PUBLISHED, VERSIONS
from adapters.tmf.replication.tracking import set_setting, setting
from ledger.core.limits import REPLICATION_VERSION_KEPT_MS

__all__ = [
    "HIDDEN_SUBJECT",
    "Published",
    "Version",
    "add_version",
    "digest_of",
    "forget_old",
    "hidden_subject",
    "key_of",
    "last_published",
    "made_secret",
    "new_published",
    "published_digest",
    "version_of",
]

HIDDEN: Final = "h:"
"""How the subject of an entity begins that only its parties may see."""

HIDDEN_SUBJECT: Final = re.compile(HIDDEN + r"[0-9a-f]{64}\Z")
_SALT_BYTES: Final = 16
_SECRET_BYTES: Final = 32


class Published(NamedTuple):
    """An own entity on the ledger.

    Attributes:
        subject: how events name it.
        salt: with it the subject follows from the id; empty when the subject is the id.
        hash: of the version told last; ``NONE`` before the first and after the end.
    """

    resource: str
    id: str
    subject: str
    salt: bytes
    hash: bytes


class Version(NamedTuple):
    """What a peer that asks for a version learns; ``body`` is None when it is kept no longer."""

    published: Published
    body: bytes | None


def made_secret(connection: Connection) -> bytes:
    """Give this node's secret, made when it is first asked for: salts follow from it."""
    found = setting(connection, "secret")
    if found is not None:
        return found
    secret = token_bytes(_SECRET_BYTES)
    set_setting(connection, "secret", secret)
    return secret


def hidden_subject(resource: str, id_: str, salt: bytes) -> str:
    """Give the subject of an entity that only its parties may see."""
    return HIDDEN + sha256(salt + f"{resource}/{id_}".encode()).hexdigest()


def new_published(resource: str, id_: str, secret: bytes | None) -> Published:
    """Give an entity that was not published before; hidden when there is a secret."""
    if secret is None:
        return Published(resource, id_, id_, b"", NONE)
    salt = hmac.digest(secret, f"{resource}/{id_}".encode(), "sha256")[:_SALT_BYTES]
    return Published(resource, id_, hidden_subject(resource, id_, salt), salt, NONE)


def last_published(connection: Connection, resource: str, id_: str) -> Published | None:
    """Give what was told last of an own entity."""
    query = select(PUBLISHED).where(PUBLISHED.c.resource == resource, PUBLISHED.c.id == id_)
    row = connection.execute(query).one_or_none()
    return Published(row.resource, row.id, row.subject, row.salt, row.hash) if row else None


def add_version(connection: Connection, published: Published, body: bytes, now_ms: int) -> None:
    """Make a version the newest; ``NONE`` as its hash, and no body, for the end of the entity."""
    of_entity = (VERSIONS.c.resource == published.resource) & (VERSIONS.c.id == published.id)
    connection.execute(
        update(VERSIONS)
        .where(of_entity, VERSIONS.c.superseded_ms.is_(None))
        .values(superseded_ms=now_ms)
    )
    row = {"resource": published.resource, "id": published.id, "hash": published.hash}
    if published.hash != NONE:
        connection.execute(delete(VERSIONS).where(of_entity, VERSIONS.c.hash == published.hash))
        connection.execute(insert(VERSIONS).values(**row, body=body, superseded_ms=None))
    is_entity = and_(PUBLISHED.c.resource == published.resource, PUBLISHED.c.id == published.id)
    connection.execute(delete(PUBLISHED).where(is_entity))
    connection.execute(
        insert(PUBLISHED).values(**row, subject=published.subject, salt=published.salt)
    )


def version_of(connection: Connection, resource: str, subject: str, hash_: bytes) -> Version | None:
    """Give a version by what events say; None when the entity was never published."""
    query = select(PUBLISHED).where(
        PUBLISHED.c.resource == resource, PUBLISHED.c.subject == subject
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    published = Published(row.resource, row.id, row.subject, row.salt, row.hash)
    body = connection.execute(
        select(VERSIONS.c.body).where(
            VERSIONS.c.resource == resource, VERSIONS.c.id == row.id, VERSIONS.c.hash == hash_
        )
    ).scalar()
    return Version(published, body)


def published_digest(connection: Connection) -> bytes:
    """Give the digest of the newest versions of all own entities that were published."""
    rows = connection.execute(select(PUBLISHED.c.resource, PUBLISHED.c.subject, PUBLISHED.c.hash))
    return digest_of((key_of(row.resource, row.subject), row.hash) for row in rows)


def digest_of(versions: Iterable[tuple[str, bytes]]) -> bytes:
    """Hash (key, version) of entities; ended ones are included, with no version."""
    whole = sha256()
    for key, version in sorted(versions):
        whole.update(f"{key} {version.hex()}\n".encode())
    return whole.digest()


def key_of(resource: str, subject: str) -> str:
    """Give the key of an entity by its subject in native events."""
    if audience_of(resource) is Audience.PARTIES:
        return f"{resource}/{subject.removeprefix(HIDDEN)}"
    return f"{resource}/{sha256(subject.encode()).hexdigest()}"


def forget_old(connection: Connection, now_ms: int) -> None:
    """Drop versions that were superseded long ago."""
    last = now_ms - REPLICATION_VERSION_KEPT_MS
    connection.execute(delete(VERSIONS).where(VERSIONS.c.superseded_ms < last))
