"""Checks of what others see: the ports, every peer's address and TLS key, and clocks.

A peer is dialled with a key made for this, and left before anything is said: to it that is one
stranger more, and a connection of this member's own node is not disturbed.
"""

import secrets
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import httpx
import msgspec

from concordat.doctor.finding import Finding, Patient, error, ok, warning
from concordat.home import split_address
from consensus.io.tls import PeerIdentity, peer_key
from ledger.core.errors import Offence, PeerFault
from ledger.core.limits import HANDSHAKE_MS_MAX
from ledger.core.validators import Validator
from ledger.io.keystore import KeyFileError, read_key_info
from pubsub.core.documents import Status

__all__ = ["NETWORK_CHECKS", "dial"]

_DIALLERS: Final = 16
_LOOKS: Final = 12
_LOOK_S: Final = 0.25  # an idle network makes a block every two seconds
_APART_MS: Final = 1_000
_AHEAD_MS: Final = 250
_decode: Final = msgspec.json.Decoder(Status).decode


class _Shown(NamedTuple):
    """The certificate that the other end showed, as ``peer_key`` asks for it."""

    encoded: bytes | None

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        """Give it."""
        assert binary_form
        return self.encoded


def ports(patient: Patient) -> Iterator[Finding]:
    """Both ports can be listened on, or it is this member that does."""
    config = patient.home.config
    for name, address, is_ours in (
        ("node.listen", config.node.listen, patient.is_node_running),
        ("gateway.listen", config.gateway.listen, patient.status is not None),
    ):
        yield _port(name, address, is_ours=is_ours)


def _port(name: str, address: str, *, is_ours: bool) -> Finding:
    host, port = split_address(address)
    if is_ours:
        return ok("ports", f"{name} {address}: this member listens there")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the member itself does; without listening this is in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as fault:
        advice = "Stop what listens there, or choose another port or an address of this machine."
        return error("ports", f"{name} {address}: {fault.strerror}", advice)
    return ok("ports", f"{name} {address}: free")


def peers(patient: Patient) -> Iterator[Finding]:
    """Each other validator is where the network says, and holds the key that it pins."""
    others = _others(patient)
    if not others:
        return
    given = patient.home.config.node.peers
    wanted = [(one, given.get(one.name, one.address)) for one in others]
    with ThreadPoolExecutor(min(_DIALLERS, len(wanted))) as threads:
        faults = list(threads.map(lambda row: dial(row[1], row[0].peer_key), wanted))
    for (one, address), fault in zip(wanted, faults, strict=True):
        text = f"{one.name} at {address}"
        if fault is None:
            yield ok("peers", f"{text} answers with the pinned key")
        elif isinstance(fault, PeerFault):
            advice = "Somebody else listens there, or its key changed: ask its operator."
            yield error("peers", f"{text}: {fault}", advice)
        else:
            advice = "Is it up? Check the address (node.peers for another one), DNS and firewalls."
            yield warning("peers", f"{text} cannot be reached: {fault}", advice)
    yield from _quorum(patient, sum(fault is None for fault in faults) + 1)


def _others(patient: Patient) -> list[Validator]:
    try:
        info = read_key_info(patient.home.resolve(patient.home.config.keys.validator))
    except KeyFileError:
        return list(patient.validators)
    return [one for one in patient.validators if one.key != info.public_key]


def _quorum(patient: Patient, here: int) -> Iterator[Finding]:
    count = len(patient.validators)
    quorum = count - (count - 1) // 3
    if here < quorum:
        text = f"{here} of {count} validators can be reached, this one included; {quorum} must be"
        yield warning("quorum", text, "Nothing becomes final before that: see lost-quorum.md.")


def dial(address: str, pinned: bytes) -> Exception | None:
    """Connect to a peer and leave at once; give what is wrong, a PeerFault for a wrong key."""
    context = PeerIdentity(secrets.token_bytes(32)).client
    try:
        target = split_address(address)
        timeout_s = HANDSHAKE_MS_MAX / 1_000
        with (
            socket.create_connection(target, timeout=timeout_s) as plain,
            context.wrap_socket(plain) as stream,
        ):
            found = peer_key(_Shown(stream.getpeercert(binary_form=True)))
    except PeerFault as fault:
        return fault
    except (OSError, UnicodeError) as fault:  # UnicodeError: no host can have such a name
        return fault
    if found != pinned:
        return PeerFault(Offence.WRONG_IDENTITY, "another key than the pinned one")
    return None


def clocks(patient: Patient) -> Iterator[Finding]:
    """New blocks are neither from the future nor old when they come: leaders' clocks are ours."""
    if patient.status is None:
        return
    url = f"http://{patient.home.config.gateway.listen}/v1/status"
    heights: dict[int, int] = {}
    with httpx.Client(timeout=1.0) as client:
        for number in range(_LOOKS):
            if number:
                time.sleep(_LOOK_S)
            try:
                chain = _decode(client.get(url).content).chain
            except (httpx.HTTPError, msgspec.MsgspecError):
                return
            if chain is not None and chain.height not in heights:
                heights[chain.height] = time.time_ns() // 1_000_000 - chain.time_ms
    ages_ms = list(heights.values())[1:]  # the first one may have been there for long
    # An empty block is final only when the next one is made.
    usual_ms = 2 * patient.home.config.consensus.idle_interval_ms + _APART_MS
    yield from _judge_clocks(ages_ms, usual_ms)


def _judge_clocks(ages_ms: list[int], usual_ms: int) -> Iterator[Finding]:
    """Judge the ages of new blocks at the first sight of each; ``usual_ms`` is no sign of much."""
    advice = (
        "Synchronise the clocks (chrony, systemd-timesyncd) here and at the leader of the block."
    )
    if not ages_ms:
        return
    if min(ages_ms) < -_AHEAD_MS:
        text = f"a leader's clock is {-min(ages_ms)} ms ahead of this one"
        yield warning("clocks", text, advice)
    elif max(ages_ms) > usual_ms:
        text = f"new blocks are up to {max(ages_ms)} ms old: clocks differ, or finality is slow"
        yield warning("clocks", text, advice)
    else:
        yield ok("clocks", f"{len(ages_ms)} new blocks bear the time of this clock")


NETWORK_CHECKS: Final = (ports, peers, clocks)
