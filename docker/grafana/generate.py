"""Writes the Grafana dashboards of ``dashboards.yml`` into ``dashboards/``.

    python docker/grafana/generate.py

Owns layout and look, which all panels share. A test compares the files with what this would write.
"""  # noqa: INP001 - a script beside its results

import json
from itertools import count
from pathlib import Path
from typing import Any, Final

import yaml

__all__ = ["FOLDER", "rendered"]

Json = dict[str, Any]

FOLDER: Final = Path(__file__).parent / "dashboards"
_CONTENT: Final = Path(__file__).parent / "dashboards.yml"
_SOURCE: Final = {"type": "prometheus", "uid": "concordat-prometheus"}
_COLUMNS: Final = 24
_STAT_SIZE: Final = (4, 4)
_CHART_SIZE: Final = (12, 8)
_CHOSEN: Final = '{member=~"$member"}'


def rendered() -> dict[str, str]:
    """Give the text of each dashboard's file, by the file's name."""
    content = yaml.safe_load(_CONTENT.read_text())
    return {f"{one['uid']}.json": json.dumps(_dashboard(one), indent=1) + "\n" for one in content}


def _dashboard(content: Json) -> Json:
    return {
        "uid": content["uid"],
        "title": content["title"],
        "description": content["about"],
        "tags": ["concordat"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "links": [_links()],
        "templating": {"list": [_member(many=content["many"])]},
        "panels": _placed(content["panels"]),
    }


def _links() -> Json:
    return {
        "type": "dashboards",
        "title": "Concordat",
        "tags": ["concordat"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
    }


def _member(*, many: bool) -> Json:
    query = "label_values(concordat_gateway_log_size, member)"
    return {
        "name": "member",
        "label": "Member",
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "member"},
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
        **({"allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}} if many else {}),
    }


def _placed(parts: list[Json]) -> list[Json]:
    """Lay panels out from left to right, line by line; a row is a heading over panels."""
    placed: list[Json] = []
    ids, x, y, line = count(1), 0, 0, 0
    for part in parts:
        if "row" in part:
            width, height = _COLUMNS, 1
        else:
            width, height = _STAT_SIZE if "kind" in part else _CHART_SIZE
        if x + width > _COLUMNS or height != line:
            x, y, line = 0, y + line, height
        place = {"x": x, "y": y, "w": width, "h": height}
        body = _row(part["row"]) if "row" in part else _panel(part)
        placed.append({"id": next(ids), "gridPos": place, **body})
        x += width
    return placed


def _row(title: str) -> Json:
    return {"type": "row", "title": title, "collapsed": False, "panels": []}


def _panel(part: Json) -> Json:
    steps = [{"value": None, "color": part.get("first", "green")}]
    steps += [{"value": value, "color": colour} for value, colour in part.get("steps", ())]
    look: Json = {"unit": part["unit"], "thresholds": {"mode": "absolute", "steps": steps}}
    kind = part.get("kind", "timeseries")
    if kind == "timeseries":
        look |= {"min": 0, "custom": _lines(part)}
    return {
        "type": kind,
        "title": part["title"],
        "description": part.get("about", ""),
        "datasource": _SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": _with_members(query),
                "legendFormat": legend,
            }
            for number, (legend, query) in enumerate(part["queries"].items())
        ],
        "fieldConfig": {"defaults": look, "overrides": []},
        "options": _stat_options(part) if kind == "stat" else _chart_options(),
    }


def _with_members(query: str) -> str:
    """Put the chosen members where ``$m`` stands; ``$member`` is Grafana's own."""
    return query.replace("$member", "\0").replace("$m", _CHOSEN).replace("\0", "$member")


def _lines(part: Json) -> Json:
    is_stacked = part.get("stacked", False)
    return {
        "lineWidth": 1,
        "fillOpacity": 20 if is_stacked else 5,
        "showPoints": "never",
        "stacking": {"mode": "normal" if is_stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if "steps" in part else "off"},
    }


def _chart_options() -> Json:
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _stat_options(part: Json) -> Json:
    return {
        "colorMode": "background" if "steps" in part else "value",
        "graphMode": "area",
        "textMode": "name" if part.get("shows_name") else "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in rendered().items():
        (FOLDER / name).write_text(text)
