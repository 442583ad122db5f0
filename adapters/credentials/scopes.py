"""EBSI's scopes: what each needs to be presented, and the right on the ledger that it stands for.

An invitation needs a credential; everything else needs nothing but the DID's own standing. A scope
opens a facade's door and no more: the ledger judges what is written.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from adapters.credentials.trust import ISSUERS, LedgerSnapshot, issuer_type

__all__ = ["OPENID", "SCOPES", "ScopeRule", "presentation_definition"]

OPENID: Final = "openid"
_ONBOARD: Final = "VerifiableAuthorisationToOnboard"
_ACCREDITATIONS: Final = (
    "VerifiableAuthorisationForTrustChain",
    "VerifiableAccreditationToAttest",
    "VerifiableAccreditationToAccredit",
)
_PRESENTATION_ALGS: Final = ("ES256", "ES256K")
_CREDENTIAL_ALGS: Final = ("ES256", "ES256K", "EdDSA", "RS256")

Judge = Callable[[LedgerSnapshot, str], bool]


class ScopeRule(NamedTuple):
    """What a scope needs.

    Attributes:
        credential_types: one of which must be presented; none for an empty presentation.
        is_entitled: (ledger, DID) -> whether the DID's standing allows it.
        purpose: for people.
    """

    credential_types: tuple[str, ...]
    is_entitled: Judge
    purpose: str


def _is_registered(ledger: LedgerSnapshot, did: str) -> bool:
    return ledger.lists.entry("did-documents", did) is not None


def _is_unregistered(ledger: LedgerSnapshot, did: str) -> bool:
    return not _is_registered(ledger, did)


def _is_known(ledger: LedgerSnapshot, did: str) -> bool:
    return _is_registered(ledger, did) or ledger.rights(did) is not None


def _may_write(list_name: str, did_kinds: frozenset[str]) -> Judge:
    """Entitle participants with the right to the list, and listed issuers of some kinds."""

    def judge(ledger: LedgerSnapshot, did: str) -> bool:
        rights = ledger.rights(did)
        if rights is not None and rights.may_publish(f"ledger.lists.{list_name}"):
            return True
        is_listed = ledger.lists.entry(ISSUERS, did) is not None
        return is_listed and not did_kinds.isdisjoint(issuer_type(ledger.lists, did))

    return judge


SCOPES: Final[dict[str, ScopeRule]] = {
    "didr_invite": ScopeRule(
        (_ONBOARD,), _is_unregistered, "an authorisation to onboard, for a new DID"
    ),
    "didr_write": ScopeRule((), _is_known, "a presentation signed by a registered DID"),
    "tir_invite": ScopeRule(
        _ACCREDITATIONS,
        _is_known,
        "an accreditation issued by a trusted accreditation organisation",
    ),
    "tir_write": ScopeRule(
        (),
        _may_write("issuers", frozenset({"RootTAO", "TAO", "TI"})),
        "a presentation signed by a trusted issuer",
    ),
    "timestamp_write": ScopeRule((), _is_known, "a presentation signed by a registered DID"),
    "tnt_authorise": ScopeRule((_ONBOARD,), _is_known, "an authorisation to onboard"),
    "tnt_create": ScopeRule((), _is_known, "a presentation signed by a registered DID"),
    "tnt_write": ScopeRule((), _is_known, "a presentation signed by a registered DID"),
    "tsr_write": ScopeRule(
        (),
        _may_write("schemas", frozenset({"RootTAO", "TAO"})),
        "a presentation signed by an accreditation organisation",
    ),
}


def presentation_definition(scope: str) -> dict[str, object]:
    """Give what has to be presented for one of our scopes, as DIF Presentation Exchange 2."""
    rule = SCOPES[scope]
    presentation = {"alg": list(_PRESENTATION_ALGS)}
    return {
        "id": f"{scope}_presentation",
        "name": "Any type of Verifiable Attestation",
        "purpose": f"Please present {rule.purpose}",
        "format": {"jwt_vp": presentation, "jwt_vp_json": presentation},
        "input_descriptors": [_descriptor(scope, rule)] if rule.credential_types else [],
    }


def _descriptor(scope: str, rule: ScopeRule) -> dict[str, object]:
    only, *others = rule.credential_types
    contains = {"enum": [only, *others]} if others else {"const": only}
    credential = {"alg": list(_CREDENTIAL_ALGS)}
    field = {
        "path": ["$.vc.type", "$.type"],
        "filter": {"type": "array", "contains": contains},
    }
    return {
        "id": f"{scope}_credential",
        "name": "Verifiable Attestation",
        "purpose": f"Please present {rule.purpose}",
        "format": {"jwt_vc": credential, "jwt_vc_json": credential},
        "constraints": {"fields": [field]},
    }
