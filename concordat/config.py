"""The settings of one member: what each means, its default and its bounds.

The structs below are the one table of settings: the commented file that ``concordat init``
writes, the validation, the defaults and docs/operations/configuration.md all come from it (see
``concordat/config_file.py``). Relative paths are relative to the member's home.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta

from concordat.config_access import AccessSection
from concordat.config_access_node import AccessNodeSection, DesmosSection
from concordat.config_delivery import DeliverySection
from concordat.config_section import Address, FilePath, Ms, Prefix, Section
from concordat.config_webhooks import WebhooksSection
from ledger.core import limits

__all__ = [
    "AccessNodeSection",
    "AccessSection",
    "AuthorisationSection",
    "Config",
    "ConsensusSection",
    "DeliverySection",
    "DesmosSection",
    "DltAdapterSection",
    "FacadesSection",
    "GatewaySection",
    "KeysSection",
    "LogSection",
    "MemberSection",
    "NodeSection",
    "Section",
    "WebhooksSection",
]

# A bulk body goes to the node in one frame.
_BODY_BYTES_MOST: Final = limits.FRAME_BYTES_MAX - 1_024


class KeysSection(Section, frozen=True):
    """Where the member's keys are. Only the node opens the validator and the peer key."""

    validator: Annotated[FilePath, Meta(description="Key that signs votes, blocks, batches.")] = (
        "keys/validator.json"
    )
    peer: Annotated[FilePath, Meta(description="Key of the TLS identity towards other nodes.")] = (
        "keys/peer.json"
    )
    password_file: Annotated[
        str,
        Meta(
            description="File whose first line is the password of both keys; only its owner may "
            "read it. Empty: the file that CONCORDAT_PASSWORD_FILE names, else a prompt."
        ),
    ] = ""
    allow_unencrypted: Annotated[
        bool,
        Meta(
            description="Accept key files without a password. For development networks only: "
            "whoever reads such a file votes in your name."
        ),
    ] = False


class NodeSection(Section, frozen=True):
    """The node: consensus, the store, the port for other validators."""

    listen: Annotated[
        Address,
        Meta(
            description="Address and port for other validators. They prove who they are with "
            "TLS keys pinned in the genesis file, so it may face the internet."
        ),
    ] = "0.0.0.0:26600"
    control_socket: Annotated[
        FilePath, Meta(description="Unix socket for this member's gateways; made with mode 0600.")
    ] = "control.sock"
    chain_dir: Annotated[FilePath, Meta(description="Directory of the chain store (LMDB).")] = (
        "data/chain"
    )
    safety_dir: Annotated[
        FilePath,
        Meta(
            description="Directory of the safety record. Never restore it from a backup: "
            "an old record can make this validator contradict itself."
        ),
    ] = "data/safety"
    peers: Annotated[
        dict[str, Address],
        Meta(
            description="Other addresses for validators, by name, where the genesis file's do "
            'not hold for you: { alpha = "10.0.0.5:26600" }.'
        ),
    ] = {}  # noqa: RUF012 - a struct copies an empty default


class ConsensusSection(Section, frozen=True):
    """Timing. Members may differ, but a network is as quick as its slowest quorum."""

    round_timeout_ms: Annotated[
        Ms,
        Meta(
            description="How long to wait for a leader before giving its round up. Several times "
            "the round trip between members, or good leaders are given up."
        ),
    ] = limits.ROUND_TIMEOUT_MS
    idle_interval_ms: Annotated[
        Ms, Meta(description="An idle network adds an empty block this often.")
    ] = limits.IDLE_INTERVAL_MS
    round_timeout_absent_ms: Annotated[
        Ms, Meta(description="The same while the leader's connection is known to be down.")
    ] = limits.ROUND_TIMEOUT_ABSENT_MS


class GatewaySection(Section, frozen=True):
    """The gateway: HTTP for publishers and subscribers."""

    listen: Annotated[
        Address,
        Meta(
            description="Address and port of the HTTP API. Put a TLS proxy in front before it "
            "faces anything but this machine."
        ),
    ] = "127.0.0.1:8080"
    connections_max: Annotated[
        int, Meta(ge=1, le=100_000, description="HTTP connections at one time, streams included.")
    ] = limits.GATEWAY_CONNECTIONS_MAX
    streams_max: Annotated[
        int, Meta(ge=0, le=100_000, description="Subscribers' event streams at one time.")
    ] = limits.GATEWAY_STREAMS_MAX
    body_bytes_max: Annotated[
        int,
        Meta(
            ge=limits.ENTRY_BYTES_MAX, le=_BODY_BYTES_MOST, description="Largest request, in bytes."
        ),
    ] = limits.GATEWAY_BODY_BYTES_MAX
    heartbeat_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=600_000,
            description="A stream without events says this often that it is alive; less than "
            "the idle limit of any proxy in between.",
        ),
    ] = limits.GATEWAY_HEARTBEAT_MS
    public_certificate: Annotated[
        str,
        Meta(
            description="PEM file of the certificate that the TLS proxy in front shows. It is not "
            "served: the metrics and `concordat doctor` say when it expires. Empty: not watched."
        ),
    ] = ""
    console: Annotated[
        bool,
        Meta(
            description="Serve the web console at /console/, for whoever has the scope operate: "
            "see [access]."
        ),
    ] = True


class MemberSection(Section, frozen=True):
    """In whose name the gateway's facades write. The ledger judges what they do by its rights."""

    key: Annotated[
        str,
        Meta(
            description="The member's publisher key; its owner is who writes. Opened only for a "
            "facade that writes. Empty, or no such file: the facades only read."
        ),
    ] = "keys/publisher.json"
    password_file: Annotated[
        str, Meta(description="File with its password. Empty: the one of keys.password_file.")
    ] = ""


