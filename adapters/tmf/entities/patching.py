"""Patches: JSON merge patch (RFC 7396) and JSON patch (RFC 6902).

Owns how a document becomes another one. Never judges the outcome as an entity: that is validation.
A patch is taken apart only when its bounds were checked, and the document is measured after every
operation of a JSON patch: copies double, and values can be nested into each other.
"""

from http import HTTPStatus
from typing import Any, Final

import jsonpatch
import jsonpointer
import msgspec

from adapters.tmf.entity import JsonObject
from adapters.tmf.resources.bounds import check_bounds
from adapters.tmf.resources.problems import Place, malformed, refusal, spell
from ledger.core.limits import TMF_PATCH_OPERATIONS_MAX

__all__ = ["JsonPatch", "MergePatch", "Patch"]

_OPERATIONS: Final = frozenset({"add", "remove", "replace", "move", "copy", "test"})
_FAULTS: Final = (
    jsonpatch.JsonPatchException,
    jsonpointer.JsonPointerException,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
)
"""What the library raises for operations that do not fit the document."""


class MergePatch(msgspec.Struct, frozen=True):
    """A document of changes: what it has replaces, ``null`` removes, arrays are replaced whole."""

    changes: object

    def names(self) -> frozenset[str]:
        """Give the attributes of the first level that it touches. Raises TmfError 400."""
        return frozenset(self._checked())

    def apply(self, document: JsonObject) -> JsonObject:
        """Change a document, which is used up, and give the new one. Raises TmfError 400."""
        waiting = [(document, self._checked())]
        while waiting:
            target, changes = waiting.pop()
            for name, value in changes.items():
                if value is None:
                    target.pop(name, None)
                elif isinstance(value, dict):
                    if not isinstance(target.get(name), dict):
                        target[name] = {}
                    waiting.append((target[name], value))
                else:
                    target[name] = value
        return document

    def _checked(self) -> JsonObject:
        if not isinstance(self.changes, dict):
            raise malformed("invalid-patch", None, "of a merge patch is not a JSON object")
        check_bounds(self.changes)
        return self.changes


class JsonPatch(msgspec.Struct, frozen=True):
    """A list of operations, done in order, all or none."""

    operations: object

    def names(self) -> frozenset[str]:
        """Give the attributes of the first level that it touches. Raises TmfError 400."""
        found: set[str] = set()
        for index, operation in enumerate(self._checked()):
            if operation["op"] == "test":
                continue
            keys = ["path", "from"] if operation["op"] == "move" else ["path"]
            for key in keys:
                parts = _parts(operation.get(key), ((None, index), key))
                if not parts:
                    raise malformed("invalid-patch", (None, index), "is about the whole document")
                found.add(parts[0])
        return frozenset(found)

    def apply(self, document: JsonObject) -> JsonObject:
        """Change a document, which is used up, and give the new one.

        Raises:
            TmfError: 400; 409 when an operation "test" fails.
        """
        self.names()
        for index, operation in enumerate(self._checked()):
            _apply(document, operation, (None, index))
            check_bounds(document)
        return document

    def _checked(self) -> list[dict[str, Any]]:
        if not isinstance(self.operations, list):
            raise malformed("invalid-patch", None, "of a JSON patch is not an array")
        if len(self.operations) > TMF_PATCH_OPERATIONS_MAX:
            what = f"has more than {TMF_PATCH_OPERATIONS_MAX} operations"
            raise malformed("invalid-patch", None, what)
        check_bounds(self.operations)
        for index, operation in enumerate(self.operations):
            if not _is_operation(operation):
                raise malformed("invalid-patch", (None, index), "is no operation of RFC 6902")
        return self.operations


Patch = MergePatch | JsonPatch


def _is_operation(operation: object) -> bool:
    if not isinstance(operation, dict):
        return False
    name = operation.get("op")
    return isinstance(name, str) and name in _OPERATIONS


def _parts(pointer: object, place: Place) -> list[str]:
    if not isinstance(pointer, str):
        raise malformed("invalid-patch", place, "is not a JSON pointer")
    try:
        return list(jsonpointer.JsonPointer(pointer).parts)
    except jsonpointer.JsonPointerException:
        raise malformed("invalid-patch", place, "is not a JSON pointer") from None


def _apply(document: JsonObject, operation: dict[str, Any], place: Place) -> None:
    try:
        jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
    except jsonpatch.JsonPatchTestFailed:
        message = f"{spell(place)} tests for what is not there"
        raise refusal(HTTPStatus.CONFLICT, "patch-test-failed", message) from None
    except _FAULTS:
        raise malformed("invalid-patch", place, "does not fit the entity") from None
