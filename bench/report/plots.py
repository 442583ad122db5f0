"""Plots of results as small SVG files: the same figures give the same bytes.

Owns how plots look. Text stays text, so a file is small and can be searched.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["Plot", "Series", "render"]

_SIZE_INCHES = (7.2, 4.0)
_MARKED_MAX = 50
_COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#8d6a9f", "#e08e45", "#4a4a4a", "#00798c", "#b08968")


@dataclass(frozen=True, slots=True)
class Series:
    """One line, a point for each pair; or one bar in each group."""

    label: str
    xs: Sequence[float]
    ys: Sequence[float]


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture.

    Attributes:
        name: the end of its file's name.
        is_log: of the axes x and y.
        groups: names of the places on x; then bars are drawn, and the series' xs are ignored.
    """

    name: str
    title: str
    axes: tuple[str, str]
    series: Sequence[Series]
    is_log: tuple[bool, bool] = (False, False)
    groups: Sequence[str] = ()


def render(plot: Plot) -> bytes:
    """Draw a plot as SVG."""
    with mpl.rc_context():
        mpl.rc("svg", fonttype="none", hashsalt="concordat")
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.grid(color="#dddddd")
        axes.set_axisbelow(b=True)
        axes.spines[["top", "right"]].set_visible(False)
        if plot.groups:
            _draw_bars(axes, plot)
        else:
            _draw_lines(axes, plot)
        axes.set_yscale("log" if plot.is_log[1] else "linear")
        if not plot.is_log[1]:
            axes.set_ylim(bottom=0)
        axes.set_title(plot.title, loc="left", fontsize=11)
        axes.set_xlabel(plot.axes[0])
        axes.set_ylabel(plot.axes[1])
        if len(plot.series) > 1:
            axes.legend(frameon=False, fontsize=9)
        written = io.BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()


def _draw_bars(axes: Axes, plot: Plot) -> None:
    width = 0.8 / len(plot.series)
    for number, series in enumerate(plot.series):
        places = [place + number * width for place in range(len(plot.groups))]
        axes.bar(places, series.ys, width * 0.92, label=series.label, color=_COLOURS[number])
    middle = (len(plot.series) - 1) * width / 2
    axes.set_xticks([place + middle for place in range(len(plot.groups))], plot.groups)


def _draw_lines(axes: Axes, plot: Plot) -> None:
    for number, series in enumerate(plot.series):
        # Lines of many samples need no marks, and their files no room for them.
        mark = "o" if len(series.xs) <= _MARKED_MAX else ""
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(series.xs, series.ys, marker=mark, markersize=4, color=colour, label=series.label)
    axes.set_xscale("log" if plot.is_log[0] else "linear")
