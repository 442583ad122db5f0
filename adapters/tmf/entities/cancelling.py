"""Cancelling a product order: what a task does to its order, and what becomes of the task.

A ``cancelProductOrder`` asks. A final order cannot be cancelled: the task ends with an error. Any
other order goes to ``assessingCancellation``, and whoever fulfils it answers by its next state:
``pendingCancellation`` puts the task to work, ``cancelled`` ends it well, anything else denies it.
An order that is not known here is nobody's to change: the task stays as it was made.

Owns these rules as pure functions; reading and writing is the service's.
"""

from typing import Final

from adapters.tmf.entity import JsonObject
from adapters.tmf.resources.lifecycle import ORDER, fold

__all__ = ["TASK", "answered", "asked", "order_id"]

TASK: Final = "cancelProductOrder"

_OPEN: Final = frozenset({"acknowledged", "inprogress"})
_UNDER_WAY: Final = frozenset({"assessingcancellation", "pendingcancellation"})


def order_id(task: JsonObject) -> str:
    """Give the id of the order that a task is about; empty for none."""
    named = task.get("productOrder")
    id_ = named.get("id") if isinstance(named, dict) else None
    return id_ if isinstance(id_, str) else ""


def asked(task: JsonObject, order: JsonObject) -> JsonObject | None:
    """Give the order as the new task makes it; None when it stays.

    A task about a final order is changed: it ends with an error.
    """
    state = _state(order)
    if ORDER.is_final(state):
        task["state"] = "terminatedWithError"
        return None
    if state in _UNDER_WAY:
        return None
    changed = {**order, "state": "assessingCancellation"}
    if isinstance(task.get("cancellationReason"), str):
        changed["cancellationReason"] = task["cancellationReason"]
    return changed


def answered(
    task: JsonObject, before: JsonObject, after: JsonObject, now: str
) -> JsonObject | None:
    """Give the task as a change of its order makes it; None when it stays.

    Args:
        now: date-time of the change.
    """
    answer = _answer(_state(before), _state(after))
    if not answer or _state(task) not in _OPEN or _state(task) == fold(answer):
        return None
    changed = {**task, "state": answer}
    if answer == "done":
        changed["effectiveCancellationDate"] = now
    return changed


def _answer(before: str, after: str) -> str:
    if after == "cancelled":
        return "done"
    if after == "pendingcancellation":
        return "inProgress"
    if after != "assessingcancellation" and (before in _UNDER_WAY or ORDER.is_final(after)):
        return "terminatedWithError"
    return ""


def _state(document: JsonObject) -> str:
    state = document.get("state")
    return fold(state) if isinstance(state, str) else ""
