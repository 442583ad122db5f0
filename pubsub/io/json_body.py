"""JSON documents that clients send: read strictly, within the gateway's bounds for bodies."""

from typing import TypeVar

from starlette.requests import Request

from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.strict_json import decode_strictly
from pubsub.io.body import Bodies

__all__ = ["read_json_body"]

T = TypeVar("T")


async def read_json_body(bodies: Bodies, request: Request, bytes_max: int, type_: type[T]) -> T:
    """Read the body of a request as a value of ``type_``.

    Raises:
        Refusal: it is of another media type, too long or late.
        DecodeError: it is no such value.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refusal(HttpCode.UNSUPPORTED_MEDIA_TYPE, "send application/json")
    async with bodies.read(request, bytes_max) as body:
        return decode_strictly(body, type_)
