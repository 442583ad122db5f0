"""Which release of the distribution runs."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

__all__ = ["VERSION"]


def _installed() -> str:
    try:
        return version("concordat")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0"


VERSION: Final = _installed()
