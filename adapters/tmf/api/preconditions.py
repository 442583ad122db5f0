"""Conditions on a version: who changes an entity may say which version of it was read.

The tag is a hash of the stored bytes, so the same version has the same tag on every node.
"""

from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from adapters.tmf.entity import Entity, content_hash
from adapters.tmf.refusal import TmfError

__all__ = ["is_known", "require_match", "version_headers"]

_TAG_CHARS: Final = 32
_ANY: Final = "*"


def version_headers(entity: Entity) -> dict[str, str]:
    """Give the headers that name a version."""
    modified = formatdate(entity.changed_ms // 1000, usegmt=True)
    return {"etag": _tag(entity), "last-modified": modified}


def require_match(headers: Mapping[str, str], entity: Entity) -> None:
    """Refuse a change of another version than the client read.

    Raises:
        TmfError: 412, ``If-Match`` names none that is stored.
    """
    wanted = headers.get("if-match")
    if wanted is None or wanted.strip() == _ANY or _tag(entity) in _tags(wanted):
        return
    message = f"If-Match: the entity was changed in between; it is {_tag(entity)} now"
    status = HTTPStatus.PRECONDITION_FAILED
    raise TmfError(status, "version-mismatch", "Precondition failed", message)


def is_known(headers: Mapping[str, str], entity: Entity) -> bool:
    """Say whether the client holds this version already (``If-None-Match``)."""
    known = headers.get("if-none-match", "")
    # Weak comparison: a proxy that packed the body has weakened the tag.
    tags = {tag.removeprefix("W/") for tag in _tags(known)}
    return known.strip() == _ANY or _tag(entity) in tags


def _tag(entity: Entity) -> str:
    return f'"{content_hash(entity.body).hex()[:_TAG_CHARS]}"'


def _tags(header: str) -> list[str]:
    return [tag.strip() for tag in header.split(",")]
