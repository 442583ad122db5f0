"""One look at a gateway: its status and its metrics at a moment, or why there is neither."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from pubsub.core.documents import Status

__all__ = ["Metrics", "Sample", "take_sample"]

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Metrics:
    """The numbers of one answer of ``/metrics``, by the name of the series."""

    series: Mapping[str, list[tuple[Labels, float]]] = field(default_factory=dict)

    @staticmethod
    def read(text: str) -> "Metrics":
        """Read the Prometheus text format. Raises ValueError."""
        series: dict[str, list[tuple[Labels, float]]] = {}
        for family in text_string_to_metric_families("\n".join(_wanted(text.splitlines())) + "\n"):
            for sample in family.samples:
                series.setdefault(sample.name, []).append((sample.labels, sample.value))
        return Metrics(series)

    def total(self, name: str, **labels: str) -> float:
        """Give the sum of the series with these labels; 0 when there is none."""
        rows = self.series.get(name, ())
        return sum(value for own, value in rows if labels.items() <= own.items())

    def by(self, name: str, label: str) -> dict[str, float]:
        """Give the sums of a series by the values of one label."""
        found: dict[str, float] = {}
        for labels, value in self.series.get(name, ()):
            found[labels[label]] = found.get(labels[label], 0.0) + value
        return found

    def buckets(self, name: str) -> dict[float, float]:
        """Give how many observations a histogram has up to each bound."""
        rows = self.by(f"{name}_bucket", "le")
        return {float(bound): value for bound, value in rows.items()}


@dataclass(frozen=True)
class Sample:
    """What a gateway said.

    Attributes:
        at_s: of a clock that never goes back.
        status: None when it said nothing that can be read; ``error`` says why.
    """

    url: str
    at_s: float
    status: Status | None = None
    metrics: Metrics = field(default_factory=Metrics)
    error: str = ""


# One histogram for each route is most of the text, and nothing here looks at it.
_UNWANTED: Final = ("concordat_gateway_request_seconds", "#")
_decode: Final = msgspec.json.Decoder(Status).decode


def take_sample(client: httpx.Client, url: str) -> Sample:
    """Ask a gateway; never raises for what it answers."""
    try:
        status = client.get(f"{url}/v1/status")
        text = client.get(f"{url}/metrics")
        status.raise_for_status()
        text.raise_for_status()
        return Sample(url, time.monotonic(), _decode(status.content), Metrics.read(text.text))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Sample(url, time.monotonic(), error=str(error) or type(error).__name__)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Sample(url, time.monotonic(), error="it answers something that is no status")


def _wanted(lines: Iterable[str]) -> Iterator[str]:
    return (line for line in lines if not line.startswith(_UNWANTED))
