"""The refusals of policies, and states as policies compare them."""

from http import HTTPStatus

from adapters.tmf.entity import JsonObject
from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.lifecycle import fold

__all__ = ["conflicting", "forbidden", "is_launched", "wrong"]


def forbidden(code: str, message: str) -> TmfError:
    """Give the refusal of something that the caller may not do."""
    return TmfError(HTTPStatus.FORBIDDEN, code, "Not allowed", message)


def wrong(code: str, message: str) -> TmfError:
    """Give the refusal of a document that a profile does not take."""
    return TmfError(HTTPStatus.BAD_REQUEST, code, "Not as the profile demands", message)


def conflicting(code: str, message: str) -> TmfError:
    """Give the refusal of a change that the entity's state forbids."""
    return TmfError(HTTPStatus.CONFLICT, code, "Not in this state", message)


def is_launched(document: JsonObject | None) -> bool:
    """Say whether a catalogue element is launched: visible to all, orderable, replicated."""
    status = None if document is None else document.get("lifecycleStatus")
    return isinstance(status, str) and fold(status) == "launched"
