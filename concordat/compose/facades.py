"""From a member's home to the facades that its gateway serves, in the order of their routes.

Owns who writes: one publisher key, opened once, and only when a facade writes. Where it is missing
the facades are served without writes, and the log says so.
"""

from collections.abc import Callable
from functools import partial

import structlog

from adapters.access import WriteAccess
from adapters.credentials.facade import Authorisation, AuthorisationSettings
from adapters.dome.dlt.facade import DltAdapter, DltSettings
from adapters.dome.trust.facade import DomeTrustFacade, DomeTrustSettings
from adapters.ebsi.facade import EbsiFacade, EbsiSettings
from adapters.fiware.facade import FiwareFacade, FiwareSettings
from adapters.member import Member
from adapters.writing import WriterFactory
from concordat.compose.permitted import require_permitted_key
from concordat.compose.tokens import foreign_verifiers, trust_anchors
from concordat.config import FacadesSection
from concordat.home import Home, HomeError
from ledger.io.keystore import OpenKey
from pubsub.io.egress import Egress
from pubsub.io.facade import Facade
from pubsub.io.state import Gateway

__all__ = ["OpenMemberKey", "build_facades"]

_log = structlog.get_logger("concordat")

OpenMemberKey = Callable[[], OpenKey]
"""Opens the member's publisher key, finding its password."""


def build_facades(home: Home, open_key: OpenMemberKey) -> list[Facade]:
    """Make the facades that the configuration asks for.

    Raises:
        HomeError: the configuration contradicts itself.
        KeyFileError: a key that is there cannot be used.
        StorageError: a facade's file cannot be used.
    """
    config = home.config
    key = _member_key(home, open_key)
    tokens = _authorisation(home)
    facades: list[Facade] = [] if tokens is None else [tokens]
    facades += _registries(config.facades, key, tokens)
    if config.dlt_adapter.enabled and key is not None:
        facades.append(_dlt_adapter(home, key))
    _log.info(
        "facades",
        served=[type(facade).__name__ for facade in facades],
        member=None if key is None else key.info.owner,
        writes=config.facades.writes if key is not None else "off",
    )
    return facades


def _member_key(home: Home, open_key: OpenMemberKey) -> OpenKey | None:
    """Open the member's key when a facade writes; None when there is none."""
    config = home.config
    registries = config.facades.ebsi or config.facades.fiware or config.facades.dome_registry
    writing = [
        name
        for name, writes in (
            ("dlt_adapter", config.dlt_adapter.enabled),
            ("facades", registries and config.facades.writes != "off"),
        )
        if writes
    ]
    if not writing:
        return None
    if not config.member.key or not home.resolve(config.member.key).is_file():
        _log.warning(
            "facades write nothing: the member has no publisher key here (member.key)",
            would_write=writing,
        )
        return None
    key = open_key()
    require_permitted_key(config, key.info)
    return key


def _registries(
    section: FacadesSection, key: OpenKey | None, tokens: Authorisation | None
) -> list[Facade]:
    writer: WriterFactory | None = None
    access = WriteAccess()
    verifier = None
    if key is not None and section.writes != "off":
        is_open = section.writes == "open"
        if tokens is None and not is_open:
            raise HomeError('facades.writes is "tokens", and authorisation.enabled is not set')
        writer = partial(_member, key)
        organisations = [key.info.owner, *section.organisations.split()]
        access = WriteAccess(tokens, organisations, is_open=is_open)
        verifier = tokens
    _require_apart(section)
    base_url = section.base_url or None
    found: list[Facade] = []
    if section.ebsi:
        settings = EbsiSettings(base_url, section.documents_topic, writer, verifier)
        found.append(EbsiFacade(settings))
    if section.fiware:
        places = FiwareSettings(section.fiware_prefix, section.fiware_participants_prefix, base_url)
        found.append(FiwareFacade(places, writer, access))
    if section.dome_registry:
        dome = DomeTrustSettings(section.dome_registry_prefix, section.dome_files_prefix, base_url)
        found.append(DomeTrustFacade(dome, writer, access))
    return found


def _require_apart(section: FacadesSection) -> None:
    """Refuse registries that would stand on the same paths: only the first could be reached."""
    fiware = [section.fiware_prefix, section.fiware_participants_prefix] if section.fiware else []
    dome = [section.dome_registry_prefix] if section.dome_registry else []
    prefixes = [*fiware, *dome]
    if len(set(prefixes)) < len(prefixes):
        raise HomeError(
            "facades: FIWARE's registries and DOME's need different prefixes; all have /v4/issuers"
        )


def _member(key: OpenKey, gateway: Gateway) -> Member:
    return Member(gateway, key.info.owner, key.signer)


def _authorisation(home: Home) -> Authorisation | None:
    section = home.config.authorisation
    if not section.enabled:
        return None
    base_url = home.config.facades.base_url
    if not base_url:
        raise HomeError(
            "authorisation.enabled needs facades.base_url: tokens name who gave them by it"
        )
    try:
        settings = AuthorisationSettings(
            base_url,
            home.resolve(section.keys),
            trust_anchors(home),
            foreign_verifiers(section),
            tuple(section.allowed_origins.split()),
        )
        return Authorisation(settings)
    except ValueError as error:
        raise HomeError(f"authorisation.trust_anchors: {error}") from None


def _dlt_adapter(home: Home, publisher: OpenKey) -> DltAdapter:
    section = home.config.dlt_adapter
    settings = DltSettings(
        did=publisher.info.owner,
        state_path=home.resolve(section.state),
        organisation=section.organisation or None,
        egress=Egress(section.endpoints == "private", frozenset(section.endpoint_hosts.split())),
        is_public=section.open_to_internet,
    )
    return DltAdapter(settings, publisher.signer)
