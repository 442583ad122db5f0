"""Until when the certificates in a file hold."""

from pathlib import Path
from typing import Final

from cryptography import x509

__all__ = ["certificate_expiry_s"]

_BYTES_MAX: Final = 2**20  # a file of certificates; larger ones are something else


def certificate_expiry_s(path: Path) -> int | None:
    """Give the end of the first certificate to expire, in seconds since 1970.

    Args:
        path: PEM, with one certificate or more.

    Returns:
        None when the file cannot be read or holds no certificate.
    """
    try:
        with path.open("rb") as file:
            found = x509.load_pem_x509_certificates(file.read(_BYTES_MAX))
    except (OSError, ValueError):
        return None
    return min(int(one.not_valid_after_utc.timestamp()) for one in found)
