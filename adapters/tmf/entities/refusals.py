"""The refusals of the entity service that are not about a document's form."""

from http import HTTPStatus

from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.model import Resource
from adapters.tmf.resources.problems import refusal
from ledger.core.limits import TMF_ENTITY_BYTES_MAX

__all__ = ["id_taken", "no_such", "not_owned_here", "owned_by_another", "owned_here", "too_large"]

_SHOWN_CHARS = 80  # of an id that may be anything


def no_such(resource: Resource, id_: str) -> TmfError:
    """Refuse: the entity does not exist, or not for this caller."""
    message = f"there is no {resource.path} {id_[:_SHOWN_CHARS]!a}"
    return refusal(HTTPStatus.NOT_FOUND, "not-found", message)


def id_taken(resource: Resource, id_: str) -> TmfError:
    """Refuse: a POST names an id that exists."""
    return refusal(HTTPStatus.CONFLICT, "id-taken", f"id: {resource.path} {id_!r} exists already")


def not_owned_here(resource: Resource, id_: str) -> TmfError:
    """Refuse: only the member that owns an entity changes it."""
    message = f"{resource.path} {id_!r} belongs to another member and is changed at its node"
    return refusal(HTTPStatus.FORBIDDEN, "not-owned-here", message)


def owned_here(resource: Resource, id_: str) -> TmfError:
    """Refuse a replica: this node owns the entity."""
    message = f"{resource.path} {id_!r} belongs to this node's member"
    return refusal(HTTPStatus.CONFLICT, "owned-here", message)


def owned_by_another(resource: Resource, id_: str) -> TmfError:
    """Refuse a replica: it came from another member first."""
    message = f"{resource.path} {id_!r} belongs to another member than the one that tells of it"
    return refusal(HTTPStatus.CONFLICT, "owned-by-another", message)


def too_large(bytes_count: int) -> TmfError:
    """Refuse an entity whose canonical form is too long."""
    message = f"the entity has {bytes_count} bytes, at most {TMF_ENTITY_BYTES_MAX} are allowed"
    return refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", message)
