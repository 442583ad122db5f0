"""Signatures for the tests of the kernels, good and bad, and an independent judge of them."""

import random
from functools import cache

from ed25519_zebra import ed_verify  # type: ignore[import-untyped]
from nacl.signing import SigningKey

from tests.native import curve
from tests.native.curve import Check


@cache
def honest(count: int, keys: int) -> tuple[Check, ...]:
    """Give honest signatures of messages of many lengths, under `keys` keys in turn."""
    signers = [SigningKey(i.to_bytes(32, "big")) for i in range(1, keys + 1)]
    checks = []
    for i in range(count):
        signer = signers[i % keys]
        message = i.to_bytes(4, "big") * (i % 71)
        checks.append((bytes(signer.verify_key), message, signer.sign(message).signature))
    return tuple(checks)


def spoil(check: Check) -> Check:
    """Make a valid signature invalid: one bit of s."""
    key, message, signature = check
    return (key, message, signature[:40] + bytes([signature[40] ^ 4]) + signature[41:])


def oracle(check: Check) -> bool:
    """Judge by ed25519-zebra."""
    key, message, signature = check
    try:
        return bool(ed_verify(signature, message, key))
    except ValueError:
        return False


def bent(check: Check, generator: random.Random) -> Check:
    """Change a check in one of the ways an attacker would."""
    key, message, signature = check
    small = generator.choice(curve.encodings(generator.choice(curve.TORSION)))
    noise = generator.randbytes(32)
    return generator.choice(
        [
            (small, message, signature),
            (key, message, small + signature[32:]),
            (small, message, small + bytes(32)),
            (noise, message, signature),
            (key, message, noise + signature[32:]),
            (key, message, signature[:32] + noise),
            (key, message + b"x", signature),
            (signature[:32], message, signature),
            spoil(check),
        ]
    )
