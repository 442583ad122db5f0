"""What the ledger says about a credential: who may issue it, and whether it was revoked.

Pure functions over one snapshot of the lists. An issuer's right is an attribute of its entry: a
`credential` of FIWARE and DOME, or an `accreditation` of EBSI.
"""

import re
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.credential import Credential
from adapters.credentials.jose import parse_jws
from adapters.credentials.members import Json, Reader, read_json
from adapters.http import in_snapshot
from adapters.lists import Lists
from ledger.core.errors import Unavailable
from ledger.core.state import Rights
from ledger.core.trust.lists import ListEntry
from ledger.io.chain_reader import ChainReader
from pubsub.core.problems import Refusal as GatewayRefusal
from pubsub.io.state import Gateway

__all__ = [
    "GatewayLedger",
    "LedgerSnapshot",
    "LedgerView",
    "ListsView",
    "Snapshot",
    "issuer_type",
    "need_listed_issuer",
]

T = TypeVar("T")
ISSUERS: Final = "issuers"
REVOKED: Final = "revoked-credentials"
_PATH: Final = re.compile(r"\$((\.[A-Za-z0-9_-]{1,64}){1,8})\Z")


class ListsView(Protocol):
    """The trusted lists, as far as credentials are held against them."""

    def entry(self, list_name: str, id_: str) -> ListEntry | None:
        """Give an entry that stands, or None."""
        ...

    def children(self, list_name: str, id_: str) -> list[tuple[str, ListEntry]]:
        """Give the standing entries that belong to one: (what follows the slash, entry)."""
        ...


class LedgerSnapshot(Protocol):
    """The ledger as one question sees it; valid only while it is asked."""

    @property
    def lists(self) -> ListsView:
        """The trusted lists."""
        ...

    def rights(self, did: str) -> Rights | None:
        """Give what a participant may do, or None when the DID is no participant's."""
        ...


class Snapshot:
    """The ledger at one height, in this machine's store."""

    def __init__(self, reader: ChainReader, lists: Lists) -> None:
        self.lists = lists
        self._reader = reader

    def rights(self, did: str) -> Rights | None:
        """Give what a participant may do, or None when the DID is no participant's."""
        return self._reader.state(self._reader.stored_head(self._reader.head_height()).root).rights(
            did
        )


class LedgerView(Protocol):
    """Where the ledger is asked."""

    async def ask(self, question: Callable[[LedgerSnapshot], T]) -> T:
        """Ask in one snapshot. Raises Unavailable, and whatever the question raises."""
        ...


