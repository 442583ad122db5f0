"""The Ed25519 kernels agree with ZIP-215, with each other and with an oracle."""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from ledger.native import ed25519
from tests.native import curve
from tests.native.curve import Check, L, P
from tests.native.signatures import bent, honest, oracle, spoil

PATHS = ed25519.implementations()
WINDOW_SIZES = [n + step for n in (256, 512, 1024, 2048, 4096) for step in (-1, 0, 1)]

every_path = pytest.mark.parametrize("path", PATHS)


def verdicts(checks: list[Check], path: str) -> list[bool]:
    """Judge by every entry point and see them agree."""
    each = ed25519.verify_each(checks, implementation=path)
    assert ed25519.verify_many(checks, implementation=path) == each
    assert ed25519.verify_batch(checks, implementation=path) == all(each)
    for check, verdict in zip(checks, each, strict=True):
        assert ed25519.verify_batch([check], implementation=path) == verdict
        assert ed25519.verify_many([check], implementation=path) == [verdict]
    return each


@every_path
def test_honest_signatures_are_valid(path: str) -> None:
    """Signatures of libsodium, over messages from nothing to several hash blocks, are valid."""
    checks = [*honest(72, 72)]
    for length in (0, 1, 47, 48, 49, 63, 64, 65, 111, 112, 127, 128, 129, 175, 176, 177, 5000):
        signer = SigningKey(bytes(32))
        message = bytes(length)
        checks.append((bytes(signer.verify_key), message, signer.sign(message).signature))
    assert verdicts(checks, path) == [True] * len(checks)


@every_path
def test_small_order_points_in_every_encoding(path: str) -> None:
    """All 14 x 14 encodings of small-order A and R with s = 0 are valid, canonical or not."""
    points = [encoding for point in curve.TORSION for encoding in curve.encodings(point)]
    assert len(points) == 14
    checks = [(a, b"Zcash", r + bytes(32)) for a, r in product(points, points)]
    assert [oracle(check) for check in checks] == [True] * 196
    assert verdicts(checks, path) == [True] * 196


@every_path
def test_non_canonical_y(path: str) -> None:
    """Every y in [p, 2^255), with either sign, decodes exactly when ZIP-215 says so."""
    honest_key, message, signature = honest(1, 1)[0]
    checks: list[Check] = []
    for y, sign in product(range(P, 2**255), (0, 1)):
        encoding = (y | sign << 255).to_bytes(32, "little")
        checks += [
            (encoding, message, signature),
            (honest_key, message, encoding + signature[32:]),
            (encoding, message, encoding + bytes(32)),
        ]
        assert ed25519.is_valid_point(encoding) == (curve.decode(encoding) is not None)
    expected = [curve.is_valid(check) for check in checks]
    assert sorted(set(expected)) == [False, True]
    assert [oracle(check) for check in checks] == expected
    assert verdicts(checks, path) == expected


@every_path
def test_mixed_order_keys_and_nonces(path: str) -> None:
    """A small-order part in A, in R or in both changes nothing: the equation has the cofactor."""
    pairs = product(curve.TORSION, curve.TORSION)
    checks = [
        curve.sign_with_torsion(7 + i, 1000 + i, b"torsion", pair) for i, pair in enumerate(pairs)
    ]
    assert [oracle(check) for check in checks] == [True] * 64
    assert verdicts(checks, path) == [True] * 64
    wrong = [spoil(check) for check in checks]
    assert verdicts(wrong, path) == [False] * 64


@every_path
def test_s_must_be_canonical(path: str) -> None:
    """An s of l or more is refused even where the equation holds; l - 1 is a number like others."""
    key, message, signature = honest(2, 2)[1]
    s = int.from_bytes(signature[32:], "little")
    values = [s, s + L, s + 2 * L, L, L - 1, L + 1, 2**252, 2**253 - 1, 2**255 - 1, 2**256 - 1, 0]
    checks = [(key, message, signature[:32] + v.to_bytes(32, "little")) for v in values]
    small = curve.encode(curve.TORSION[1])
    checks += [(small, b"", small + v.to_bytes(32, "little")) for v in (0, L)]
    expected = [True, *[False] * 10, True, False]
    assert [curve.is_valid(check) for check in checks] == expected
    assert verdicts(checks, path) == expected


