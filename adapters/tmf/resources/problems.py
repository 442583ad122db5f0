"""How a place in a document is named, and the refusals that name one.

A place is a linked chain from the value up to the document, so that no text is built for values
that are sound. Its names are within bounds: whoever names a place has checked what holds it.
"""

from http import HTTPStatus
from typing import TypeAlias

from adapters.tmf.refusal import TmfError

__all__ = ["Place", "malformed", "refusal", "spell"]

Place: TypeAlias = "tuple[Place, str | int] | None"
"""Where a value stands: the place of what holds it and its name or index; None for the document."""


def spell(place: Place) -> str:
    """Write a place as clients know it: ``productOrderItem[0].action``."""
    words: list[str] = []
    while place is not None:
        place, key = place
        words.append(f"[{key}]" if isinstance(key, int) else f".{key}")
    return "".join(reversed(words)).removeprefix(".") or "the document"


def malformed(code: str, place: Place, what: str) -> TmfError:
    """Refuse a document because of what stands at a place; ``what`` goes on after its name."""
    return refusal(HTTPStatus.BAD_REQUEST, code, f"{spell(place)} {what}")


def refusal(status: HTTPStatus, code: str, message: str) -> TmfError:
    """Build a refusal whose reason is its code in words."""
    return TmfError(status, code, code.replace("-", " ").capitalize(), message)
