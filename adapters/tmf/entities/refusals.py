"""The refusals of the entity service that are not about a document's form."""

from http import HTTPStatus

from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.model import Resource

__all__ = ["id_taken", "no_such", "not_owned_here", "owned_by_another", "owned_here", "too_large"]


def no_such(resource: Resource, id_: str) -> TmfError:
    """Refuse: the entity does not exist, or not for this caller."""
    message = f"there is no {resource.path} {id_[:80]!a}"
    return TmfError(HTTPStatus.NOT_FOUND, "not-found", "Not found", message)


def id_taken(resource: Resource, id_: str) -> TmfError:
    """Refuse: a POST names an id that exists."""
    message = f"id: a {resource.path} {id_!r} exists already"
    return TmfError(HTTPStatus.CONFLICT, "id-taken", "Id taken", message)


def not_owned_here(resource: Resource, id_: str) -> TmfError:
    """Refuse: only the member that owns an entity changes it."""
    message = f"{resource.path} {id_!r} belongs to another member and is changed at its node"
    return TmfError(HTTPStatus.FORBIDDEN, "not-owned-here", "Not owned here", message)


def owned_here(resource: Resource, id_: str) -> TmfError:
    """Refuse a replica: this node owns the entity."""
    message = f"{resource.path} {id_!r} belongs to this node's member"
    return TmfError(HTTPStatus.CONFLICT, "owned-here", "Owned here", message)


def owned_by_another(resource: Resource, id_: str) -> TmfError:
    """Refuse a replica: it came from another member first."""
    message = f"{resource.path} {id_!r} belongs to another member than the one that tells of it"
    return TmfError(HTTPStatus.CONFLICT, "owned-by-another", "Owned by another", message)


def too_large(bytes_count: int, bytes_max: int) -> TmfError:
    """Refuse an entity whose canonical form is too long."""
    message = f"the entity has {bytes_count} bytes, at most {bytes_max} are allowed"
    return TmfError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", "Too large", message)