@every_path
def test_every_single_bit_counts(path: str) -> None:
    """A flipped bit anywhere in key, message or signature makes an honest signature invalid."""
    key, _, _ = honest(1, 1)[0]
    signer = SigningKey((1).to_bytes(32, "big"))
    message = b"sixteen bytes..."
    whole = key + message + signer.sign(message).signature
    checks: list[Check] = []
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        checks.append((bytes(flipped[:32]), bytes(flipped[32:48]), bytes(flipped[48:])))
    assert not any(ed25519.verify_each(checks, implementation=path))
    assert ed25519.verify_many(checks, implementation=path) == [oracle(check) for check in checks]


@every_path
@pytest.mark.parametrize("keys", [1, 3, 10**6])
def test_batch_of_every_small_size(path: str, keys: int) -> None:
    """For each size to 140: a good batch passes, one bad signature is found wherever it stands."""
    pool = honest(140, min(keys, 140))
    for size in range(1, 141):
        checks = [*pool[:size]]
        assert ed25519.verify_batch(checks, implementation=path)
        bad = size * 7 % size if size % 2 else size - 1
        checks[bad] = spoil(checks[bad])
        assert not ed25519.verify_batch(checks, implementation=path)
        expected = [i != bad for i in range(size)]
        assert ed25519.verify_many(checks, implementation=path) == expected


@every_path
@pytest.mark.parametrize("keys", [5, 5000])
@pytest.mark.parametrize("size", WINDOW_SIZES)
def test_batch_around_every_window_switch(path: str, keys: int, size: int) -> None:
    """Around each size at which windows or chunks change, verdicts stay exact."""
    checks = [*honest(4097, keys)[:size]]
    assert ed25519.verify_batch(checks, implementation=path)
    checks[-1] = spoil(checks[-1])
    assert not ed25519.verify_batch(checks, implementation=path)


@every_path
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 40),
    bad_percent=st.sampled_from([0, 3, 50, 100]),
)
def test_any_mixture_agrees_with_the_oracle(
    path: str, seed: int, size: int, bad_percent: int
) -> None:
    """Any mixture of good, bent and foreign signatures gets the oracle's verdicts."""
    generator = random.Random(seed)
    pool = honest(140, 20)
    checks = [generator.choice(pool) for _ in range(size)]
    for i in range(size):
        if generator.randrange(100) < bad_percent:
            checks[i] = bent(checks[i], generator)
    expected = [oracle(check) for check in checks]
    assert ed25519.verify_many(checks, implementation=path) == expected
    assert ed25519.verify_each(checks, implementation=path) == expected
    assert ed25519.verify_batch(checks, implementation=path) == all(expected)


@every_path
@pytest.mark.parametrize("keys", [1, 3, 11, 30])
@pytest.mark.parametrize("bad_share", [0.02, 0.5, 1.0])
def test_what_is_false_by_itself_leaves_the_rest_exact(
    path: str, keys: int, bad_share: float
) -> None:
    """Lists with s >= l, points that do not decode and wrong s, under rare and frequent keys."""
    generator = random.Random(keys)
    no_point = (2).to_bytes(32, "little")
    checks = [*honest(120, keys)]
    for i in generator.sample(range(120), max(1, int(120 * bad_share))):
        key, message, signature = checks[i]
        checks[i] = generator.choice(
            [
                (no_point, message, signature),
                (key, message, no_point + signature[32:]),
                (key, message, signature[:32] + b"\xff" * 32),
                spoil(checks[i]),
                bent(checks[i], generator),
            ]
        )
    expected = [oracle(check) for check in checks]
    assert ed25519.verify_many(checks, implementation=path) == expected
    dropped = [(no_point, b"", bytes(64))] * 40 + [honest(2, 2)[1]]
    assert ed25519.verify_many(dropped, implementation=path) == [False] * 40 + [True]
    assert ed25519.verify_many(dropped[:40], implementation=path) == [False] * 40