class GatewayLedger:
    """Asks the ledger through the gateway that this process is."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def ask(self, question: Callable[[LedgerSnapshot], T]) -> T:
        """Ask in one snapshot, in a reader thread."""
        try:
            return await in_snapshot(self._gateway, lambda *parts: question(Snapshot(*parts)))
        except GatewayRefusal as refusal:
            raise Unavailable(refusal.detail) from None


def need_listed_issuer(lists: ListsView, credential: Credential, now_ms: int) -> None:
    """Refuse a credential whose issuer is not listed for its types, or that was revoked.

    Every type must be covered: one for which the issuer is listed never carries another with it.

    Raises:
        AccessRefused: ISSUER_NOT_TRUSTED, ISSUER_NOT_FOR_TYPE, ISSUER_OUT_OF_TIME,
            CLAIM_NOT_ALLOWED or REVOKED.
    """
    entry = lists.entry(ISSUERS, credential.issuer)
    if entry is None:
        raise AccessRefused(Refusal.ISSUER_NOT_TRUSTED, "the issuer is not listed")
    if not entry.is_valid_at(now_ms):
        raise _out_of_time()
    attributes = [
        (name, attribute)
        for name, attribute in lists.children(ISSUERS, credential.issuer)
        if attribute.kind in ("credential", "accreditation")
    ]
    for type_ in credential.types:
        alone = credential._replace(types=(type_,))
        refusals = [_refusal(lists, *named, alone, now_ms) for named in attributes]
        if None not in refusals:
            raise max(filter(None, refusals), key=_precision, default=_not_for_type())
    if any(lists.entry(REVOKED, id_) is not None for id_ in credential.ids):
        raise AccessRefused(Refusal.REVOKED, "the credential was revoked on the ledger")


def issuer_type(lists: ListsView, did: str) -> frozenset[str]:
    """Give what an issuer is by the metadata of its standing attributes, such as "TAO"."""
    children = dict(lists.children(ISSUERS, did))
    names = (
        read_json(child.body, "metadata").get("issuerType")
        for name, child in children.items()
        if child.kind == "metadata" and name.removesuffix("/metadata") in children
    )
    return frozenset(name for name in names if isinstance(name, str))


def _out_of_time() -> AccessRefused:
    return AccessRefused(Refusal.ISSUER_OUT_OF_TIME, "the issuer is listed for another time")


def _not_for_type() -> AccessRefused:
    return AccessRefused(Refusal.ISSUER_NOT_FOR_TYPE, "the issuer is listed for other credentials")


def _precision(refusal: AccessRefused) -> int:
    """Rank refusals: the attribute that came nearest to granting says why it did not."""
    order = (Refusal.ISSUER_NOT_FOR_TYPE, Refusal.ISSUER_OUT_OF_TIME, Refusal.CLAIM_NOT_ALLOWED)
    return order.index(refusal.code) if refusal.code in order else -1


def _refusal(
    lists: ListsView, name: str, attribute: ListEntry, credential: Credential, now_ms: int
) -> AccessRefused | None:
    """Say why one attribute does not grant the credential, or None when it does."""
    try:
        if attribute.kind == "credential":
            _need_credential_attribute(read_json(attribute.body, "attribute"), credential, now_ms)
        else:
            metadata = lists.entry(ISSUERS, f"{credential.issuer}/{name}/metadata")
            _need_accreditation(attribute, metadata, credential, now_ms)
        if not attribute.is_valid_at(now_ms):
            raise _out_of_time()
    except AccessRefused as refusal:
        return refusal
    return None


def _need_credential_attribute(body: Json, credential: Credential, now_ms: int) -> None:
    reader = Reader(body, "attribute")
    if reader.text("credentialsType") not in credential.types:
        raise _not_for_type()
    if (span := reader.inner("validFor")) is not None:
        _need_span(span, now_ms)
    for claim in reader.inners("claims"):
        _need_claim(claim, credential.subject)


def _need_span(span: Reader, now_ms: int) -> None:
    is_early = any(now_ms < start for start in span.moments("from"))
    if is_early or any(now_ms >= end for end in span.moments("to")):
        raise _out_of_time()


def _need_claim(claim: Reader, subject: Json) -> None:
    """Refuse a claim whose value is none of the allowed ones; an absent claim is no fault."""
    path, name = claim.text("path"), claim.text("name") or ""
    value: object = subject.get(name)
    if path is not None:
        match = _PATH.match(path)
        if match is None:
            raise AccessRefused(Refusal.CLAIM_NOT_ALLOWED, "the list's path is not understood")
        value = subject
        for part in match[1].split(".")[1:]:
            value = value.get(part) if isinstance(value, dict) else None
    allowed = claim.members.get("allowedValues") or []
    rows = value if isinstance(value, list) else [value]
    if allowed and value is not None and not all(row in list(_rows(allowed)) for row in rows):
        raise AccessRefused(Refusal.CLAIM_NOT_ALLOWED, f"the claim {name!r} has another value")


def _rows(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _need_accreditation(
    attribute: ListEntry, metadata: ListEntry | None, credential: Credential, now_ms: int
) -> None:
    """Look into an accreditation, which the ledger's governance let into the list.

    Its own signature was the business of who listed it, and is not verified again.
    """
    issuer_kind = metadata and read_json(metadata.body, "metadata").get("issuerType")
    if issuer_kind not in ("RootTAO", "TAO", "TI"):
        raise _not_for_type()
    payload = parse_jws(attribute.body.decode(), "accreditation").payload
    claims = Reader(payload, "accreditation")
    body = claims.inner("vc") or claims
    subject = body.inner("credentialSubject")
    granted = subject.inners("accreditedFor") if subject else []
    if not any(credential.type in row.texts("types", "type") for row in granted):
        raise _not_for_type()
    ends = body.moments("validUntil", "expirationDate")
    starts = body.moments("validFrom")
    if any(now_ms >= end for end in ends) or any(now_ms < start for start in starts):
        raise _out_of_time()
