"""The settings of the access node: a part of the table of ``concordat/config.py``."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from adapters.tmf.usage.limits import (
    USAGE_BLOCK_AGE_MS,
    USAGE_BLOCK_RECORDS,
    USAGE_BLOCK_RECORDS_MAX,
)
from concordat.config_section import Address, FilePath, Section
from ledger.core.limits import TMF_JOURNAL_KEPT_MS

__all__ = ["DAY_MS", "AccessNodeSection", "DesmosSection"]

DAY_MS: Final = 86_400_000


class AccessNodeSection(Section, frozen=True):
    """The TM Forum access node, `concordat access-node`: see docs/adapters/access-node.md."""

    listen: Annotated[
        Address,
        Meta(
            description="Address and port of the TM Forum APIs and of what other members' nodes "
            "ask. Put a TLS proxy in front before it faces anything but this machine."
        ),
    ] = "127.0.0.1:8090"
    public_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[!-~]+[^/ ])?\Z",
            max_length=1024,
            description="Where other members' nodes reach this one, such as "
            "https://market.example: stands in its events for ever. Empty: http:// and listen.",
        ),
    ] = ""
    gateways: Annotated[
        str,
        Meta(
            description="URLs of gateways to the ledger, with spaces between; the next is asked "
            "when one fails. Empty: the member's own, of gateway.listen."
        ),
    ] = ""
    database: Annotated[
        str,
        Meta(
            description="postgresql://user@host/name, or a file of SQLite. The password of "
            "PostgreSQL is best in its own ~/.pgpass."
        ),
    ] = "data/access-node.sqlite"
    files: Annotated[
        FilePath, Meta(description="Directory of the files of import and export jobs, alone.")
    ] = "data/access-node-files"
    profile: Annotated[
        Literal["tmf", "dome"],
        Meta(
            description="tmf: the definitions and no more. dome: also version, parties, ids, "
            "immutability once launched, and launches in their order."
        ),
    ] = "tmf"
    life_cycles: Annotated[
        Literal["strict", "warn", "off"],
        Meta(description="Steps that a life cycle does not have: refused, logged, or not seen."),
    ] = "warn"
    access: Annotated[
        Literal["tokens", "open"],
        Meta(
            description="tokens: who asks is known by a bearer token, and everybody else only "
            "reads what is public. open: everybody who reaches the node operates it, for "
            "development and conformance kits only."
        ),
    ] = "tokens"
    operator_token: Annotated[
        str,
        Meta(
            description="File with the bearer token of the operator, only its owner may read it; "
            "made when it is not there. Empty: none."
        ),
    ] = "keys/access-node-token"  # noqa: S105 - a path
    operators: Annotated[
        str,
        Meta(
            description="Organisations whose mandates with the power Onboarding/Execute operate "
            "the node: DIDs or identifiers, with spaces between. Empty: the member itself."
        ),
    ] = ""
    references: Annotated[
        Literal["free", "checked"],
        Meta(description="checked: a new reference must name an entity that is here."),
    ] = "free"
    certificates: Annotated[
        Literal["ignored", "required"],
        Meta(
            description="required: offerings are launched, and taken from others, only with a "
            "certificate of compliance on their specification that holds."
        ),
    ] = "ignored"
    notifications: Annotated[
        Literal["raw", "listener"],
        Meta(description="Where below a callback events are posted: to itself, or /listener/..."),
    ] = "raw"
    callbacks: Annotated[
        Literal["private", "public"],
        Meta(
            description="Where notifications may go and imports may come from. private: also "
            "http and private addresses; public: https to port 443 of the internet only."
        ),
    ] = "private"
    peers: Annotated[
        Literal["private", "public"],
        Meta(description="Where other members' nodes may be, likewise."),
    ] = "public"
    environment: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9-]*\Z",
            max_length=32,
            description="Tag of all own events, such as prd; only events with it are followed. "
            "Empty: no tag, all events.",
        ),
    ] = ""
    journal_days: Annotated[
        int,
        Meta(
            ge=1,
            le=3_650,
            description="Changes that everybody was told of are deleted from the journal when "
            "they are so old.",
        ),
    ] = TMF_JOURNAL_KEPT_MS // DAY_MS
    usage_block_records: Annotated[
        int,
        Meta(
            ge=1,
            le=USAGE_BLOCK_RECORDS_MAX,
            description="A block of usage records is made when so many wait.",
        ),
    ] = USAGE_BLOCK_RECORDS
    usage_block_ms: Annotated[
        int,
        Meta(
            ge=100, le=86_400_000, description="Or when the oldest of them has waited for so long."
        ),
    ] = USAGE_BLOCK_AGE_MS


class DesmosSection(Section, frozen=True):
    """Desmos-compatible replication of the access node: see docs/adapters/access-node.md."""

    enabled: Annotated[
        bool,
        Meta(
            description="Serve and ask Desmoses, and publish own changes as their DLT adapter "
            "would. Needs access_node.environment: prd, dev, sbx or local."
        ),
    ] = False
    native_too: Annotated[
        bool, Meta(description="Publish own changes in the native form, too.")
    ] = True
    organisation: Annotated[
        str,
        Meta(
            description="The organisation identifier whose SHA-256 is `iss`. Empty: the member's "
            "DID, without did:elsi: in front."
        ),
    ] = ""
    peers: Annotated[
        dict[str, str],
        Meta(
            description="Nodes to synchronise with directly, and the DIDs of their members: "
            '{ "https://desmos.example" = "did:elsi:VATES-11111111" }.'
        ),
    ] = {}  # noqa: RUF012 - a struct copies an empty default
    credential: Annotated[
        str,
        Meta(
            description="File of the LEARCredentialMachine, a compact JWS, with which other "
            "Desmoses are asked. Empty: none is asked."
        ),
    ] = ""
    key: Annotated[
        FilePath,
        Meta(description="PEM file of the machine's P-256 key; only its owner may read it."),
    ] = "keys/machine.pem"
    token_url: Annotated[
        str, Meta(description="Token endpoint of the verifier that the other Desmoses trust.")
    ] = ""
    verifier: Annotated[
        str, Meta(description="The verifier's own name, the audience of what it is shown.")
    ] = ""
