"""The network in user space: what arrives where and when, without a device."""

import random

from tests.chaos.switch import Link, Links


def packet(source: int, target: int, mark: int = 0) -> bytes:
    """Make an IPv4 packet from one member to another."""
    header = bytearray(20)
    header[0] = 0x45
    header[15], header[19] = source + 1, target + 1
    return bytes(header) + mark.to_bytes(4, "big")


def links(link: Link, members: int = 3) -> Links:
    """Give a network all of whose links are alike."""
    made = Links(members, random.Random(5))
    made.change([[link] * members] * members)
    return made


def arrivals(network: Links, now_s: float) -> list[tuple[int, int]]:
    """Give (member, mark) of what arrives by now."""
    return [(member, int.from_bytes(data[20:], "big")) for member, data in network.due(now_s)]


def test_a_packet_arrives_at_its_target_after_the_delay() -> None:
    """Nothing is there before the delay is over, and then it is at the member it is for."""
    network = links(Link(delay_s=0.5))
    network.put(1.0, packet(0, 2, 7))
    assert arrivals(network, 1.49) == []
    assert network.next_s() == 1.5
    assert arrivals(network, 1.5) == [(2, 7)]
    assert network.next_s() is None


def test_jitter_keeps_the_order_of_a_link() -> None:
    """Packets of one link come late, never in another order."""
    network = links(Link(delay_s=0.1, jitter_s=0.5))
    for mark in range(50):
        network.put(mark / 100, packet(0, 1, mark))
    assert arrivals(network, 10.0) == [(1, mark) for mark in range(50)]


def test_reordering_lets_packets_overtake() -> None:
    """Some packets come after younger ones, and none is lost."""
    network = links(Link(delay_s=0.1, reorder=0.3))
    for mark in range(50):
        network.put(mark / 100, packet(0, 1, mark))
    marks = [mark for _, mark in arrivals(network, 10.0)]
    assert marks != sorted(marks)
    assert sorted(marks) == list(range(50))


def test_loss_takes_its_share() -> None:
    """About the chosen share vanishes, and is counted."""
    network = links(Link(loss=0.2))
    for _ in range(1_000):
        network.put(0.0, packet(0, 1))
    arrived = len(arrivals(network, 0.0))
    assert 750 < arrived < 850
    assert network.lost_count == 1_000 - arrived


def test_a_cut_goes_one_way() -> None:
    """What goes the cut way is lost; the other way is open."""
    network = Links(2, random.Random(5))
    network.change([[Link(), Link(is_cut=True)], [Link(), Link()]])
    network.put(0.0, packet(0, 1, 1))
    network.put(0.0, packet(1, 0, 2))
    assert arrivals(network, 0.0) == [(0, 2)]


def test_what_is_for_no_member_is_dropped() -> None:
    """Other addresses, other protocols and stubs vanish quietly."""
    network = links(Link())
    for data in (packet(0, 200), packet(200, 0), b"\x60" + bytes(60), b"", b"\x45"):
        network.put(0.0, data)
    assert arrivals(network, 0.0) == []
