"""What a picture shows, layer by layer, from the back to the front.

Owns sizes and colours (Okabe and Ito's, which most people can tell apart). Knows nothing of
files and pages.
"""

from collections.abc import Iterator
from typing import Final

from simnet.picture.svg import element, group, text
from simnet.picture.window import Window, flights_in
from simnet.recording import EVERYBODY, Flight, Happening, Record

__all__ = ["KINDS", "draw_scene"]

WIDTH: Final = 1_380
_LEFT: Final = 90
_RIGHT: Final = 20
_TOP: Final = 66
_LANE: Final = 26  # of a machine's band
_BOTTOM: Final = 44
_UNDER_WAY_US: Final = 100_000  # what is on its way so long at the end is lost to the eye

KINDS: Final[dict[str, tuple[str, str]]] = {
    "proposal": ("#0072B2", "proposals"),
    "vote": ("#009E73", "votes"),
    "timeout": ("#D55E00", "timeouts"),
    "tc": ("#CC79A7", "timeout certificates"),
    "sync": ("#E69F00", "proofs of rounds"),
    "data": ("#8a8a8a", "batches, acknowledgements, certificates"),
    "fetch": ("#56B4E9", "requests and answers"),
}
"""Class of arrows -> colour and what they are."""

_DATA: Final = frozenset({"batch", "ack", "certificate"})
_BANDS: Final = ("#e8eef7", "#d5e0f0")


def kind_of(flight: Flight) -> str:
    """Give the class of a message's arrow."""
    if flight.kind in KINDS:
        return flight.kind
    return "data" if flight.kind in _DATA else "fetch"


