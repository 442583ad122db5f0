"""Checks of the gateway: who may do what at it, what expires, and whether it does well now."""

import ipaddress
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from concordat.compose.gateway import watched_certificates
from concordat.doctor.finding import Finding, Patient, error, ok, warning
from concordat.home import split_address
from ledger.io.keystore import KeyFileError
from ledger.io.release import VERSION
from pubsub.io.certificate_expiry import certificate_expiry_s
from pubsub.io.token_file import load_tokens

__all__ = ["GATEWAY_CHECKS", "is_local"]

_DAY_S: Final = 86_400
_RENEW_DAYS: Final = 14
_LATE_DAYS: Final = 2
_TOKEN_DAYS: Final = 7
_PAGE: Final = "See docs/operations/access.md."


def access(patient: Patient) -> Iterator[Finding]:
    """Whoever shows no token may do little, and on a public address nothing dangerous."""
    section, listen = patient.home.config.access, patient.home.config.gateway.listen
    local = is_local(listen)
    risky = [scope for scope in ("operate", "webhooks", "consume") if scope in section.anonymous]
    text = f"access.anonymous gives everybody {', '.join(risky)}"
    if "operate" in risky and not local:
        yield error("access", f"{text}, and the gateway listens on {listen}", f"Remove it. {_PAGE}")
    elif risky:
        advice = f"Fit for a development network; a web page can do that, too. {_PAGE}"
        yield warning("access", text, advice)
    else:
        yield ok("access", f"without a token: {', '.join(section.anonymous) or 'nothing'}")
    if not local:
        advice = "Let it listen on 127.0.0.1 with a TLS proxy in front, or only inside a container."
        yield warning("access", f"the gateway speaks plain HTTP on {listen}", advice)
        if "publish" in section.anonymous and not section.publish_rate:
            advice = "Set access.publish_rate, or give `publish` with tokens alone."
            yield warning("access", "anybody may hand in events at any rate", advice)


def surfaces(patient: Patient) -> Iterator[Finding]:
    """Nothing beside the gateway's own API is open that should not be."""
    config = patient.home.config
    open_ones = {
        "facades.writes is open": config.facades.writes == "open",
        "dlt_adapter.open_to_internet is set": config.dlt_adapter.open_to_internet,
        "access_node.access is open": config.access_node.access == "open",
    }
    for text in (text for text, is_open in open_ones.items() if is_open):
        yield warning(
            "surfaces",
            f"{text}: everybody who reaches it acts in the member's name",
            "For private networks alone: see the page of that adapter.",
        )
    for name, issuer in config.access.issuers.items():
        if issuer.private_network:
            text = f"the keys of the issuer {name} may come over plain http and private addresses"
            yield warning("surfaces", text, "Unset private_network outside of test networks.")


def certificates(patient: Patient) -> Iterator[Finding]:
    """The certificates that are watched hold for a while."""
    for use, path in watched_certificates(patient.home).items():
        yield _certificate(use, path, time.time())


def _certificate(use: str, path: Path, now_s: float) -> Finding:
    end_s = certificate_expiry_s(path)
    if end_s is None:
        return error("certificates", f"{use}: {path} holds no certificate", "Correct the path.")
    days = int((end_s - now_s) // _DAY_S)
    text = f"{use}: {path} ends in {days} days" if days >= 0 else f"{use}: {path} has ended"
    if days < _LATE_DAYS:
        return error("certificates", text, "Renew it now.")
    if days < _RENEW_DAYS:
        return warning("certificates", text, "Renew it.")
    return ok("certificates", text)


def tokens(patient: Patient) -> Iterator[Finding]:
    """The file of API tokens can be used, and none ends unnoticed."""
    path = patient.home.resolve(patient.home.config.access.tokens)
    try:
        rows = load_tokens(path).tokens
    except KeyFileError as fault:
        yield error("tokens", str(fault), f"The gateway does not start with it: chmod 600 {path}")
        return
    now_ms = time.time_ns() // 1_000_000
    valid = [row for row in rows if row.revoked_ms is None and (row.expires_ms or now_ms) >= now_ms]
    soon_ms = now_ms + _TOKEN_DAYS * _DAY_S * 1_000
    ending = [row.name for row in valid if row.expires_ms is not None and row.expires_ms < soon_ms]
    if ending:
        advice = "Make a new one in time: `concordat tokens revoke` and `add` with the same name."
        text = f"API tokens that end within {_TOKEN_DAYS} days: {', '.join(ending)}"
        yield warning("tokens", text, advice)
    elif valid:
        yield ok("tokens", f"{len(valid)} API tokens are valid")


def progress(patient: Patient) -> Iterator[Finding]:
    """When the member runs, it makes progress, and runs this release."""
    if patient.status is None:
        yield ok("progress", "the gateway does not run here; nothing is known of the network")
        return
    found = patient.status["progress"]
    if found["state"] == "ok":
        yield ok("progress", found["explanation"])
    else:
        advice = "`concordat status --watch` shows how it goes on: see monitoring.md."
        yield warning("progress", f"{found['state']}: {found['explanation']}", advice)
    running = patient.status["gateway"]["version"]
    if running != VERSION:
        text = f"the gateway that runs is of release {running}, this command of {VERSION}"
        yield warning("version", text, "Restart the member to finish the upgrade.")


def is_local(address: str) -> bool:
    """Say whether an address to listen on is reached from this machine alone."""
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


GATEWAY_CHECKS: Final = (access, surfaces, certificates, tokens, progress)
