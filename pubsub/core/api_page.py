"""The reference page at ``/docs``: the OpenAPI document as HTML, without scripts or other hosts.

It works in a network without the Internet and under the strictest content security policy. Tools
read ``/openapi.json``.
"""

import html
from collections.abc import Sequence
from typing import Final

import msgspec

from pubsub.core.openapi import Json

__all__ = ["api_page"]

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h2{border-bottom:1px solid #ccc;margin-top:2.5rem}h3{margin-top:2rem}code,pre{font-size:.875rem}
pre{background:#f6f6f6;padding:.75rem;overflow:auto}table{border-collapse:collapse;width:100%}
td{border-top:1px solid #ddd;padding:.35rem .75rem .35rem 0;vertical-align:top}
.method{background:#246;color:#fff;padding:.1rem .5rem;border-radius:.25rem;font-size:.875rem}
"""


def api_page(document: Json) -> str:
    """Write the page of an OpenAPI document made by ``describe_api``."""
    info, paths = _object(document["info"]), _object(document["paths"])
    schemas = _object(_object(document["components"])["schemas"])
    sections: dict[str, list[str]] = {}
    for path, item in paths.items():
        for method, value in _object(item).items():
            operation = _object(value)
            tag = str(_list(operation["tags"])[0])
            sections.setdefault(tag, []).append(_operation(path, method, operation))
    body = "".join(f"<h2>{_text(tag)}</h2>{''.join(parts)}" for tag, parts in sections.items())
    types = "".join(
        f'<h3 id="{_text(name)}">{_text(name)}</h3>{_schema(_object(schema))}'
        for name, schema in schemas.items()
    )
    title = f"{_text(info['title'])} {_text(info['version'])}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{title}</h1>{_paragraphs(info['description'])}"
        f'<p>For tools: <a href="/openapi.json">/openapi.json</a></p>{body}<h2>Types</h2>{types}'
    )


def _operation(path: str, method: str, operation: Json) -> str:
    rows = [
        (f"{parameter['name']} ({parameter['in']})", parameter["description"])
        for parameter in map(_object, _list(operation.get("parameters", [])))
    ]
    body = _object(operation.get("requestBody", {}))
    bodies = "".join(
        f"<p>Body <code>{_text(media_type)}</code></p>{_example(_object(entry))}"
        for media_type, entry in _object(body.get("content", {})).items()
    )
    answers = "".join(
        _answer(status, _object(answer))
        for status, answer in _object(operation["responses"]).items()
    )
    return (
        f'<h3><span class="method">{_text(method.upper())}</span> <code>{_text(path)}</code></h3>'
        f"<p><b>{_text(operation['summary'])}</b></p>{_paragraphs(operation['description'])}"
        f"{_table(rows)}{bodies}<table>{answers}</table>"
    )


def _answer(status: str, answer: Json) -> str:
    content = _object(answer["content"])
    types = ", ".join(f"<code>{_text(name)}</code>" for name in content)
    examples = "".join(dict.fromkeys(_example(_object(entry)) for entry in content.values()))
    return (
        f"<tr><td><code>{_text(status)}</code><td>{_paragraphs(answer['description'])}{types}"
        f"{examples}"
    )


def _example(entry: Json) -> str:
    if "example" not in entry:
        return ""
    text = msgspec.json.format(msgspec.json.encode(entry["example"]), indent=2).decode()
    return f"<pre>{_text(text)}</pre>"


def _schema(schema: Json) -> str:
    rows = [
        (name, msgspec.json.encode(value).decode())
        for name, value in _object(schema.get("properties", {})).items()
    ]
    return f"{_paragraphs(schema.get('description', ''))}{_table(rows)}"


def _table(rows: Sequence[tuple[str, object]]) -> str:
    cells = "".join(f"<tr><td><code>{_text(a)}</code><td>{_text(b)}" for a, b in rows)
    return f"<table>{cells}</table>" if rows else ""


def _paragraphs(text: object) -> str:
    return "".join(f"<p>{_text(part)}</p>" for part in str(text).split("\n\n") if part)


def _text(value: object) -> str:
    return html.escape(str(value))


def _object(value: object) -> Json:
    assert isinstance(value, dict)
    return value


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