class FacadesSection(Section, frozen=True):
    """Interfaces of outside worlds, served beside the gateway's own: see docs/adapters/."""

    ebsi: Annotated[
        bool, Meta(description="EBSI's registries, below their own names and versions.")
    ] = False
    fiware: Annotated[
        bool, Meta(description="FIWARE's trusted issuers registry and list, and participants.")
    ] = False
    dome_registry: Annotated[
        bool, Meta(description="DOME's trust registry and the files of its trust framework.")
    ] = False
    base_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[!-~]+[^/ ])?\Z",
            max_length=2048,
            description="What everybody calls this gateway, such as https://ledger.example: links "
            "begin with it. Empty: what each client called.",
        ),
    ] = ""
    writes: Annotated[
        Literal["off", "tokens", "open"],
        Meta(
            description="Who may have the member write through them. tokens: whoever shows an "
            "access token, see [authorisation]; open: everybody who reaches the gateway, for "
            "private networks only (EBSI needs tokens all the same)."
        ),
    ] = "off"
    organisations: Annotated[
        str,
        Meta(
            description="Further organisations whose mandates count as the member's own: DIDs or "
            "organisation identifiers, with spaces between."
        ),
    ] = ""
    fiware_prefix: Annotated[
        Prefix, Meta(description="In front of FIWARE's /v4/issuers and /issuer.")
    ] = ""
    fiware_participants_prefix: Annotated[
        Prefix, Meta(description="In front of /v4/issuers of the participants.")
    ] = "/trusted-participants"
    dome_registry_prefix: Annotated[
        Prefix, Meta(description="In front of DOME's /v4; not FIWARE's.")
    ] = "/dome-trust-registry"
    dome_files_prefix: Annotated[
        Prefix, Meta(description="In front of the names of DOME's files.")
    ] = "/trust-framework"
    documents_topic: Annotated[
        FilePath,
        Meta(description="Topic of EBSI's Track and Trace; the member needs the right to it."),
    ] = "track-and-trace"


class AuthorisationSection(Section, frozen=True):
    """Access tokens for the facades: see docs/adapters/credentials.md. Needs facades.base_url."""

    enabled: Annotated[
        bool, Meta(description="Give tokens for credentials, and accept them at the facades.")
    ] = False
    keys: Annotated[
        FilePath, Meta(description="File of the keys that sign tokens; made when it is not there.")
    ] = "keys/tokens.json"
    trust_anchors: Annotated[
        str,
        Meta(description="File of PEM certificates that may certify organisations. Empty: none."),
    ] = ""
    verifiers: Annotated[
        dict[str, str],
        Meta(
            description="Other verifiers whose tokens are accepted, with the audience that these "
            'must name: { "https://verifier.example" = "https://ledger.example" }.'
        ),
    ] = {}  # noqa: RUF012 - a struct copies an empty default
    allowed_origins: Annotated[
        str,
        Meta(
            description="Origins that may be fetched from though they are private or plain http, "
            "with spaces between."
        ),
    ] = ""


class DltAdapterSection(Section, frozen=True):
    """DOME's DLT adapter, served by the gateway for Desmos: see docs/adapters/dlt-adapter.md."""

    enabled: Annotated[
        bool,
        Meta(
            description="Serve /api/v1 and /api/v2. Nobody proves who they are there: whoever "
            "reaches it publishes in the member's name, so keep it inside your own network."
        ),
    ] = False
    organisation: Annotated[
        str,
        Meta(
            description="The organisation identifier that Desmos is configured with; the SHA-256 "
            "of it is `iss`. Empty: the member's DID, without did:elsi: in front."
        ),
    ] = ""
    state: Annotated[
        FilePath, Meta(description="File of subscriptions and of events on their way (SQLite).")
    ] = "data/dlt-adapter.sqlite"
    endpoints: Annotated[
        Literal["private", "public"],
        Meta(
            description="Where notifications may go. private: http and https, also to private and "
            "loopback addresses, as where Desmos runs beside its gateway; public: https to port "
            "443 of the internet only. Never to link-local addresses."
        ),
    ] = "private"
    endpoint_hosts: Annotated[
        str,
        Meta(
            description="When not empty, the only hosts that may be notified, with spaces between."
        ),
    ] = ""
    open_to_internet: Annotated[
        bool, Meta(description="Take requests from public addresses, too.")
    ] = False


class LogSection(Section, frozen=True):
    """What is logged, on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least serious messages to log."),
    ] = "info"
    format: Annotated[
        Literal["auto", "console", "json"],
        Meta(
            description="console: for people; json: one object a line; auto: console on a "
            "terminal, else json."
        ),
    ] = "auto"


class Config(Section, frozen=True):
    """All settings of one member."""

    keys: KeysSection = KeysSection()
    node: NodeSection = NodeSection()
    consensus: ConsensusSection = ConsensusSection()
    gateway: GatewaySection = GatewaySection()
    access: AccessSection = AccessSection()
    member: MemberSection = MemberSection()
    facades: FacadesSection = FacadesSection()
    authorisation: AuthorisationSection = AuthorisationSection()
    dlt_adapter: DltAdapterSection = DltAdapterSection()
    access_node: AccessNodeSection = AccessNodeSection()
    desmos: DesmosSection = DesmosSection()
    delivery: DeliverySection = DeliverySection()
    webhooks: WebhooksSection = WebhooksSection()
    log: LogSection = LogSection()
