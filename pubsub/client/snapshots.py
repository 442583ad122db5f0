"""Reading a snapshot from several gateways, as flows: who is asked, who is believed, who is left.

Gateways are strangers. A piece counts when whoever takes it has verified it; a gateway whose piece
does not hold is not asked again, one that cannot be reached or does not have it is asked later.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from ledger.core.errors import DecodeError, ProofError, Unavailable
from ledger.core.genesis import Genesis
from ledger.core.snapshot_manifest import (
    Manifest,
    manifest_codec,
    require_one_history,
    verify_manifest,
)
from pubsub.client.answers import Answer, read_problem
from pubsub.client.exchange import Call, Flow, Lost, Pause, Request, Timing, pause_ms

__all__ = ["SnapshotGateways", "snapshot_request"]

T = TypeVar("T")

_MEDIA: Final = "application/vnd.concordat.snapshot+msgpack"
_OK: Final = 200


def snapshot_request(part: str, **parameters: str | int) -> Request:
    """Give the request for a ``part`` of a snapshot; ``""`` is its manifest."""
    path = f"/v1/snapshot/{part}" if part else "/v1/snapshot"
    return Request("GET", path, _MEDIA, {name: str(value) for name, value in parameters.items()})


class SnapshotGateways:
    """The gateways that a snapshot is read from.

    Attributes:
        url: the one in use.
        refused: why each of those that lied is not asked any more.
    """

    def __init__(self, urls: Sequence[str], timing: Timing) -> None:
        """Ask the gateways at ``urls`` (base URLs), the first one first.

        Raises:
            ValueError: there is none, or one is no HTTP URL.
        """
        if not urls or not all(url.startswith(("http://", "https://")) for url in urls):
            raise ValueError("a snapshot needs the HTTP URL of at least one gateway")
        self._urls = [url.rstrip("/") for url in urls]
        self._timing = timing
        self.refused: dict[str, str] = {}

    @property
    def url(self) -> str:
        """The gateway in use."""
        return self._urls[0]

    def refuse(self, reason: str) -> None:
        """Never ask the gateway in use again.

        Raises:
            ProofError: it was the last one.
        """
        self.refused[self._urls.pop(0)] = reason
        if not self._urls:
            told = "; ".join(f"{url}: {why}" for url, why in self.refused.items())
            raise ProofError(f"no gateway is left that can be believed. {told}")

    def newest(self, genesis: Genesis) -> Flow[Manifest]:
        """Ask every gateway, and give the manifest of the greatest height that holds.

        Raises:
            ProofError: none holds, or two hold that contradict each other.
            Unavailable: none that holds came in time.
        """

        def take(body: bytes) -> Manifest:
            manifest = manifest_codec.decode(body)
            verify_manifest(manifest, genesis)
            return manifest

        found: list[tuple[int, str, Manifest]] = []
        for _ in range(len(self._urls)):
            url = self.url
            outcome = yield Call(url, snapshot_request(""))
            if isinstance(outcome, Answer) and outcome.status == _OK:
                try:
                    manifest = take(outcome.body)
                except (DecodeError, ProofError) as error:
                    self.refuse(str(error))
                    continue
                found.append((manifest.root.height, url, manifest))
            self._turn()
        if not found:
            return (yield from self.piece(snapshot_request(""), take))
        _require_one_history(found, genesis)
        _, url, manifest = max(found, key=lambda row: row[0])
        while self.url != url:
            self._turn()
        return manifest

    def piece(self, request: Request, take: Callable[[bytes], T]) -> Flow[T]:
        """Ask one gateway after the other until ``take`` accepts a piece; give what it gave.

        Args:
            take: raises DecodeError or ProofError when the piece does not hold.

        Raises:
            ProofError: no gateway is left.
            Unavailable: none had the piece in time.
        """
        give_up_at = self._timing.now_ms() + self._timing.give_up_ms
        attempt = 0
        while True:
            outcome = yield Call(self.url, request)
            if isinstance(outcome, Answer) and outcome.status == _OK:
                try:
                    return take(outcome.body)
                except (DecodeError, ProofError) as error:
                    self.refuse(str(error))
                continue
            reason = _why(self.url, outcome)
            self._turn()
            attempt += 1
            if attempt % len(self._urls) == 0:
                pause = pause_ms(self._timing, attempt // len(self._urls))
                if self._timing.now_ms() + pause > give_up_at:
                    raise Unavailable(f"{reason} (gave up after {attempt} attempts)")
                yield Pause(pause)

    def _turn(self) -> None:
        self._urls.append(self._urls.pop(0))


def _require_one_history(found: Sequence[tuple[int, str, Manifest]], genesis: Genesis) -> None:
    """Who of them is right cannot be seen from here, so none is chosen."""
    try:
        require_one_history([manifest for _, _, manifest in found], genesis)
    except ProofError as error:
        told = ", ".join(f"{url} at {height}" for height, url, _ in found)
        raise ProofError(f"these gateways contradict each other ({told}): {error}") from None


def _why(url: str, outcome: Answer | Lost | None) -> str:
    if isinstance(outcome, Answer):
        return f"{url} answered {outcome.status}: {read_problem(outcome).detail}"
    return f"{url} cannot be reached: {'' if outcome is None else outcome.reason}"
