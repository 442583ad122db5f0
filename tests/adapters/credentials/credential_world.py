"""Issuers, holders, certificates and a ledger for the tests of credentials.

All tokens are made by joserfc, a JOSE library that the code under test does not use.
"""

import datetime as dt
import json
import warnings
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ObjectIdentifier
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from adapters.credentials.certificates import TrustAnchors
from adapters.credentials.checker import Checker
from adapters.credentials.fetching import Remembered
from adapters.credentials.keys import KeyFinder
from adapters.credentials.replay import ReplayMemory
from adapters.credentials.trust import Snapshot
from adapters.ebsi.identifiers import base58_encode
from adapters.lists import Lists
from ledger.core.errors import Unavailable
from ledger.core.execute import execute_block
from ledger.core.trust.operations import ChangeList, PutEntry, RevokeEntry
from ledger.io.chain_store import ChainStore
from tests.ledger.sample_network import batch, block_after
from tests.ledger.trust.test_application import operation_entry

T = TypeVar("T")
Key = ECKey | OKPKey | RSAKey
NOW_MS = 1_790_000_500_000
NOW_S = NOW_MS // 1000
BASE = "https://node.example"
ISSUER = "did:elsi:VATES-A15456585"
OTHER = "did:elsi:VATES-B60645900"
MANDATOR = "VATES-C12345678"
ALGORITHMS = ["ES256", "ES256K", "EdDSA", "Ed25519", "RS256"]
ORGANIZATION_IDENTIFIER = ObjectIdentifier("2.5.4.97")
CURVES = {"P-256": b"\x80\x24", "secp256k1": b"\xe7\x01"}


def day(offset: int) -> str:
    """Give the RFC 3339 text of a day before or after now."""
    when = dt.datetime.fromtimestamp(NOW_S, dt.UTC) + dt.timedelta(days=offset)
    return when.isoformat().replace("+00:00", "Z")


# --- keys and tokens ------------------------------------------------------------------------


def new_key(kind: str = "P-256") -> Key:
    """Make a private key: a curve's name or RSA."""
    if kind == "RSA":
        return RSAKey.generate_key(2048, private=True)
    if kind == "Ed25519":
        return OKPKey.generate_key("Ed25519", private=True)
    return ECKey.generate_key(kind, private=True)


def sign(payload: Mapping[str, Any], key: Key, alg: str = "ES256", **header: object) -> str:
    """Make a compact JWS with joserfc."""
    registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    body = json.dumps(payload).encode()
    protected = {"alg": alg, "typ": "JWT"} | header
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # EdDSA has a new name, RFC 9864
        return jws.serialize_compact(protected, body, key, registry=registry)


def did_key(key: Key) -> str:
    """Give the did:key of an elliptic curve key."""
    public = key.as_dict(private=False)
    if public["crv"] == "Ed25519":
        raw = b"\xed\x01" + key.public_key.public_bytes_raw()  # type: ignore[union-attr] # OKP
    else:
        assert isinstance(key, ECKey)
        numbers: Any = key.public_key.public_numbers()
        raw = CURVES[str(public["crv"])] + bytes([2 + numbers.y % 2]) + numbers.x.to_bytes(32)
    return f"did:key:z{base58_encode(raw)}"


# --- certificates ---------------------------------------------------------------------------


class Authority:
    """A certification authority: the root, or one certified by another."""

    def __init__(self, name: str, parent: "Authority | None" = None) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        signer = parent or self
        self.certificate = _certificate(
            (self.subject, signer.subject), self.private.public_key(), signer.private
        )

    @property
    def pem(self) -> bytes:
        """The certificate as an operator configures it."""
        return self.certificate.public_bytes(Encoding.PEM)

    def leaf(
        self, identifier: str, key: Key, days: tuple[int, int] = (-10, 10), use: str = "sign"
    ) -> x509.Certificate:
        """Certify the seal of an organisation."""
        attributes = [
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "Seal"),
            x509.NameAttribute(ORGANIZATION_IDENTIFIER, identifier),
        ]
        public: Any = key.public_key
        return _certificate((x509.Name(attributes), self.subject), public, self.private, days, use)


def _certificate(
    names: tuple[x509.Name, x509.Name],
    public: Any,  # noqa: ANN401 - any public key
    private: ec.EllipticCurvePrivateKey,
    days: tuple[int, int] = (-100, 100),
    use: str = "certify",
) -> x509.Certificate:
    now = dt.datetime.fromtimestamp(NOW_S, dt.UTC)
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    usage = dict.fromkeys((*others, "crl_sign", "encipher_only", "decipher_only"), False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=use == "certify", path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=use == "sign", key_cert_sign=use == "certify", **usage),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(private.public_key()), critical=False
        )
    )
    return builder.sign(private, SHA256())


