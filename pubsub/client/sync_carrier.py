"""The synchronous client's requests: carries out the steps of flows with httpx.

Owns the token: it goes to the gateways that the user configured, and redirects are never followed.

Made from async_carrier.py by tests/support/unasync.py.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeVar

import httpx

from ledger.core.limits import CLIENT_CALL_MS_MAX
from pubsub.client.answers import Answer
from pubsub.client.exchange import Call, Flow, Lost, Pause, Timing
from pubsub.client.wire import CALL_TIMEOUT, STREAM_TIMEOUT, Bearer, request_arguments, require_room

__all__ = ["Carrier", "end_answer"]

T = TypeVar("T")


class Carrier:
    """Carries out the steps of flows, and opens streams."""

    def __init__(self, timing: Timing, http: httpx.Client, bearer: Bearer | None = None) -> None:
        """Send requests with ``http``, which is closed with this, in the name of ``bearer``."""
        self._now_ms = timing.now_ms
        self._http = http
        self._bearer = bearer

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def run(self, flow: Flow[T]) -> T:
        """Carry out the steps of ``flow`` and give its value."""
        outcome: Answer | Lost | None = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as stop:
                value: T = stop.value
                return value
            if isinstance(step, Pause):
                time.sleep(step.ms / 1000)
                outcome = None
            else:
                outcome = self._answer(step)

    def _answer(self, call: Call) -> Answer | Lost:
        late_at = self._now_ms() + CLIENT_CALL_MS_MAX
        body = bytearray()
        try:
            response = self._send(call, CALL_TIMEOUT)
            chunks = response.iter_bytes()
            try:
                for chunk in chunks:
                    body += chunk
                    require_room(len(body))
                    if self._now_ms() > late_at:
                        return Lost("the answer takes too long")
            finally:
                end_answer(response, chunks)
        except httpx.HTTPError as error:
            return Lost(str(error) or type(error).__name__)
        return Answer(response.status_code, bytes(body), response.headers)

    def open(self, call: Call) -> httpx.Response:
        """Begin a request whose answer is read as it comes. Raises httpx.HTTPError."""
        return self._send(call, STREAM_TIMEOUT)

    def _send(self, call: Call, patience: httpx.Timeout) -> httpx.Response:
        arguments = request_arguments(call, self._bearer)
        request = self._http.build_request(**arguments, timeout=patience)
        return self._http.send(request, stream=True, follow_redirects=False)


def end_answer(response: httpx.Response, chunks: Iterator[bytes]) -> None:
    """Close the answer that ``chunks`` comes from."""
    response.close()
    # httpx nests generators: reading from the closed connection ends all of them, where dropping
    # them would leave the inner ones to the garbage collector.
    with suppress(httpx.HTTPError, httpx.StreamError):
        for _ in chunks:
            pass
