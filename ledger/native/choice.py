"""Which instruction set the kernels may use: the best one here, or the one that is asked for.

The environment variable CONCORDAT_NATIVE caps it for the whole process, for tests and for
comparing. Every choice gives the same results.
"""

import os

__all__ = ["LEVELS", "chosen"]

LEVELS = ("portable", "shani", "avx2", "avx512ifma")


def chosen(available: tuple[str, ...]) -> str:
    """Pick the best of a kernel's implementations that CONCORDAT_NATIVE allows.

    Args:
        available: names from LEVELS, slowest first; "portable" is always one of them.

    Raises:
        ImportError: CONCORDAT_NATIVE names no level.
    """
    cap = os.environ.get("CONCORDAT_NATIVE") or LEVELS[-1]
    if cap not in LEVELS:
        raise ImportError(f"CONCORDAT_NATIVE={cap}: not one of {', '.join(LEVELS)}")
    return [name for name in available if LEVELS.index(name) <= LEVELS.index(cap)][-1]
