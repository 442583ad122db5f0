"""The Byzantine members that there are, by name."""

from typing import Final

from simnet.actor import Actor

__all__ = ["ACTORS", "TWIN"]

TWIN: Final = "twin"

ACTORS: Final[dict[str, type[Actor]]] = {TWIN: Actor}