def x5c(*certificates: x509.Certificate) -> list[str]:
    """Give the header parameter of a chain, leaf first."""
    return [b64encode(item.public_bytes(Encoding.DER)).decode() for item in certificates]


# --- credentials ----------------------------------------------------------------------------

POWERS_V1 = [
    {
        "id": "1",
        "tmf_action": ["Execute"],
        "tmf_domain": "DOME",
        "tmf_function": "Onboarding",
        "tmf_type": "Domain",
    },
    {
        "id": "2",
        "tmf_action": ["Create", "Update"],
        "tmf_domain": "DOME",
        "tmf_function": "ProductOffering",
        "tmf_type": "Domain",
    },
]
POWERS_V2 = [
    {
        "id": "1",
        "action": "Execute",
        "domain": "DOME",
        "function": "Onboarding",
        "type": "domain",
    },
    {
        "id": "2",
        "action": ["Create", "Update"],
        "domain": "DOME",
        "function": "ProductOffering",
        "type": "domain",
    },
]
MANDATORS = {
    "commonName": "Ms. Lear",
    "country": "ES",
    "emailAddress": "lear@example.org",
    "organization": "Organisation C",
    "organizationIdentifier": MANDATOR,
    "serialNumber": "1",
}
CREDENTIAL_ID = "urn:uuid:8f5e1e6c-6f0f-4a57-9f3e-0b54a2a6d111"


def employee_v1(holder: str) -> dict[str, Any]:
    """Give the payload of a first-generation LEARCredentialEmployee."""
    mandate = {
        "id": "m1",
        "life_span": {"start_date_time": day(-5), "end_date_time": day(5)},
        "mandatee": {"id": holder, "email": "a@example.org", "first_name": "A", "last_name": "B"},
        "mandator": MANDATORS,
        "power": deepcopy(POWERS_V1),
    }
    credential = {
        "@context": ["https://www.w3.org/ns/credentials/v2"],
        "id": CREDENTIAL_ID,
        "type": ["LEARCredentialEmployee", "VerifiableCredential"],
        "issuer": ISSUER,
        "issuanceDate": day(-6),
        "validFrom": day(-6),
        "expirationDate": day(6),
        "credentialSubject": {"mandate": mandate},
    }
    return _token(credential)


def employee_v2(holder: str) -> dict[str, Any]:
    """Give the payload of a second-generation LEARCredentialEmployee."""
    payload = employee_v1(holder)
    credential = payload["vc"]
    credential["issuer"] = {"id": ISSUER, "organization": "Issuer", "country": "ES"}
    credential["validUntil"] = credential.pop("expirationDate")
    del credential["issuanceDate"]
    credential["credentialSubject"]["mandate"]["power"] = POWERS_V2
    credential["credentialSubject"]["mandate"]["mandator"] = {
        "id": f"did:elsi:{MANDATOR}",
        "organizationIdentifier": MANDATOR,
    }
    return payload


def machine_v1(holder: str) -> dict[str, Any]:
    """Give the payload of a first-generation LEARCredentialMachine."""
    payload = employee_v1(holder)
    credential = payload["vc"]
    credential["type"] = ["VerifiableCredential", "LEARCredentialMachine"]
    mandate = credential["credentialSubject"]["mandate"]
    mandate["life_span"] = {"startDateTime": day(-5), "endDateTime": day(5)}
    mandate["mandatee"] = {"id": holder, "serviceName": "desmos", "ipAddress": "127.0.0.1"}
    mandate["power"] = POWERS_V2
    return payload


def machine_v2(holder: str) -> dict[str, Any]:
    """Give the payload of a LEARCredentialMachine in the form of the data model 2.0."""
    payload = machine_v1(holder)
    credential: dict[str, Any] = payload.pop("vc")
    credential["validUntil"] = credential.pop("expirationDate")
    del credential["issuanceDate"]
    return payload | credential


def _token(credential: dict[str, Any]) -> dict[str, Any]:
    return {
        "iss": ISSUER,
        "sub": credential["credentialSubject"]["mandate"]["mandatee"]["id"],
        "jti": "c1",
        "iat": NOW_S - 86_400,
        "nbf": NOW_S - 86_400,
        "exp": NOW_S + 86_400,
        "vc": credential,
    }


