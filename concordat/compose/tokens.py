"""What [authorisation] says about foreign tokens and certificates, for whoever verifies them."""

from adapters.credentials.verifier import ExternalVerifier
from concordat.config import AuthorisationSection
from concordat.home import Home, HomeError

__all__ = ["foreign_verifiers", "trust_anchors"]


def trust_anchors(home: Home) -> bytes:
    """Read the PEM certificates that may certify organisations; empty when none are named.

    Raises:
        HomeError: the file cannot be read.
    """
    named = home.config.authorisation.trust_anchors
    if not named:
        return b""
    path = home.resolve(named)
    try:
        return path.read_bytes()
    except OSError as error:
        raise HomeError(f"cannot read {path}: {error.strerror}") from None


def foreign_verifiers(section: AuthorisationSection) -> tuple[ExternalVerifier, ...]:
    """Give the verifiers whose tokens are accepted."""
    return tuple(
        ExternalVerifier(issuer, frozenset(audiences.split()))
        for issuer, audiences in section.verifiers.items()
    )
