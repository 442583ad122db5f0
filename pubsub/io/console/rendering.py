"""Pages from templates, with the headers that keep a page from doing anything but what it is for.

Every value is escaped by the templates. Scripts and styles come from this gateway alone, so a page
works in a network without the Internet and a value that slipped through could not run.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import jinja2
import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pubsub.core.problems import Refusal

__all__ = ["PAGE_HEADERS", "PLACES", "Pages"]

PLACES: Final = (
    ("/console/", "Overview"),
    ("/console/events", "Events"),
    ("/console/topics", "Topics"),
    ("/console/consumers", "Consumers"),
    ("/console/webhooks", "Webhooks"),
)
_BARE: Final = {"places": (), "place": "", "is_signed_in": False}
PAGE_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


class Pages:
    """Writes the console's pages of one member."""

    def __init__(self, member: str) -> None:
        """Write pages that bear the name of ``member``."""
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("pubsub.io.console"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["moment"] = _moment
        self._templates.filters["json"] = _json
        self._templates.globals["member"] = member

    def page(
        self, name: str, place: str, values: dict[str, object], *, is_signed_in: bool
    ) -> Response:
        """Answer with the page ``name`` at ``place``, one of the PLACES or below one."""
        frame = {"places": PLACES, "place": place, "is_signed_in": is_signed_in}
        return self._answer(name, HTTPStatus.OK, {**frame, **values})

    def login(self, problem: str = "") -> Response:
        """Answer with the form that asks for a token."""
        status = HTTPStatus.UNAUTHORIZED if problem else HTTPStatus.OK
        return self._answer("login", status, {**_BARE, "problem": problem})

    def problem(self, refusal: Refusal, request: Request) -> Response:
        """Answer with why a page cannot be shown."""
        problem = refusal.problem(request.url.path)
        return self._answer("problem", refusal.status, {**_BARE, "problem": problem})

    def _answer(self, name: str, status: int, values: Mapping[str, object]) -> Response:
        text = self._templates.get_template(f"{name}.html").render(values)
        return HTMLResponse(text, status, PAGE_HEADERS)


def _json(document: object) -> str:
    return msgspec.json.encode(document).decode()


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
