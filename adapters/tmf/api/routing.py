"""Which resource a path names: tables made from the registry once, looked up by segment.

Owns the shape of the paths: ``/tmf-api/<api>/<version>/<collection>[/<id>[/content]]`` and the hub
of each API beside its collections. An id is one segment, decoded; a closing slash changes nothing.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from adapters.tmf.resources.model import Api, Resource

__all__ = ["ROOT", "Answer", "Paths", "Place", "Target"]

ROOT: Final = "/tmf-api"
_HUB: Final = "hub"
_CONTENT: Final = "content"


class Place(Enum):
    """What kind of thing a path names."""

    COLLECTION = "collection"
    ITEM = "item"
    CONTENT = "content"
    HUB = "hub"
    REGISTRATION = "registration"


class Target(NamedTuple):
    """What a path names.

    Attributes:
        resource: None for the hub.
        id: of the item or registration; empty for a collection.
    """

    place: Place
    api: Api
    resource: Resource | None = None
    id: str = ""


class Answer(Protocol):
    """What one method does at one place."""

    async def __call__(self, request: Request, target: Target) -> Response:
        """Answer a request."""
        ...


class Paths:
    """The paths of some APIs."""

    def __init__(self, apis: Iterable[Api]) -> None:
        self._collections: dict[tuple[str, ...], Target] = {}
        for api in apis:
            base = tuple(api.base.strip("/").split("/"))
            self._collections[*base, _HUB] = Target(Place.HUB, api)
            for resource in api.resources:
                target = Target(Place.COLLECTION, api, resource)
                self._collections[*base, resource.path] = target

    def find(self, raw_path: str) -> Target | None:
        """Give what a path names, percent-encoded as it was sent; None for nothing."""
        segments = tuple(map(unquote, raw_path.rstrip("/").removeprefix("/").split("/")))
        if (collection := self._collections.get(segments)) is not None:
            return collection
        *head, last = segments
        if last and (collection := self._collections.get(tuple(head))) is not None:
            is_hub = collection.place is Place.HUB
            place = Place.REGISTRATION if is_hub else Place.ITEM
            return collection._replace(place=place, id=last)
        if last != _CONTENT or not head or not head[-1]:
            return None
        collection = self._collections.get(tuple(head[:-1]))
        if collection is None or collection.place is Place.HUB:
            return None
        return collection._replace(place=Place.CONTENT, id=head[-1])
