"""Verifies credentials and presentations: the order of all checks stands here.

Owns that order (see docs/adapters/credentials.md). What costs nothing comes first, what goes
outside comes last, and nothing goes outside for an issuer that is not listed.
"""

from collections.abc import Callable
from typing import NamedTuple

from adapters.credentials import status
from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.credential import Credential, StatusEntry, read_credential
from adapters.credentials.did_keys import ASSERTION, AUTHENTICATION
from adapters.credentials.fetching import Remembered
from adapters.credentials.jose import VerifyingKey, key_of_jwk, parse_jws, verify_jws
from adapters.credentials.keys import KeyFinder
from adapters.credentials.members import Json, Reader
from adapters.credentials.presentation import (
    Presentation,
    need_audience,
    need_time,
    read_presentation,
)
from adapters.credentials.recovery import recovered_key
from adapters.credentials.replay import ReplayMemory
from adapters.credentials.trust import LedgerView, need_listed_issuer
from pubsub.core.compact_jws import CompactJws

__all__ = ["Checker", "Expected", "Presented"]


class Expected(NamedTuple):
    """What a presentation must be.

    Attributes:
        audiences: it must name one of them.
        types: every credential must be of one of these types; None for any.
        nonce: that we gave out, or None when the holder chooses one.
        needs_credential: at least one credential must be in it.
        onboards: the holder's DID is not registered yet; its key is the one that `kid` names by
            its thumbprint. Then only the credential says who the holder is.
    """

    audiences: frozenset[str]
    types: frozenset[str] | None = None
    nonce: str | None = None
    needs_credential: bool = True
    onboards: bool = False


class Presented(NamedTuple):
    """A verified presentation."""

    holder: str
    credentials: tuple[Credential, ...]
    key: VerifyingKey


class Checker:
    """Verifies against one ledger, with one memory of what was used."""

    def __init__(
        self,
        ledger: LedgerView,
        keys: KeyFinder,
        lists: Remembered,
        replay: ReplayMemory,
        clock_ms: Callable[[], int],
    ) -> None:
        self.clock_ms = clock_ms
        self._ledger = ledger
        self._keys = keys
        self._status_lists = lists
        self._replay = replay

    async def credential(self, token: str, types: frozenset[str] | None = None) -> Credential:
        """Verify a credential.

        Raises:
            AccessRefused: the first check that failed.
            Unavailable: a key or status list cannot be fetched now.
        """
        jws = parse_jws(token, "credential")
        credential = read_credential(jws.payload)
        await self.verify(jws, credential, types)
        return credential

    async def verify(
        self, jws: CompactJws, credential: Credential, types: frozenset[str] | None = None
    ) -> None:
        """Verify a credential that was read from its token. Raises as :meth:`credential`."""
        now_ms = self.clock_ms()
        if types is not None and types.isdisjoint(credential.types):
            raise AccessRefused(Refusal.CREDENTIAL_TYPE, f"asked for {', '.join(sorted(types))}")
        credential.need_time(now_ms)
        await self.on_ledger(credential)
        key = await self._keys.key(credential.issuer, jws, ASSERTION, now_ms)
        verify_jws(jws, key, "credential")
        await self.statuses(credential)

    async def on_ledger(self, credential: Credential) -> None:
        """Check issuer and revocation on the ledger as it is now."""
        now_ms = self.clock_ms()
        await self._ledger.ask(lambda ledger: need_listed_issuer(ledger.lists, credential, now_ms))

    async def credential_body(self, body: Json) -> Credential:
        """Check everything but the signature of a credential that an access token holds."""
        credential = read_credential({"vc": body})
        credential.need_time(self.clock_ms())
        await self.on_ledger(credential)
        await self.statuses(credential)
        return credential

    async def presentation(self, token: str, expected: Expected) -> Presented:
        """Verify a presentation and every credential in it; it cannot be used again.

        Raises:
            AccessRefused: the first check that failed.
            Unavailable: a key or status list cannot be fetched now.
        """
        jws = parse_jws(token, "presentation")
        presentation = read_presentation(jws)
        need_audience(jws, expected.audiences, "presentation")
        now_ms = self.clock_ms()
        need_time(jws, now_ms, "presentation")
        if not presentation.nonce and "jti" not in jws.payload:
            raise AccessRefused(Refusal.NONCE, "the presentation has neither nonce nor jti")
        if expected.nonce is not None and presentation.nonce != expected.nonce:
            raise AccessRefused(Refusal.NONCE, "the presentation has another nonce")
        presented = await self.bound(jws, presentation, expected)
        names = [jws.digest]
        if presentation.nonce:
            names.append(f"{presentation.holder} {presentation.nonce}".encode())
        self.use_once(*names)
        return presented

    async def bound(
        self, jws: CompactJws, presentation: Presentation, expected: Expected
    ) -> Presented:
        """Verify the credentials of a presentation, then that their holder signed it."""
        if expected.needs_credential and not presentation.credentials:
            raise AccessRefused(Refusal.CREDENTIAL_TYPE, "the presentation holds no credential")
        found = [await self.credential(token, expected.types) for token in presentation.credentials]
        key = await self._holder_key(jws, presentation.holder, found, expected)
        verify_jws(jws, key, "presentation")
        return Presented(presentation.holder, tuple(found), key)

    def use_once(self, *names: bytes) -> None:
        """Refuse what was used within the last minutes. Raises REPLAYED or BUSY."""
        self._replay.use(*names, now_ms=self.clock_ms())

    async def _holder_key(
        self, jws: CompactJws, holder: str, credentials: list[Credential], expected: Expected
    ) -> VerifyingKey:
        """Give the holder's own key, if all credentials are bound to it or to the holder."""
        for credential in credentials:
            if credential.holder_key is None and holder not in credential.holders:
                raise AccessRefused(Refusal.HOLDER, "the credential was given to somebody else")
        if expected.onboards:
            kid = Reader(jws.header, "header").need_text("kid")
            key = recovered_key(jws, kid.rpartition("#")[2])
        else:
            key = await self._keys.key(holder, jws, AUTHENTICATION, self.clock_ms())
        for credential in credentials:
            bound = credential.holder_key
            if bound is not None and key_of_jwk(bound).thumbprint != key.thumbprint:
                raise AccessRefused(Refusal.HOLDER, "the credential is bound to another key")
        return key

    async def statuses(self, credential: Credential) -> None:
        """Check the status lists that the issuer publishes."""
        for entry in credential.status:
            if entry.purpose not in ("revocation", "suspension"):
                continue
            try:
                is_revoked = await self._is_revoked(credential, entry)
            except AccessRefused as refusal:
                raise AccessRefused(Refusal.STATUS_UNKNOWN, refusal.detail) from None
            if is_revoked:
                raise AccessRefused(Refusal.REVOKED, "the issuer's status list says so")

    async def _is_revoked(self, credential: Credential, entry: StatusEntry) -> bool:
        if entry.type == status.PLAIN_LIST:
            return status.is_in_plain_list(await self._status_lists.fetch(entry.url), entry)
        if entry.type not in status.BIT_LISTS:
            raise AccessRefused(Refusal.STATUS_UNKNOWN, f"unknown type {entry.type!r}")
        jws = status.parse_status_list(await self._status_lists.fetch(entry.url))
        if status.list_issuer(jws) != credential.issuer:
            raise AccessRefused(Refusal.STATUS_UNKNOWN, "the list is somebody else's")
        now_ms = self.clock_ms()
        key = await self._keys.key(credential.issuer, jws, ASSERTION, now_ms)
        verify_jws(jws, key, "status list")
        return status.is_set(status.unpack(jws, entry, now_ms), entry)
