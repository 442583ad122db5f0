"""The few SVG elements that a picture needs, as text."""

from html import escape

__all__ = ["element", "group", "text"]

Attribute = str | int | float


def element(name: str, *, title: str = "", **attributes: Attribute) -> str:
    """Write an element; a title is shown when the pointer rests on it. ``_`` in names is ``-``."""
    opening = f"<{name}{_attributes(attributes)}"
    return f"{opening}><title>{escape(title)}</title></{name}>" if title else f"{opening}/>"


def text(content: str, *, title: str = "", **attributes: Attribute) -> str:
    """Write a text element."""
    hint = f"<title>{escape(title)}</title>" if title else ""
    return f"<text{_attributes(attributes)}>{hint}{escape(content)}</text>"


def group(parts: list[str], **attributes: Attribute) -> str:
    """Write a group."""
    return f"<g{_attributes(attributes)}>" + "\n".join(parts) + "</g>"


def _attributes(attributes: dict[str, Attribute]) -> str:
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_number(value)}"'
        for name, value in attributes.items()
    )


def _number(value: Attribute) -> str:
    return f"{value:.1f}" if isinstance(value, float) else escape(str(value))
