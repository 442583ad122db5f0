"""Rules broken on purpose: whoever drops one must be noticed by the runs.

A tester that finds nothing in a broken core is none. Every mutant is the smallest change that drops
its rule, in all machines of a run; ``python -m simnet.mutants`` hunts each of them down.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from simnet.mutants import bounds, data, liveness, membership, safety
from simnet.mutants.mutant import Mutant, Patch

__all__ = ["CANARY", "MUTANTS", "Mutant", "broken"]

CANARY: Final = Mutant("canary", "", "Nothing is broken: nobody may notice.", lambda _patch: None)

MUTANTS: Final[dict[str, Mutant]] = {
    **safety.registry.mutants,
    **liveness.registry.mutants,
    **data.registry.mutants,
    **bounds.registry.mutants,
    **membership.registry.mutants,
}


@contextmanager
def broken(name: str) -> Iterator[None]:
    """Break a rule within the context; "" breaks none.

    Raises:
        KeyError: there is no mutant of that name.
    """
    patch = Patch()
    if name:
        (CANARY if name == CANARY.name else MUTANTS[name]).apply(patch)
    try:
        yield
    finally:
        patch.undo()
