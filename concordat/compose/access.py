"""From ``[access]`` to who may do what at the gateway."""

from concordat.config_access import GrantSection, IssuerSection
from concordat.home import Home, HomeError
from pubsub.core.oidc import Grant, Issuer
from pubsub.core.rights import Scope
from pubsub.io.rights import RightsSettings

__all__ = ["rights_settings"]


def rights_settings(home: Home) -> RightsSettings:
    """Put the settings of rights together.

    Raises:
        HomeError: an issuer could not be believed as it is configured.
    """
    section = home.config.access
    return RightsSettings(
        anonymous=frozenset(map(Scope, section.anonymous)),
        restricted=section.restricted,
        tokens_path=home.resolve(section.tokens),
        uses_path=home.resolve(section.token_uses),
        issuers=tuple(_issuer(name, row) for name, row in section.issuers.items()),
        publish_rate=section.publish_rate,
        publish_burst=section.publish_burst,
    )


def _issuer(name: str, section: IssuerSection) -> Issuer:
    where = f"access.issuers.{name}"
    if not (section.audience and section.claim and section.grants and section.algorithms):
        raise HomeError(f"{where}: audience, claim, grants and algorithms must not be empty")
    if not section.private_network:
        for url in (section.issuer, section.jwks_url):
            if url is not None and not url.startswith("https://"):
                raise HomeError(f"{where}: {url} is not https, and private_network is not set")
    return Issuer(
        name=name,
        url=section.issuer,
        audiences=section.audience,
        jwks_url=section.jwks_url,
        algorithms=section.algorithms,
        claim=section.claim,
        grants={value: _grant(row) for value, row in section.grants.items()},
        leeway_ms=section.leeway_ms,
        is_private=section.private_network,
    )


def _grant(section: GrantSection) -> Grant:
    return Grant(frozenset(map(Scope, section.scopes)), section.topics)
