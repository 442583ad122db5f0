"""edwards25519 and ZIP-215 stated again in plain Python integers, to check the kernels against.

Never imports the kernels. Slow and obvious on purpose.
"""

from hashlib import sha512

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SIGN_BIT = 1 << 255

Point = tuple[int, int]
Check = tuple[bytes, bytes, bytes]

IDENTITY: Point = (0, 1)


def x_candidates(y: int) -> list[int]:
    """Give the x that lie above y: none, one (zero) or two."""
    ratio = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(ratio, (P + 3) // 8, P)
    if root * root % P != ratio:
        root = root * pow(2, (P - 1) // 4, P) % P
    if root * root % P != ratio:
        return []
    return sorted({root, P - root}) if root else [0]


def decode(encoding: bytes) -> Point | None:
    """Give the point of an encoding under ZIP-215, or None."""
    number = int.from_bytes(encoding, "little")
    y = number % SIGN_BIT % P
    odd = number >> 255
    xs = x_candidates(y)
    if not xs:
        return None
    return (next((x for x in xs if x & 1 == odd), xs[0]), y)


def encode(point: Point) -> bytes:
    """Give the canonical encoding."""
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def encodings(point: Point) -> list[bytes]:
    """Give every encoding that decodes to the point."""
    x, y = point
    ys = [y, y + P] if y + P < SIGN_BIT else [y]
    signs = [0, 1] if x == 0 else [x & 1]
    return [(number | sign << 255).to_bytes(32, "little") for number in ys for sign in signs]


def add(a: Point, b: Point) -> Point:
    """Add by the complete affine law."""
    (x1, y1), (x2, y2) = a, b
    product = D * x1 * x2 * y1 * y2 % P
    x3 = (x1 * y2 + y1 * x2) * pow(1 + product, -1, P) % P
    y3 = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P
    return (x3, y3)


def negate(a: Point) -> Point:
    """Give the inverse."""
    return (-a[0] % P, a[1])


def multiply(scalar: int, a: Point) -> Point:
    """Double and add."""
    result = IDENTITY
    for bit in f"{scalar:b}":
        result = add(result, result)
        if bit == "1":
            result = add(result, a)
    return result


BASE: Point = (x_candidates(4 * pow(5, -1, P) % P)[0], 4 * pow(5, -1, P) % P)
BASE = BASE if BASE[0] % 2 == 0 else negate(BASE)


def _torsion_generator() -> Point:
    y = 2
    while True:
        for x in x_candidates(y)[:1]:
            point = multiply(L, (x, y))
            if multiply(4, point) != IDENTITY:
                return point
        y += 1


TORSION = [multiply(i, _torsion_generator()) for i in range(8)]


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    """Give k over the bytes as received."""
    return int.from_bytes(sha512(r + key + message).digest(), "little") % L


def sign_with_torsion(
    secret: int, nonce: int, message: bytes, torsion: tuple[Point, Point]
) -> Check:
    """Sign under a key and with an R that both carry a small-order part: valid under ZIP-215."""
    key = encode(add(multiply(secret, BASE), torsion[0]))
    r = encode(add(multiply(nonce, BASE), torsion[1]))
    s = (nonce + challenge(r, key, message) * secret) % L
    return (key, message, r + s.to_bytes(32, "little"))


def is_valid(check: Check) -> bool:
    """Judge one signature by the words of ZIP-215."""
    key, message, signature = check
    s = int.from_bytes(signature[32:], "little")
    a, r = decode(key), decode(signature[:32])
    if s >= L or a is None or r is None:
        return False
    k = challenge(signature[:32], key, message)
    rest = add(multiply(s, BASE), negate(add(r, multiply(k, a))))
    return multiply(8, rest) == IDENTITY
