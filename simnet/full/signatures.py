"""Real signatures, each verified once in a run however many machines ask for it.

The same triple has the same verdict everywhere, which is what ZIP-215 is for.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import ledger.core.signing as seam
from ledger.core.signing import SignatureCheck

__all__ = ["remembered_verdicts"]


@contextmanager
def remembered_verdicts() -> Iterator[None]:
    """Remember the true verifier's verdicts within the context."""
    names = vars(seam)
    true_verifier = names["_verify_many"]
    verdicts: dict[SignatureCheck, bool] = {}

    def verify(checks: Sequence[SignatureCheck]) -> list[bool]:
        new = [check for check in checks if check not in verdicts]
        if new:
            verdicts.update(zip(new, true_verifier(new), strict=True))
        return [verdicts[check] for check in checks]

    names["_verify_many"] = verify
    try:
        yield
    finally:
        names["_verify_many"] = true_verifier
