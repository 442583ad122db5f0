"""The access token with which this node asks Desmoses: got as a machine with a credential.

Owns the client assertion of DOME's verifier (a JWT around a presentation of the node's
LEARCredentialMachine, all signed with the machine's key) and the token until it ends.
"""

import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlencode
from uuid import uuid4

import anyio
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec import Meta

from adapters.credentials.grants import ASSERTION_TYPE, CLIENT_CREDENTIALS
from adapters.credentials.jose import encode_base64url, jwk_of
from adapters.tmf.replication.native import Carrier
from ledger.core.errors import Unavailable
from ledger.core.limits import DESMOS_TOKEN_EARLY_MS, FETCH_BYTES_MAX, PRESENTATION_LIFE_MS_MAX
from pubsub.io.egress import EgressError, Errand

__all__ = ["Machine", "MachineTokens"]

_COORDINATE_BYTES: Final = 32
_CONTEXT: Final = "https://www.w3.org/ns/credentials/v2"
_OK: Final = 200


class Machine(NamedTuple):
    """Who asks for tokens, and where.

    Attributes:
        client_id: organisation identifier, or the holder's DID.
        holder: did:key of ``key``, whom the credential was given to.
        credential: LEARCredentialMachine, a compact JWS.
        key: on the curve P-256.
        token_url: token endpoint of the verifier.
        audience: the verifier's own name.
    """

    client_id: str
    holder: str
    credential: str
    key: ec.EllipticCurvePrivateKey
    token_url: str
    audience: str


class _Granted(msgspec.Struct, frozen=True):
    access_token: Annotated[str, Meta(min_length=1)]
    expires_in: Annotated[int, Meta(ge=0)]


class MachineTokens:
    """Gives a token that is valid now; one at a time is fetched."""

    def __init__(self, machine: Machine, carrier: Carrier, now_ms: Callable[[], int]) -> None:
        self._machine = machine
        self._carrier = carrier
        self._now_ms = now_ms
        self._lock = anyio.Lock()
        self._token, self._until_ms = "", 0

    async def token(self) -> str:
        """Give an access token.

        Raises:
            Unavailable: the verifier gives none now.
        """
        async with self._lock:
            if self._now_ms() >= self._until_ms:
                now_ms = self._now_ms()
                granted = await self._fetch()
                self._token = granted.access_token
                self._until_ms = now_ms + granted.expires_in * 1000 - DESMOS_TOKEN_EARLY_MS
            return self._token

    async def _fetch(self) -> _Granted:
        form = {
            "grant_type": CLIENT_CREDENTIALS,
            "client_id": self._machine.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": _assertion(self._machine, self._now_ms()),
        }
        headers = {"content-type": "application/x-www-form-urlencoded"}
        url, body = self._machine.token_url, urlencode(form).encode()
        errand = Errand("POST", url, FETCH_BYTES_MAX, headers, body, wants_answer=True)
        try:
            reply = await self._carrier.run(errand)
        except EgressError as error:
            raise Unavailable(f"the verifier may not be called: {error}") from None
        if reply.status != _OK:
            raise Unavailable(f"the verifier answered {reply.status}")
        try:
            return msgspec.json.decode(reply.body or b"", type=_Granted)
        except msgspec.MsgspecError as error:
            raise Unavailable(f"the verifier gave no token: {error}") from None


def _assertion(machine: Machine, now_ms: int) -> str:
    """Make the client's assertion. Its times are in milliseconds, as Desmos' are."""
    times = {"iat": now_ms, "exp": now_ms + PRESENTATION_LIFE_MS_MAX}
    presentation = {
        "@context": [_CONTEXT],
        "holder": machine.holder,
        "id": f"urn:uuid:{uuid4()}",
        "type": ["VerifiablePresentation"],
        "verifiableCredential": [machine.credential],
    }
    jwk = {"jwk": jwk_of(machine.key.public_key())}
    vp_token = _signed({**jwk}, {"iss": machine.holder, **times, "vp": presentation}, machine.key)
    claims = {
        "iss": machine.client_id,
        "sub": machine.client_id,
        "aud": machine.audience,
        "vp_token": b64encode(vp_token.encode()).decode(),
        "jti": secrets.token_urlsafe(24),
        **times,
    }
    return _signed({}, claims, machine.key)


def _signed(
    header: Mapping[str, object], claims: Mapping[str, object], key: ec.EllipticCurvePrivateKey
) -> str:
    parts = ({"alg": "ES256", "typ": "JWT", **header}, claims)
    signed = ".".join(encode_base64url(msgspec.json.encode(part)) for part in parts)
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
    signature = r.to_bytes(_COORDINATE_BYTES) + s.to_bytes(_COORDINATE_BYTES)
    return f"{signed}.{encode_base64url(signature)}"
