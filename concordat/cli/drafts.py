"""Events as a user writes them, before they are signed: options, or JSON objects.

The names are those of the CloudEvent that readers get. A file holds one object a line; a single
object or an array may also be spread over lines.
"""

from collections.abc import Iterator

import msgspec

from concordat.cli.failure import CommandFailed, ExitCode
from ledger.core.errors import RejectCode, Rejected
from ledger.core.event import OpenEntry
from pubsub.client.identity import Publisher

__all__ = ["Draft", "read_drafts", "sign_draft"]


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an event says.

    Attributes:
        topic: dot-separated topic name; type: what happened.
        subject: id of the entity; entityhash, previoushash: its digests, hexadecimal.
        dataref: URL of the content; datacontenttype: its media type.
        data: inline content: text as it is, any other JSON value as compact JSON.
        tags: labels for filters.
    """

    topic: str
    type: str
    subject: str = ""
    entityhash: str = ""
    previoushash: str = ""
    dataref: str = ""
    datacontenttype: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    tags: tuple[str, ...] = ()


_read_one = msgspec.json.Decoder(Draft).decode
_read_many = msgspec.json.Decoder(list[Draft]).decode


def read_drafts(text: bytes) -> Iterator[Draft]:
    """Read one object, an array of them, or one a line.

    Raises:
        CommandFailed: something else; the message says where.
    """
    try:
        yield from _read_many(text) if text.lstrip()[:1] == b"[" else [_read_one(text)]
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if text.lstrip()[:1] == b"[" or b"\n" not in text.strip():
            raise CommandFailed(f"not an event: {error}", ExitCode.USAGE) from None
    else:
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield _read_one(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise CommandFailed(f"line {number}: not an event: {error}", ExitCode.USAGE) from None


def sign_draft(publisher: Publisher, draft: Draft) -> OpenEntry:
    """Make the event and sign it.

    Raises:
        Rejected: a part is outside its limits.
    """
    try:
        return publisher.sign(
            draft.topic,
            draft.type,
            subject=draft.subject,
            entity_hash=bytes.fromhex(draft.entityhash),
            previous_hash=bytes.fromhex(draft.previoushash),
            location=draft.dataref,
            content_type=draft.datacontenttype,
            data=_content(draft.data),
            tags=draft.tags,
        )
    except ValueError as error:
        raise Rejected(RejectCode.MALFORMED, str(error)) from None


def _content(raw: msgspec.Raw) -> bytes:
    if not bytes(raw):
        return b""
    value = msgspec.json.decode(raw)
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)
