"""The registry's documents, and the bodies in the ledger that stand for them.

Each list but the issuers' has one body for one document.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ledger.core.event import Did

__all__ = [
    "AccessNode",
    "Document",
    "Participant",
    "Schema",
    "Service",
    "access_node_body",
    "participant_body",
    "read_access_node",
    "read_service",
    "service_body",
]

_ELSI: Final = "did:elsi:"
_Name = Annotated[str, Meta(min_length=1)]
_Members = dict[str, object]


class Document(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A document of the registry; unknown members are refused, they could not be kept."""


class Participant(Document, frozen=True):
    """A participant; its attributes are an empty list."""

    did: Did
    attributes: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=0)] | None = ()
    has_attributes: bool | None = False


class Schema(Document, frozen=True):
    """A JSON schema as text."""

    id: _Name
    schema_data: str


class AccessNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An access node: here the members have underscores."""

    dlt_address: Annotated[str, Meta(pattern=r"^0x[0-9A-Fa-f]{40}\Z")]
    name: _Name


class Service(Document, frozen=True, kw_only=True):
    """A relying party of the verifier.

    Attributes:
        authorization_grant_types: one text by the description of the interface, several joined by
            commas; a list as in the trust framework's file is read too.
    """

    client_id: _Name = msgspec.field(name="client_id")
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    client_authentication_methods: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    require_authorization_consent: bool
    require_proof_key: bool
    jwk_set_url: str
    token_endpoint_authentication_signing_algorithm: str
    authorization_grant_types: str | tuple[str, ...]


def participant_body(document: Participant) -> _Members:
    """Give the members of a participant's body: in DOME any DID is an identifier, too."""
    return {"organizationIdentifier": document.did.removeprefix(_ELSI)}


def access_node_body(document: AccessNode) -> _Members:
    """Give the members of an access node's body; addresses are kept in lower case."""
    return {"name": document.name, "dlt_address": document.dlt_address.lower()}


def read_access_node(body: _Members) -> _Members:
    """Give the document of an access node."""
    return {"dlt_address": body["dlt_address"], "name": body["name"]}


def service_body(document: Service) -> _Members:
    """Give the members of a service's body, as the trust framework's file names them."""
    members: _Members = msgspec.to_builtins(document)
    types = document.authorization_grant_types
    if isinstance(types, str):
        types = tuple(filter(None, map(str.strip, types.split(","))))
    del members["client_id"]
    return {"clientId": document.client_id, **members, "authorizationGrantTypes": types}


def read_service(body: _Members) -> _Members:
    """Give the document of a service; what its body does not say is empty or false."""
    document: _Members = {"client_id": body["clientId"]}
    for field in msgspec.structs.fields(Service)[1:]:
        empty = False if field.type is bool else "" if field.type is str else []
        document[field.encode_name] = body.get(field.encode_name, empty)
    types = document["authorizationGrantTypes"]
    document["authorizationGrantTypes"] = ",".join(types) if isinstance(types, list) else types
    return document