@every_path
def test_small_order_parts_under_frequent_keys(path: str) -> None:
    """Tables of a key hold for keys of mixed and of small order, which ZIP-215 accepts."""
    pairs = product(curve.TORSION, curve.TORSION)
    checks = [
        curve.sign_with_torsion(7 + i % 2, 1000 + i, bytes([i]), (pair[0], pair[1]))
        for i, pair in enumerate(pairs)
    ]
    small = [encoding for point in curve.TORSION for encoding in curve.encodings(point)]
    checks += [(key, bytes([i]), small[i] + bytes(32)) for i in range(14) for key in small[::5]]
    checks[0] = spoil(checks[0])
    expected = [oracle(check) for check in checks]
    assert expected.count(False) == 1
    assert ed25519.verify_many(checks, implementation=path) == expected


@every_path
def test_errors_do_not_cancel(path: str) -> None:
    """Two wrong signatures whose errors sum to zero fail: the coefficients keep them apart."""
    first, second = honest(2, 1)
    plus, minus = (
        (key, message, signature[:32] + ((s + step) % L).to_bytes(32, "little"))
        for (key, message, signature), step in ((first, 1), (second, -1))
        for s in [int.from_bytes(signature[32:], "little")]
    )
    assert ed25519.verify_many([plus, minus], implementation=path) == [False, False]
    assert not ed25519.verify_batch([plus, minus] * 8, implementation=path)


def test_wrong_lengths_are_invalid_not_errors() -> None:
    """Keys and signatures of any other length are False; their neighbours are judged as ever."""
    good = honest(1, 1)[0]
    key, message, signature = good
    checks = [
        (key[:-1], message, signature),
        good,
        (key, message, signature + b"\0"),
        (b"", b"", b""),
        (key + b"\0", message, signature),
        (key, message, b""),
        good,
    ]
    expected = [False, True, False, False, False, False, True]
    assert ed25519.verify_many(checks) == expected
    assert ed25519.verify_each(checks) == expected
    assert not ed25519.verify_batch(checks)
    assert ed25519.verify_many([]) == []
    assert ed25519.verify_batch([])


@pytest.mark.parametrize("item", [None, (b"", b""), [b"", b"", b""], (b"", "", b""), (b"",) * 4])
def test_other_types_are_refused(item: object) -> None:
    """What is no tuple of three bytes is the caller's bug."""
    with pytest.raises(TypeError):
        ed25519.verify_many([honest(1, 1)[0], item])  # type: ignore[list-item]


def test_points() -> None:
    """Small-order keys are told apart, in every encoding; what is no point is neither."""
    for point in curve.TORSION:
        for encoding in curve.encodings(point):
            assert ed25519.is_valid_point(encoding)
            assert ed25519.is_small_order(encoding)
    mixed = curve.encode(curve.add(curve.BASE, curve.TORSION[1]))
    for encoding in (curve.encode(curve.BASE), mixed):
        assert ed25519.is_valid_point(encoding)
        assert not ed25519.is_small_order(encoding)
    for number in range(200):
        encoding = number.to_bytes(32, "little")
        assert ed25519.is_valid_point(encoding) == (curve.decode(encoding) is not None)
    for wrong in ((2).to_bytes(32, "little"), b"", bytes(31), bytes(33)):
        assert not ed25519.is_valid_point(wrong)
        assert not ed25519.is_small_order(wrong)


@every_path
def test_threads_share_nothing(path: str) -> None:
    """Calls on several threads at once give each its own verdicts."""
    pool = honest(140, 20)

    def judge(bad: int) -> list[bool]:
        checks = [spoil(check) if i == bad else check for i, check in enumerate(pool)]
        return ed25519.verify_many(checks, implementation=path)

    with ThreadPoolExecutor(4) as executor:
        for bad, result in enumerate(executor.map(judge, range(24))):
            assert result == [i != bad for i in range(140)]


def test_unknown_implementation_is_refused() -> None:
    """A name that this machine does not run is the caller's bug."""
    assert ed25519.implementation() in PATHS
    with pytest.raises(ValueError, match="no such implementation"):
        ed25519.verify_many([], implementation="abacus")