class _Axes:
    """Where times and machines lie."""

    def __init__(self, record: Record, window: Window) -> None:
        self.window = window
        self.end_us = record.end_us
        self.row = max(74, min(120, 460 // len(record.machines)))
        self._rows = {name: i for i, name in enumerate(record.machines)}
        self.bottom = _TOP + self.row * len(record.machines)
        self._scale = (WIDTH - _LEFT - _RIGHT) / max(1, window.until_us - window.from_us)

    def x(self, at_us: int) -> float:
        """Give the place of a time, at most at an edge."""
        inside = min(max(at_us, self.window.from_us), self.window.until_us)
        return _LEFT + (inside - self.window.from_us) * self._scale

    def y(self, machine: str) -> float:
        """Give the middle of a machine's band."""
        return _TOP + self.row * (self._rows[machine] + 0.5)

    def has(self, at_us: int) -> bool:
        """Say whether a time is drawn."""
        return self.window.from_us <= at_us <= self.window.until_us


def draw_scene(record: Record, window: Window) -> str:
    """Draw the part of a run as one SVG element."""
    axes = _Axes(record, window)
    shown = [h for h in record.happenings if axes.has(h.at_us)]
    layers = [
        _arrowheads(),
        group(list(_partitions(record, axes)), class_="partitions"),
        group(list(_ticks(axes)), class_="ticks"),
        group([part for name in record.machines for part in _band(record, axes, name)]),
        *_flights(record, axes),
        group(list(_marks(shown, axes))),
        group(list(_moments(shown, axes))),
    ]
    height = axes.bottom + _BOTTOM
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'width="{WIDTH}" height="{height:.0f}" font-family="sans-serif" font-size="11">'
        + "\n".join(layers)
        + "</svg>"
    )


def _arrowheads() -> str:
    heads = [
        f'<marker id="head-{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" '
        f'markerHeight="5" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{colour}"/></marker>'
        for kind, (colour, _) in KINDS.items()
    ]
    hatch = (
        '<pattern id="down" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="6" height="6" fill="#eee"/>'
        '<line x1="0" y1="0" x2="0" y2="6" stroke="#b44" stroke-width="1.5"/></pattern>'
    )
    return f"<defs>{''.join(heads)}{hatch}</defs>"


# --- background -----------------------------------------------------------------------------


def _ticks(axes: _Axes) -> Iterator[str]:
    """Draw the axis of time, in milliseconds."""
    span_us = axes.window.until_us - axes.window.from_us
    steps = (10 ** (n // 3) * (1, 2, 5)[n % 3] for n in range(6, 27))
    step = next((s for s in steps if span_us / s <= 14), 10**9)
    for at_us in range(-(-axes.window.from_us // step) * step, axes.window.until_us + 1, step):
        x = axes.x(at_us)
        yield element("line", x1=x, x2=x, y1=_TOP - 6, y2=axes.bottom + 6, stroke="#ddd")
        label = f"{at_us / 1_000:,.1f}".removesuffix(".0")
        anchor = "end" if x > WIDTH - _RIGHT - 30 else "middle"
        yield text(f"{label} ms", x=x, y=axes.bottom + 22, text_anchor=anchor, fill="#555")


def _partitions(record: Record, axes: _Axes) -> Iterator[str]:
    lane = 0
    healed_us = next((h.at_us for h in record.happenings if h.kind == "calm"), record.end_us)
    for happening in record.happenings:
        until_us = min(healed_us, happening.at_us + happening.number)
        if happening.kind != "partition" or until_us < axes.window.from_us:
            continue
        if happening.at_us > axes.window.until_us:
            continue
        x, width = axes.x(happening.at_us), axes.x(until_us) - axes.x(happening.at_us)
        top, height = _TOP - 8, axes.bottom - _TOP + 16
        yield element(
            "rect", x=x, y=top, width=width, height=height, fill="#F0E442", opacity=0.28,
            title=happening.text,
        )  # fmt: skip
        label_x = min(x + 3, WIDTH - 300)
        yield text(happening.text, x=label_x, y=14 + 13 * (lane % 3), fill="#6b6400")
        lane += 1


def _band(record: Record, axes: _Axes, name: str) -> Iterator[str]:
    """Draw a machine's rounds, and when it was down."""
    y = axes.y(name) - _LANE / 2
    yield text(f"machine {name}", x=8, y=axes.y(name) + 4, font_weight="bold")
    own = [h for h in record.happenings if h.machine == name]
    for start_us, end_us, round_ in _stretches(own, "round", {"round", "crash", "halt"}, record):
        yield from _stretch(axes, y, (start_us, end_us), round_)
    for start_us, end_us, _ in _stretches(own, "crash", {"start"}, record):
        if _overlaps(axes, start_us, end_us):
            width = axes.x(end_us) - axes.x(start_us)
            down = f"machine {name} is down for {(end_us - start_us) / 1_000:.1f} ms"
            yield element(
                "rect", x=axes.x(start_us), y=y, width=width, height=_LANE, fill="url(#down)",
                title=down,
            )  # fmt: skip


def _stretch(axes: _Axes, y: float, times: tuple[int, int], round_: int) -> Iterator[str]:
    if not _overlaps(axes, *times):
        return
    x, width = axes.x(times[0]), axes.x(times[1]) - axes.x(times[0])
    fill, title = _BANDS[round_ % 2], f"round {round_} for {(times[1] - times[0]) / 1_000:.1f} ms"
    yield element("rect", x=x, y=y, width=width, height=_LANE, fill=fill, title=title)
    if width > 16:
        yield text(str(round_), x=x + 3, y=y + 10, fill="#51627d", font_size=10)


def _stretches(
    own: list[Happening], begins: str, ends: set[str], record: Record
) -> Iterator[tuple[int, int, int]]:
    """Give (from, until, number) of what lasts from one happening to the next of some kinds."""
    for index, happening in enumerate(own):
        if happening.kind == begins:
            later = (h.at_us for h in own[index + 1 :] if h.kind in ends)
            yield happening.at_us, next(later, record.end_us), happening.number


def _overlaps(axes: _Axes, start_us: int, end_us: int) -> bool:
    return end_us >= axes.window.from_us and start_us <= axes.window.until_us


# --- messages -------------------------------------------------------------------------------


def _flights(record: Record, axes: _Axes) -> Iterator[str]:
    """Draw each class of messages in a group of its own, which the legend can hide."""
    flights = flights_in(record, axes.window)
    for kind in reversed(KINDS):
        arrows = [_arrow(flight, axes, kind) for flight in flights if kind_of(flight) == kind]
        yield group(arrows, class_=f"flights {kind}", fill="none", stroke_width=1.1, opacity=0.8)


def _arrow(flight: Flight, axes: _Axes, kind: str) -> str:
    colour = KINDS[kind][0]
    x1, y1 = axes.x(flight.sent_us), axes.y(flight.sender)
    receiver = axes.y(flight.receiver)
    down = 1 if receiver > y1 else -1
    start, end = y1 + down * _LANE / 2, receiver - down * _LANE / 2
    label = f"{flight.label}, {flight.sender} to {flight.receiver}"
    sent = f"sent {flight.sent_us / 1_000:.3f} ms"
    if flight.arrived_us < 0:
        stub = f"M{x1:.1f} {start:.1f} l7 {down * 12}"
        lost = flight.fault == "drop" or axes.end_us - flight.sent_us > _UNDER_WAY_US
        cross, fate = ("m-3 -3 l6 6 m0 -6 l-6 6", "never") if lost else ("", "not yet")
        title = f"{label}: {sent}, {fate} arrived"
        return element("path", d=stub + cross, stroke=colour, title=title)
    took = f"took {(flight.arrived_us - flight.sent_us) / 1_000:.3f} ms"
    dash: dict[str, str | float] = {}
    if flight.fault == "hold":
        dash = {"stroke_dasharray": "6 3", "stroke_width": 1.8}
    return element(
        "line", x1=x1, y1=start, x2=axes.x(flight.arrived_us), y2=end, stroke=colour,
        marker_end=f"url(#head-{kind})", title=f"{label}: {sent}, {took} {flight.fault}".strip(),
        **dash,
    )  # fmt: skip


# --- foreground -----------------------------------------------------------------------------


def _marks(shown: list[Happening], axes: _Axes) -> Iterator[str]:
    """Draw what machines did: proposals, votes, timeouts, final blocks, crashes."""
    for happening in shown:
        if happening.machine == EVERYBODY:
            continue
        x, y = axes.x(happening.at_us), axes.y(happening.machine)
        title = f"{happening.at_us / 1_000:.3f} ms, machine {happening.machine}: {happening.text}"
        match happening.kind:
            case "proposal" | "vote" | "timeout" | "tc":
                aside = 5 if happening.kind == "proposal" else 0  # its author's vote comes with it
                fill = KINDS[happening.kind][0]
                yield element("circle", cx=x - aside, cy=y + 6, r=3.5, fill=fill, title=title)
            case "final":
                top = y - _LANE / 2 - 12
                path = f"M{x:.1f} {top:.1f} l5 5 l-5 5 l-5 -5 z"
                yield element("path", d=path, fill="#000", title=title)
                yield text(f"h{happening.number}", x=x + 7, y=top + 8, font_size=10)
            case "crash" | "halt":
                path = f"M{x - 6:.1f} {y - 6:.1f} l12 12 m0 -12 l-12 12"
                yield element("path", d=path, stroke="#c00", stroke_width=3, title=title)
            case "start":
                path = f"M{x:.1f} {y - 7:.1f} l10 7 l-10 7 z"
                yield element("path", d=path, fill="#2a7", title=title)
            case "penalty" | "evidence":
                yield text("!", x=x, y=y + 4, fill="#c00", font_weight="bold", title=title)
            case _:
                pass


def _moments(shown: list[Happening], axes: _Axes) -> Iterator[str]:
    """Draw what concerns everybody: the end of the chaos, and the broken promise."""
    for happening in shown:
        if happening.machine != EVERYBODY or happening.kind not in {"calm", "broken", "fault"}:
            continue
        x = axes.x(happening.at_us)
        colour = {"calm": "#2a7", "broken": "#c00"}.get(happening.kind, "#a60")
        yield element(
            "line", x1=x, x2=x, y1=_TOP - 14, y2=axes.bottom + 8, stroke=colour, stroke_width=2,
            title=f"{happening.at_us / 1_000:.3f} ms: {happening.text}",
        )  # fmt: skip
        if happening.kind != "fault":
            y = _TOP - 17 if happening.kind == "broken" else axes.bottom + 34
            anchor = "end" if x > WIDTH / 2 else "start"
            yield text(
                happening.text[:110], x=x, y=y, fill=colour, text_anchor=anchor, font_weight="bold"
            )
