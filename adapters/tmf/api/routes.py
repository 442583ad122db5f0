"""The routes of the seven APIs: which answers stand at which places.

Owns that table alone.
"""

from collections.abc import Callable
from functools import cache

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from adapters.tmf.api import job_table
from adapters.tmf.api.app import Answers, tmf_routes
from adapters.tmf.api.collections import Collections, Serving
from adapters.tmf.api.errors import JSON
from adapters.tmf.api.jobs import Jobs
from adapters.tmf.api.openapi import describe
from adapters.tmf.api.routing import ROOT, Paths, Place, Target
from adapters.tmf.hub.endpoints import HubEndpoints
from adapters.tmf.resources.model import Resource
from adapters.tmf.resources.registry import APIS, TABLES
from ledger.core.errors import InvariantError
from ledger.io.release import VERSION

__all__ = ["api_routes"]


def api_routes(
    serving: Serving, hub: HubEndpoints, jobs: Jobs, fail: Callable[[InvariantError], None]
) -> list[BaseRoute]:
    """Give the routes of everything under ``/tmf-api``.

    Args:
        fail: is told of an error after which the process must end.
    """
    collections = Collections(serving, job_table.note)
    answers = Answers(
        of={
            Place.COLLECTION: lambda target: collections.of_collection(_resource(target)),
            Place.ITEM: lambda target: collections.of_item(_resource(target)),
            Place.CONTENT: jobs.of_content,
            Place.HUB: lambda _: hub.of_hub(),
            Place.REGISTRATION: lambda _: hub.of_registration(),
        },
        documents={f"{ROOT}/openapi.json": _openapi},
    )
    return tmf_routes(Paths(APIS), answers, fail)


async def _openapi(_request: Request) -> Response:
    return Response(_description(), media_type=JSON)


@cache
def _description() -> bytes:
    return msgspec.json.encode(describe(APIS, TABLES, VERSION))


def _resource(target: Target) -> Resource:
    assert target.resource is not None, "only hubs have none"
    return target.resource
