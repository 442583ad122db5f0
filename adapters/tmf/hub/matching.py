"""Tests shared by all registrations, and one document with what they said about it. Pure.

Owns no meaning of its own (that is ``adapters/tmf/query/matching.py``): a condition is compiled
once, however many registrations have it, and asked once per document.
"""

from collections.abc import Sequence
from weakref import WeakValueDictionary

from adapters.tmf.entity import JsonObject
from adapters.tmf.query.matching import Test, compiled, leaves_by_path
from adapters.tmf.query.model import Condition

__all__ = ["Judged", "Matchers"]


class Matchers:
    """Compiles conditions; equal ones become the same test while anybody uses it."""

    def __init__(self) -> None:
        self._tests: WeakValueDictionary[Condition, Test] = WeakValueDictionary()

    def tests(self, conditions: Sequence[Condition]) -> tuple[Test, ...]:
        """Give the tests of conditions that must all hold."""
        return tuple(self._test(condition) for condition in conditions)

    def _test(self, condition: Condition) -> Test:
        test = self._tests.get(condition)
        if test is None:
            test = self._tests[condition] = compiled(condition)
        return test


class Judged:
    """One document and what the tests said about it so far."""

    def __init__(self, document: JsonObject) -> None:
        self._leaves = leaves_by_path(document)
        self._said: dict[Test, bool] = {}

    def meets(self, tests: Sequence[Test]) -> bool:
        """Say whether all tests hold."""
        return all(map(self._holds, tests))

    def _holds(self, test: Test) -> bool:
        said = self._said.get(test)
        if said is None:
            said = self._said[test] = test(self._leaves)
        return said
