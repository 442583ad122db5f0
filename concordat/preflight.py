"""What must hold before a process of ours does anything that counts."""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ledger.core.errors import ConcordatError

__all__ = ["PreflightError", "require_assertions", "require_own_packages"]

_DISTRIBUTION = "concordat"
_PACKAGES = ("ledger", "consensus", "pubsub", "adapters")
_ROOT = Path(__file__).parents[1]


class PreflightError(ConcordatError):
    """This interpreter or installation cannot be trusted to run a member."""


def require_assertions() -> None:
    """Refuse ``python -O``, which removes the checks of invariants.

    Raises:
        PreflightError: assertions are off.
    """
    if not __debug__:
        raise PreflightError(
            "Concordat does not run with assertions turned off: start Python without -O and "
            "without PYTHONOPTIMIZE"
        )


def require_own_packages(providers: Mapping[str, Sequence[str]] | None = None) -> None:
    """Refuse an installation in which another distribution holds a package name of ours.

    ``ledger`` and ``pubsub`` are common names; two distributions that share one overwrite each
    other's files.

    Args:
        providers: distributions of each top-level package; None to ask the installation.

    Raises:
        PreflightError: a package comes from elsewhere; the message says from where.
    """
    known = importlib.metadata.packages_distributions() if providers is None else providers
    for package in _PACKAGES:
        others = sorted({name for name in known.get(package, ()) if name.lower() != _DISTRIBUTION})
        if others:
            raise PreflightError(
                f"the distribution {', '.join(others)} also provides the package {package!r}: "
                f"install Concordat into a virtual environment of its own, without it"
            )
        spec = importlib.util.find_spec(package)
        origin = Path(spec.origin) if spec is not None and spec.origin else None
        if origin is None or origin.parents[1] != _ROOT:
            raise PreflightError(
                f"the package {package!r} is loaded from {origin}, not from {_ROOT}: "
                f"something with that name comes first on {sys.path[:3]}"
            )
