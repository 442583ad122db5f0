"""What a request brings: its media type, its body as JSON, its query.

Owns the rule that a body is strict JSON: no member twice, bounded depth, and bounded bytes.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.requests import Request

from adapters.tmf.api.errors import unsupported_media
from adapters.tmf.entities.patching import JsonPatch, MergePatch, Patch
from ledger.core.errors import DecodeError
from ledger.core.limits import TMF_BODY_BYTES_MAX
from pubsub.core.strict_json import require_strict_json
from pubsub.io.body import Bodies

__all__ = ["read_document", "read_patch"]

_JSON: Final = "application/json"
_PATCHES: Final[Mapping[str, type[MergePatch] | type[JsonPatch]]] = {
    _JSON: MergePatch,
    "application/merge-patch+json": MergePatch,
    "application/json-patch+json": JsonPatch,
}
_UTF_8: Final = frozenset({"", "utf-8", "utf8", "us-ascii"})


async def read_document(bodies: Bodies, request: Request) -> object:
    """Read the body of a POST.

    Raises:
        TmfError: 415, it is not said to be JSON.
        pubsub.core.problems.Refusal: it is too long, late or encoded.
        DecodeError: it is not JSON.
    """
    _require_type(request, (_JSON,), "accept-post")
    return await _read(bodies, request)


async def read_patch(bodies: Bodies, request: Request) -> Patch:
    """Read the body of a PATCH; plain JSON is a merge patch. Raises as :func:`read_document`."""
    media_type = _require_type(request, tuple(_PATCHES), "accept-patch")
    return _PATCHES[media_type](await _read(bodies, request))


async def _read(bodies: Bodies, request: Request) -> object:
    async with bodies.read(request, TMF_BODY_BYTES_MAX) as body:
        require_strict_json(body)
        try:
            value: object = msgspec.json.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise DecodeError(f"not JSON: {error}") from None
        return value


def _require_type(request: Request, accepted: tuple[str, ...], header: str) -> str:
    """Give the media type of the body. Raises TmfError 415."""
    sent = request.headers.get("content-type", "")
    media_type, _, parameters = sent.partition(";")
    media_type = media_type.strip().lower()
    charset = ""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
    if media_type not in accepted or charset not in _UTF_8:
        raise unsupported_media(sent, accepted, header)
    return media_type
