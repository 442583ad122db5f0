"""The page around a picture: what run it is, the legend, the faults. No script, no other file."""

from html import escape
from typing import Final

from simnet.picture.scene import KINDS, draw_scene
from simnet.picture.window import Window, flights_in
from simnet.recording import Record

__all__ = ["draw_page"]

_FAULTS_LISTED_MAX: Final = 60

_STYLE: Final = """
body { font: 13px sans-serif; margin: 16px; max-width: 1400px; color: #222; background: #fff }
h1 { font-size: 17px; margin: 0 0 4px } p { margin: 2px 0 8px }
.legend { margin: 6px 0 } .legend label, .legend span { margin-right: 14px; white-space: nowrap }
.swatch { display: inline-block; width: 18px; height: 4px; vertical-align: middle }
.broken { color: #c00; font-weight: bold } svg { background: #fff; border: 1px solid #ccc }
.flights line:hover, .flights path:hover { stroke-width: 3; opacity: 1 }
code { font-size: 12px } ul { columns: 3; font: 12px monospace; padding-left: 18px }
"""


def draw_page(record: Record, window: Window) -> str:
    """Draw a part of a run as one self-contained HTML page."""
    scenario, outcome = record.outcome.plan.scenario, record.outcome
    hidden = "\n".join(
        f"body:has(#show-{kind}:not(:checked)) .{kind} {{ display: none }}" for kind in KINDS
    )
    end = (
        f'<p class="broken">{escape(outcome.plan.failure)}</p>'
        if outcome.promise
        else f"<p>Every promise was kept; highest final block: {outcome.height}.</p>"
    )
    actors = ", ".join(f"{name} at {index}" for index, name in scenario.actors) or "none"
    about = (
        f"{scenario.validators} members, {scenario.tier} tier, Byzantine: {actors}"
        + (f", rule broken on purpose: {scenario.mutant}" if scenario.mutant else "")
        + f"; drawn: {window.from_us / 1_000:,.1f} to {window.until_us / 1_000:,.1f} ms of "
        f"{record.end_us / 1_000:,.1f} ms, {len(flights_in(record, window))} of "
        f"{len(record.flights)} messages"
    )
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        f"<title>seed {scenario.seed}</title><style>{_STYLE}{hidden}</style></head><body>"
        f"<h1>Seed {scenario.seed}</h1>{end}<p>{escape(about)}</p>"
        f"{_legend()}{draw_scene(record, window)}{_faults(record)}</body></html>\n"
    )


def _legend() -> str:
    """Say what colours and signs mean; a class of messages can be hidden."""
    kinds = "".join(
        f'<label><input type=checkbox id="show-{kind}" checked>'
        f'<span class=swatch style="background:{colour}"></span>{escape(words)}</label>'
        for kind, (colour, words) in KINDS.items()
    )
    signs = (
        "<span>numbers in bands: rounds</span><span>&#9670; final block</span>"
        "<span>&#9679; signed and sent</span>"
        '<span style="color:#2a7">&#9654; start</span>'
        '<span style="color:#c00">&#10005; crash or halt, hatched while down</span>'
        "<span>dashed: held back</span><span>&times; at its tail: never arrived</span>"
        '<span style="background:#F0E44270">partition</span>'
    )
    return f"<div class=legend>{kinds}</div><div class=legend>{signs}</div>"


def _faults(record: Record) -> str:
    faults = sorted(record.outcome.plan.faults.items())
    rows = "".join(f"<li>{escape(f'{key}: {value}')}</li>" for key, value in faults)
    if len(faults) > _FAULTS_LISTED_MAX:
        rows = f"<li>{len(faults)} of them; see the plan file</li>"
    return f"<p>Faults of the plan:</p><ul>{rows or '<li>none</li>'}</ul>"