def presentation(
    key: Key, *credentials: str, alg: str = "ES256", did: str | None = None, **claims: object
) -> str:
    """Give a presentation that the holder signs."""
    holder = did or did_key(key)
    body = {
        "@context": ["https://www.w3.org/2018/credentials/v1"],
        "id": "urn:uuid:11111111-2222-4333-8444-555555555555",
        "type": ["VerifiablePresentation"],
        "holder": holder,
        "verifiableCredential": list(credentials),
    }
    payload = {
        "iss": holder,
        "sub": holder,
        "aud": f"{BASE}/authorisation/v4",
        "nonce": "n-1",
        "jti": "p-1",
        "iat": NOW_S,
        "nbf": NOW_S,
        "exp": NOW_S + 60,
        "vp": body,
    }
    fragment = (
        holder.removeprefix("did:key:") if holder.startswith("did:key:") else key.thumbprint()
    )
    present = {name: value for name, value in (payload | claims).items() if value is not None}
    return sign(present, key, alg, kid=f"{holder}#{fragment}")


# --- the ledger -----------------------------------------------------------------------------


class World:
    """A ledger in a real chain store, a clock, documents from outside, and a checker."""

    def __init__(self, store: ChainStore) -> None:
        self.store = store
        self.now_ms = NOW_MS
        self.documents: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.root = Authority("Root")
        self.middle = Authority("Middle", self.root)
        self.issuer_key = new_key()
        self.holder = new_key()
        self._number = 0

    async def ask(self, question: Callable[[Snapshot], T]) -> T:
        """Ask the ledger."""
        with self.store.read() as reader:
            return question(Snapshot(reader, Lists(reader)))

    async def fetch(self, url: str) -> bytes:
        """Give a document from outside."""
        self.fetched.append(url)
        if url not in self.documents:
            raise Unavailable("no such document")
        return self.documents[url]

    def clock_ms(self) -> int:
        """Give the time."""
        return self.now_ms

    def finder(self) -> KeyFinder:
        """Make a key finder over this world."""
        return KeyFinder(self, self, TrustAnchors(self.root.pem))

    def checker(self, replay: ReplayMemory | None = None) -> Checker:
        """Make a checker over this world."""
        memory = Remembered(self, self.clock_ms, 1_000, 1_000)
        return Checker(self, self.finder(), memory, replay or ReplayMemory(), self.clock_ms)

    def put(self, list_name: str, *entries: tuple[str, str, object]) -> None:
        """Put (id, kind, body) into a list; a body that is no bytes becomes JSON."""
        self._change(list_name, [PutEntry(*_entry(item), 0, 0, None) for item in entries])

    def put_for(self, list_name: str, item: tuple[str, str, object], span: tuple[int, int]) -> None:
        """Put an entry that is valid for a time."""
        self._change(list_name, [PutEntry(*_entry(item), *span, None)])

    def revoke(self, list_name: str, *ids: str) -> None:
        """Revoke entries."""
        self._change(list_name, [RevokeEntry(id_, None) for id_ in ids])

    def list_issuer(self, did: str = ISSUER, *types: str) -> None:
        """Let an issuer issue these types."""
        self.put("issuers", (did, "issuer", b""))
        for name in types:
            body = {"credentialsType": name, "validFor": {"from": day(-9), "to": day(9)}}
            self.put("issuers", (f"{did}/{name}", "credential", body))

    def credential(
        self,
        payload: Mapping[str, Any],
        key: Key | None = None,
        alg: str = "ES256",
        **header: object,
    ) -> str:
        """Sign a credential with the issuer's certified key."""
        signer = key or self.issuer_key
        chain = x5c(
            self.middle.leaf(ISSUER.removeprefix("did:elsi:"), signer), self.middle.certificate
        )
        return sign(payload, signer, alg, **({"x5c": chain} | header))

    def _change(self, list_name: str, changes: Sequence[PutEntry | RevokeEntry]) -> None:
        self._number += 1
        operation = ChangeList(list_name, tuple(changes))
        id_, encoded = batch([operation_entry(operation, self._number)], self._number)
        with self.store.write() as writer:
            writer.store_batch(id_, encoded)
            block_id, block = block_after(writer.root, writer.reader.head().block_id, [id_])
            result = execute_block(writer, block_id, block, lambda _: False)
            assert not result.refused, result.refused
            writer.apply(result)


def _entry(item: tuple[str, str, object]) -> tuple[str, str, bytes]:
    id_, kind, body = item
    return id_, kind, body if isinstance(body, bytes) else json.dumps(body).encode()
