"""Signatures in one buffer get the verdicts that they get in a list."""

import random

import pytest
from nacl.signing import SigningKey

from ledger.native import ed25519
from tests.native.curve import Check
from tests.native.signatures import bent, oracle

every_path = pytest.mark.parametrize("path", ed25519.implementations())
SIGNERS = [SigningKey(i.to_bytes(32, "big")) for i in range(1, 8)]


def checks_of(message_bytes: int, count: int) -> list[Check]:
    """Give good and bad checks whose messages have one length."""
    generator = random.Random(count)
    checks: list[Check] = []
    while len(checks) < count:
        signer, message = generator.choice(SIGNERS), generator.randbytes(message_bytes)
        check = (bytes(signer.verify_key), message, signer.sign(message).signature)
        changed = bent(check, generator) if generator.randrange(4) == 0 else check
        checks.append(changed if len(changed[1]) == message_bytes else check)
    return checks


@every_path
@pytest.mark.parametrize("message_bytes", [0, 1, 51, 200])
@pytest.mark.parametrize("count", [0, 1, 8, 9, 70])
def test_rows_get_the_oracles_verdicts(path: str, message_bytes: int, count: int) -> None:
    """Good and bad rows, any number of them, are judged as one by one."""
    checks = checks_of(message_bytes, count)
    rows = b"".join(key + signature + message for key, message, signature in checks)
    verdicts = ed25519.verify_rows(rows, message_bytes, implementation=path)
    assert verdicts == bytes(map(oracle, checks))


@pytest.mark.parametrize("size", [1, 95, 97, 149])
def test_rows_are_whole(size: int) -> None:
    """A buffer that is no whole number of rows is the caller's bug."""
    with pytest.raises(ValueError, match="rows are"):
        ed25519.verify_rows(bytes(size), 52)
    with pytest.raises(ValueError, match="rows are"):
        ed25519.verify_rows(b"", -1)
