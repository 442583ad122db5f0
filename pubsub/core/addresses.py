"""What an IP address means: of the internet or not, and which other addresses stand inside it.

Owns the judgement alone: nothing here resolves a name. An IPv6 address that carries an IPv4
address (mapped, translated, tunnelled) may end where that one ends, so every address that stands
inside must be as good as the one outside. What is not known to be of the internet is not.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

__all__ = ["Address", "is_internet", "is_never_called", "read_literal"]

Address = IPv4Address | IPv6Address

_UNICAST: Final = IPv6Network("2000::/3")  # all that was ever given out
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE: Final = IPv6Network("::/96")
_IPV4_MASK: Final = 0xFFFF_FFFF
# Reserved, though the library of some Python version calls them global.
_RESERVED: Final = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("2001::/23"),
    IPv6Network("3fff::/20"),
)
# Instance metadata of clouds that is neither link-local nor on the internet.
_METADATA: Final = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))


def read_literal(host: str) -> Address | None:
    """Give the address that a host is written as, or None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_internet(address: Address) -> bool:
    """Say whether an address, and every one inside it, is a host of the internet."""
    return all(map(_is_public, _meanings(address)))


def is_never_called(address: Address) -> bool:
    """Say whether not even a private network may be entered by it: link-local, cloud metadata."""
    return any(
        one.is_link_local or one.is_multicast or one.is_unspecified or one in _METADATA
        for one in _meanings(address)
    )


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    is_reserved = any(address in network for network in _RESERVED)
    return address.is_global and not (address.is_multicast or is_reserved)


def _meanings(address: Address) -> list[Address]:
    """Give the addresses that a packet to ``address`` may end at."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner = IPv4Address(int(address) & _IPV4_MASK)
    if address in _NAT64[0]:
        return [inner]
    if address in _NAT64[1] or (address in _COMPATIBLE and int(address) > 1):
        return [address, inner]
    if address.teredo is not None:
        return [address, *address.teredo]
    return [address] if address.sixtofour is None else [address, address.sixtofour]
