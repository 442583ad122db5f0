"""Which addresses are of the internet, and which hosts may be named at all."""

import socket
from ipaddress import ip_address

import pytest

from pubsub.core.addresses import is_internet, is_never_called
from pubsub.io.egress import Egress, EgressError, require_endpoint

PUBLIC, PRIVATE = Egress(allows_private=False), Egress()


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_internet(address: str) -> None:
    """Hosts of the internet may be called, also where a network translates to them."""
    assert is_internet(ip_address(address))
    assert not is_never_called(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",  # noqa: S104 - what is refused
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::1",
        "2002:c0a8:101::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_not_the_internet(address: str) -> None:
    """Nothing private, local, reserved or wrapped around such an address is of the internet."""
    assert not is_internet(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fe80::1",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "224.0.0.1",
        "0.0.0.0",  # noqa: S104 - what is refused
    ],
)
def test_never_called(address: str) -> None:
    """Metadata of clouds and link-local hosts are refused in private networks, too."""
    assert is_never_called(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/",
        "ftp://a.example/",
        "file:///etc/passwd",
        "gopher://a.example/",
        "javascript:alert(1)",
        "//a.example/",
        "a.example",
        "https://",
        "https://a.example:80/",
        "https://a.example:8443/",
        "https://user@a.example/",
        "https://user:password@a.example/",
        "https://a.example\\@10.0.0.1/",
        "https://a.example#@10.0.0.1/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::1]/",
        "https://[fe80::1%25eth0]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.1.2.3/",
    ],
)
def test_public_rules(url: str) -> None:
    """Other schemes, ports, users, fragments and private literals are refused unresolved."""
    with pytest.raises(EgressError):
        require_endpoint(PUBLIC, url)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "127.0.0.1.",
        "0177.0.0.1",
        "ex%61mple.com",
        "a example",
        "a..%00b",
        "①②⑦.0.0.1",
        "-",
        "a" * 254,
    ],
)
def test_hosts_that_readers_take_for_different_things(host: str) -> None:
    """A host that one parser reads as a name and another as an address is refused everywhere."""
    for rules in (PUBLIC, PRIVATE, Egress(hosts=frozenset({host}))):
        with pytest.raises(EgressError):
            require_endpoint(rules, f"https://{host}/")


@pytest.mark.parametrize(
    "url", ["https://a.example/x?y=z", "https://a.example:443/", "https://8.8.8.8/"]
)
def test_allowed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the rules allow is allowed without a name being resolved."""
    monkeypatch.delattr(socket, "getaddrinfo")
    require_endpoint(PUBLIC, url)


@pytest.mark.parametrize("port", [0, 65_536, 99_999])
def test_ports(port: int) -> None:
    """There are no such ports."""
    with pytest.raises(EgressError):
        require_endpoint(PRIVATE, f"http://a.example:{port}/")


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[::]"])
def test_metadata_is_out_of_reach_under_any_rules(host: str) -> None:
    """Neither private networks nor a list of hosts opens what no endpoint ever is."""
    bare = host.strip("[]")
    for rules in (PUBLIC, PRIVATE, Egress(hosts=frozenset({bare}))):
        with pytest.raises(EgressError):
            require_endpoint(rules, f"http://{host}/")
