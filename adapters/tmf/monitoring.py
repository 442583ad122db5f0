"""What operators watch: whether the node is well, and its numbers for Prometheus.

Owns /health and /metrics and the counting of requests. Numbers that the database knows are read
when they are asked for, so they are right after a restart, too.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import anyio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.tmf.resources.registry import APIS
from adapters.tmf.store.database import Store
from ledger.core.errors import ConcordatError
from ledger.core.limits import TMF_HEALTH_MS_MAX
from pubsub.io.answers import json_response

__all__ = ["Check", "Measure", "Monitoring"]

Check = Callable[[], Awaitable[str]]
"""Says what is wrong with something that the node needs; empty when nothing is."""

Measure = Callable[[Store], Mapping[str, int]]
"""Reads numbers from the database, by their labels."""

_PREFIX: Final = "concordat_access_node"
_AREAS: Final = {api.base: api.name for api in APIS}
_OTHERS: Final = frozenset({"replication", "usage-log", "api", "backoffice"})
_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"
_API_SEGMENTS: Final = 4


class Monitoring:
    """Health and numbers of one node."""

    def __init__(
        self,
        store: Store,
        checks: Mapping[str, Check],
        measures: Mapping[str, tuple[str, Measure]],
    ) -> None:
        """Watch these.

        Args:
            checks: by the name of what is needed.
            measures: by the name of a gauge, what it means, and how it is read.
        """
        self._store = store
        self._checks = {"database": self._check_database, **checks}
        self._measures = {name: measure for name, (_, measure) in measures.items()}
        self._registry = CollectorRegistry()
        labels = ("area", "method", "status")
        self._requests = Counter(
            f"{_PREFIX}_requests", "Answered requests", labels, registry=self._registry
        )
        self._seconds = Histogram(
            f"{_PREFIX}_request_seconds", "Time to the answer", ("area",), registry=self._registry
        )
        self._gauges = {
            name: Gauge(f"{_PREFIX}_{name}", meaning, ("of",), registry=self._registry)
            for name, (meaning, _) in measures.items()
        }

    def routes(self) -> list[BaseRoute]:
        """Give the routes."""
        return [Route("/health", self._health), Route("/metrics", self._metrics)]

    def counting(self, app: ASGIApp) -> ASGIApp:
        """Give an application that counts its requests."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            begun = time.perf_counter()
            area, method, status = _area(scope["path"]), _method(scope["method"]), 500

            async def sending(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, sending)
            finally:
                self._requests.labels(area, method, status).inc()
                self._seconds.labels(area).observe(time.perf_counter() - begun)

        return counted

    async def _health(self, request: Request) -> Response:
        """Answer 200 while entities can be read; what else is wrong is said with it."""
        del request
        faults = {name: await _within_time(check) for name, check in self._checks.items()}
        is_up = not faults["database"]
        document = {
            "status": "UP" if is_up else "DOWN",
            "checks": [
                {"name": name, "status": "DOWN" if fault else "UP", "data": {"reason": fault}}
                for name, fault in faults.items()
            ],
        }
        status = HTTPStatus.OK if is_up else HTTPStatus.SERVICE_UNAVAILABLE
        return json_response(document, status, {"cache-control": "no-store"})

    async def _metrics(self, request: Request) -> Response:
        del request
        for name, measure in self._measures.items():
            values = await self._store.in_thread(measure)
            self._gauges[name].clear()
            for label, value in values.items():
                self._gauges[name].labels(label).set(value)
        return Response(generate_latest(self._registry), media_type=_METRICS)

    async def _check_database(self) -> str:
        await self._store.in_thread(_read_something)
        return ""


async def _within_time(check: Check) -> str:
    try:
        with anyio.fail_after(TMF_HEALTH_MS_MAX / 1000):
            return await check()
    except TimeoutError:
        return "no answer in time"
    except ConcordatError as error:
        return str(error)


def _read_something(store: Store) -> None:
    with store.read() as reading:
        reading.last_change()


def _area(path: str) -> str:
    """Give the API of a path: few values, whatever paths strangers ask for."""
    segments = path.split("/")
    found = _AREAS.get("/".join(segments[:_API_SEGMENTS]))
    if found is not None:
        return found
    return segments[1] if segments[1:2] and segments[1] in _OTHERS else "other"


def _method(method: str) -> str:
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} else "other"
