"""Where published specifications and vectors of others stand: beside the checkout, never in it.

They are not ours to hand on. Tests that compare with them are in files of their own, which are
collected only where the data are; `tests/adapters/conftest.py` says so at the head of a run.
"""

from pathlib import Path

__all__ = ["REFERENCE"]

REFERENCE = Path(__file__).parents[3] / "shared"
