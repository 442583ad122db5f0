"""JSON text to canonical bytes, thousands a second: what intake spends most of its time on.

Owns the way from one line of a stranger to the bytes that are hashed: ``entity.canonical`` after a
reading as strict as that of ``pubsub.core.strict_json`` (bounded depth, no name twice), which is
used itself whenever the cheap way cannot be shown to agree.
"""

import msgspec

from adapters.tmf.entity import JsonObject, canonical
from adapters.tmf.usage.limits import USAGE_RECORD_BYTES_MAX
from ledger.core.errors import DecodeError
from ledger.core.limits import GATEWAY_JSON_DEPTH_MAX
from pubsub.core.strict_json import require_strict_json

__all__ = ["canonical_bytes", "canonical_record"]

_decode = msgspec.json.Decoder().decode


def canonical_record(text: bytes) -> bytes:
    """Read one JSON object strictly and give its canonical bytes.

    Raises:
        DecodeError: it is too long, no JSON object, names a member twice, is nested too deeply, or
            holds a number that the canonical form cannot.
    """
    if len(text) > USAGE_RECORD_BYTES_MAX:
        raise DecodeError(f"a record may have {USAGE_RECORD_BYTES_MAX} bytes, not {len(text)}")
    if text.count(b"[") + text.count(b"{") > GATEWAY_JSON_DEPTH_MAX:
        require_strict_json(text)
    try:
        document = _decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DecodeError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise DecodeError("not a JSON object")
    body = canonical_bytes(document)
    # Each member that was named twice took its quotes along. Only an escape could replace them.
    if b"\\u" in text or body.count(b'"') != text.count(b'"'):
        require_strict_json(text)
    if len(body) > USAGE_RECORD_BYTES_MAX:
        raise DecodeError(f"a record may have {USAGE_RECORD_BYTES_MAX} bytes, not {len(body)}")
    return body


def canonical_bytes(document: JsonObject) -> bytes:
    """Encode a parsed object.

    Raises:
        DecodeError: it holds a number that the canonical form cannot.
    """
    try:
        return canonical(document)
    except ValueError as error:
        raise DecodeError(str(error)) from None
