"""The settings of who may do what at the gateway: a part of ``concordat/config.py``."""

from typing import Annotated, Literal

from msgspec import Meta

from concordat.config_section import FilePath, Section
from ledger.core.limits import TOPIC_CHARS_MAX
from pubsub.core.limits import PUBLISH_RATE_MAX
from pubsub.core.oidc import Algorithm

__all__ = ["AccessSection", "GrantSection", "IssuerSection", "ScopeName", "TopicPatternText"]

ScopeName = Literal["read", "publish", "consume", "webhooks", "operate"]
TopicPatternText = Annotated[
    str,
    Meta(
        pattern=r"^(([*]|[A-Za-z0-9_-]{1,64})[.]){0,15}(>|[*]|[A-Za-z0-9_-]{1,64})\Z",
        max_length=TOPIC_CHARS_MAX,
    ),
]
_IssuerName = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?\Z")]
_Url = Annotated[str, Meta(pattern=r"^https?://[!-~]+\Z", max_length=2048)]
_Text = Annotated[str, Meta(min_length=1, max_length=255)]


class GrantSection(Section, frozen=True):
    """What one value of the claim gives."""

    scopes: tuple[ScopeName, ...]
    topics: tuple[TopicPatternText, ...] = ()


class IssuerSection(Section, frozen=True):
    """An OIDC issuer whose access tokens count; see docs/operations/access.md."""

    issuer: _Url
    audience: tuple[_Text, ...]
    claim: tuple[_Text, ...]
    grants: dict[_Text, GrantSection]
    jwks_url: _Url | None = None
    algorithms: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    leeway_ms: Annotated[int, Meta(ge=0, le=300_000)] = 30_000
    private_network: bool = False


class AccessSection(Section, frozen=True):
    """Who may do what at the gateway: see docs/operations/access.md."""

    anonymous: Annotated[
        tuple[ScopeName, ...],
        Meta(
            description="What whoever shows no token may do. Everything else needs an API token "
            "(`concordat tokens`) or a token of an issuer. Who may write to which topic is judged "
            "by the ledger, whoever hands an event in."
        ),
    ] = ("read", "publish")
    restricted: Annotated[
        tuple[TopicPatternText, ...],
        Meta(
            description="Patterns of topics that only those may read to whom a token grants them, "
            'such as ["dome.private.>"]. Blocks, snapshots and the raw log, which show every '
            "topic, are then for those alone who may read all of these."
        ),
    ] = ()
    tokens: Annotated[FilePath, Meta(description="File of the digests of the API tokens.")] = (
        "keys/api-tokens.json"
    )
    token_uses: Annotated[
        FilePath, Meta(description="File in which the gateway notes when tokens were last used.")
    ] = "data/api-token-uses.json"  # noqa: S105 - a path
    publish_rate: Annotated[
        int,
        Meta(
            ge=0,
            le=PUBLISH_RATE_MAX,
            description="Events a second that one principal may hand in; all anonymous clients "
            "together are one. 0: no limit.",
        ),
    ] = 0
    publish_burst: Annotated[
        int,
        Meta(
            ge=1,
            le=PUBLISH_RATE_MAX,
            description="Events that it may hand in at once after a pause.",
        ),
    ] = 10_000
    issuers: Annotated[
        dict[_IssuerName, IssuerSection],
        Meta(
            description="OIDC issuers by names of your choice, each a table "
            "[access.issuers.NAME] with issuer, audience, claim, grants, and where needed "
            "jwks_url, algorithms, leeway_ms, private_network."
        ),
    ] = {}  # noqa: RUF012 - a struct copies an empty default
