"""Entries and batches, right and wrong in every way that a decoder may overlook.

Everything is drawn from one seeded generator. `entry_case` gives bytes that are an entry, nearly
one, or none; `batch_case` the same for batches. `reference` says what the Python codec makes of
an entry.
"""

import random
from typing import NamedTuple

from ledger.core import limits
from ledger.core.admission import try_open
from ledger.core.codec import encode
from ledger.core.errors import RejectCode

Fields = list[bytes]


class Found(NamedTuple):
    """What an entry says, as far as the scanner extracts it."""

    id: bytes
    chain_id: bytes
    topic: bytes
    publisher: bytes
    key: bytes
    type: bytes
    subject: bytes
    time_ms: int


def reference(entry: bytes) -> Found | RejectCode:
    """Open an entry with the Python codec."""
    opened = try_open(entry)
    if isinstance(opened, RejectCode):
        return opened
    event = opened.event
    return Found(
        opened.id,
        event.chain_id.encode(),
        event.topic.encode(),
        event.publisher.encode(),
        event.key,
        event.type.encode(),
        event.subject.encode(),
        event.time_ms,
    )


def join(fields: Fields, signature: bytes) -> bytes:
    """Lay out an entry of encoded fields."""
    return b"\x92\x9f" + b"".join(fields) + signature


ALPHABETS = ("ab-_.Z9", "a.b.c.d", "aé", "☃b", "\U0001f680", "\x00\x7f\x80ࠀ￿", "a:%._-")
INTEGERS = (0, 1, 127, 128, 255, 256, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1)
BAD_TEXT = (
    b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xc2\x7f", b"\xe0\x80\x80",
    b"\xe0\x9f\xbf", b"\xe2\x98", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xfe\xff",
    b"\xf0\x9f\x9a", b"\xe2\x98\x83\x80", b"\xf4\x8f\xbf\xc0",
)  # fmt: skip
GOOD_TEXT = (b"\xc2\x80", b"\xdf\xbf", b"\xe0\xa0\x80", b"\xed\x9f\xbf", b"\xee\x80\x80",
             b"\xef\xbf\xbf", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf", b"\x00")  # fmt: skip
FOREIGN = (
    b"\xc0", b"\xc1", b"\xc2", b"\xc3", b"\xca\x3f\x80\0\0", b"\xcb\x3f\xf0\0\0\0\0\0\0",
    b"\xd0\x01", b"\xd1\0\x01", b"\xd2\0\0\0\x01", b"\xd3" + bytes(7) + b"\x01", b"\xff",
    b"\xd0\xff", b"\xd4\x01a", b"\xd6\xff\0\0\0\0", b"\xd7\xff" + bytes(8), b"\xc7\x01\x05a",
    b"\xc7\x0c\xff" + bytes(12), b"\x80", b"\x81\x01\x02", b"\x90", b"\x91\x01", b"\xdc\0\0",
    b"\xdd\0\0\0\0", b"\xdf\0\0\0\0", b"\xcf" + b"\xff" * 8, b"\xcf\x80" + bytes(7),
    b"\xcf\x7f" + b"\xff" * 7, b"\x91" * 40 + b"\xc0", b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff", b"\xda\xff\xff", b"\xc5\xff\xff",
    b"\xdd\xff\xff\xff\xff", b"\xde\xff\xff", b"\x9f", b"\xbf", b"\x8f",
)  # fmt: skip


def integer(generator: random.Random) -> bytes:
    """Encode an integer: mostly in its own form, sometimes in a longer one or beyond a limit."""
    value = generator.choice((*INTEGERS, generator.getrandbits(generator.randrange(1, 64))))
    forms = [n for n in (1, 2, 4, 8) if value < 1 << 8 * n]
    if generator.randrange(3) == 0:
        size = generator.choice(forms)
        return bytes([0xCC + (1, 2, 4, 8).index(size)]) + value.to_bytes(size, "big")
    return encode(value)


def framed(generator: random.Random, content: bytes, heads: tuple[int, int, int]) -> bytes:
    """Put a length before content, at times in a longer form or wrong by one."""
    length = len(content)
    if generator.randrange(8) == 0:
        length = max(0, length + generator.choice([-1, 1]))
    sizes = [n for n in (1, 2, 4) if length < 1 << 8 * n]
    size = generator.choice(sizes) if generator.randrange(3) == 0 else sizes[0]
    if heads[0] == 0xD9 and length < 32 and generator.randrange(3):
        return bytes([0xA0 | length]) + content
    return bytes([heads[(1, 2, 4).index(size)]]) + length.to_bytes(size, "big") + content


def text_content(generator: random.Random, chars_max: int) -> bytes:
    """Give text around a limit of characters or short, at times no UTF-8."""
    wanted = generator.choice([0, 1, 2, 7, 8, 9, 31, 32, chars_max - 1, chars_max, chars_max + 1])
    alphabet = generator.choice(ALPHABETS)
    content = "".join(generator.choices(alphabet, k=wanted)).encode()
    if generator.randrange(3) == 0:
        place = generator.randrange(len(content) + 1)
        content = content[:place] + generator.choice(BAD_TEXT + GOOD_TEXT) + content[place:]
    return content


def text(generator: random.Random, chars_max: int) -> bytes:
    """Encode text around a limit."""
    return framed(generator, text_content(generator, chars_max), (0xD9, 0xDA, 0xDB))


def blob(generator: random.Random, lengths: tuple[int, ...]) -> bytes:
    """Encode bytes of one of some lengths."""
    content = generator.randbytes(generator.choice(lengths))
    return framed(generator, content, (0xC4, 0xC5, 0xC6))


def topic(generator: random.Random) -> bytes:
    """Encode something like a topic: tokens of any count and length, at times a wrong sign."""
    count = generator.choice([1, 2, 4, limits.TOPIC_TOKENS_MAX, limits.TOPIC_TOKENS_MAX + 1])
    lengths = [0, 1, 1, 1, 2, 2, 3, 5, 63, 64, 65] if generator.randrange(3) == 0 else [1, 5, 14]
    letters = "abyzABYZ0189_-"
    tokens = [
        "".join(generator.choices(letters, k=generator.choice(lengths))) for _ in range(count)
    ]
    name = ".".join(tokens)
    if generator.randrange(6) == 0:
        wanted = limits.TOPIC_CHARS_MAX + generator.choice([-1, 0, 1])
        name = ("t" * 50 + ".") * 4 + "t" * (wanted - 204)
    if generator.randrange(3) == 0:
        place = generator.randrange(len(name) + 1)
        name = name[:place] + generator.choice("*>./:@[`{^ \n\0é^~") + name[place:]
    return framed(generator, name.encode(), (0xD9, 0xDA, 0xDB))


def did(generator: random.Random) -> bytes:
    """Encode something like a DID, with its parts around their limits."""
    method = "".join(generator.choices("az09", k=generator.choice([0, 1, 3, 31, 32, 33])))
    name = "".join(generator.choices("aZ9._:%-", k=generator.choice([0, 1, 9, 199, 200, 201])))
    whole = f"{generator.choice(['did', 'did', 'did', 'Did', 'di', ''])}:{method}:{name}"
    if generator.randrange(3) == 0:
        place = generator.randrange(len(whole) + 1)
        whole = whole[:place] + generator.choice("/@ \n\0é[`{Aa:") + whole[place:]
    return framed(generator, whole.encode(), (0xD9, 0xDA, 0xDB))


def tags(generator: random.Random) -> bytes:
    """Encode tags around their limits of number and length."""
    count = generator.choice([0, 1, 2, 15, 16, 17])
    sizes = (limits.TAG_CHARS_MAX, 3, 3, 3)
    items = [
        text(generator, generator.choice(sizes)) if generator.randrange(9) == 0 else b"\xa1t"
        for _ in range(count)
    ]
    if generator.randrange(4) == 0:
        head = generator.choice(
            [b"\xdc" + count.to_bytes(2, "big"), b"\xdd\0\0\0" + bytes([count])]
        )
    else:
        head = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    return head + b"".join(items)


HASHES = (0, 32, 31, 33, 1)
DATA = (0, 1, 255, 256, 32_767, 32_768, 32_769)
MAKERS = (
    lambda g: g.choice([b"\x00", b"\x02", b"\xcc\x01", b"\xcb\x3f\xf0\0\0\0\0\0\0", b"\xc3"]),
    lambda g: text(g, limits.CHAIN_ID_CHARS_MAX),
    topic,
    did,
    lambda g: blob(g, HASHES),
    integer,
    integer,
    lambda g: text(g, limits.EVENT_TYPE_CHARS_MAX),
    lambda g: text(g, limits.SUBJECT_CHARS_MAX),
    lambda g: blob(g, HASHES),
    lambda g: blob(g, HASHES),
    lambda g: text(g, limits.LOCATION_CHARS_MAX),
    lambda g: text(g, limits.CONTENT_TYPE_CHARS_MAX),
    lambda g: blob(g, DATA),
    tags,
)


def good_fields(generator: random.Random) -> Fields:
    """Encode the fields of an event that is right."""
    few = generator.randrange(4)
    values = (
        1,
        "chain-0011",
        generator.choice(["catalog.offering.changed", "news", "a.b"]),
        f"did:web:publisher-{few}.example",
        bytes([few]) * 32,
        generator.getrandbits(generator.randrange(1, 63)),
        1_790_000_000_000 + generator.randrange(10**6),
        "org.example.offering.changed",
        f"urn:offering:{generator.randrange(1000)}",
        generator.choice([b"", bytes(32)]),
        b"",
        "https://alice.example/é",
        "application/json",
        bytes(generator.randrange(40)),
        ("a", "b")[: generator.randrange(3)],
    )
    return [encode(value) for value in values]


def mutated(generator: random.Random, data: bytes) -> bytes:
    """Change some bytes: flip, cut, add, drop, repeat."""
    changed = bytearray(data)
    for _ in range(generator.choice([1, 1, 1, 2, 4])):
        place = generator.randrange(len(changed) + 1)
        kind = generator.randrange(6)
        if kind == 0:
            del changed[place:]
        elif kind == 1:
            changed[place:place] = generator.randbytes(generator.choice([1, 1, 3]))
        elif kind == 2:
            del changed[place : place + generator.choice([1, 1, 2, 30])]
        elif kind == 3:
            changed += generator.choice([b"\0", b"\xc0", b"\xc4\x40", data])
        elif place < len(changed):
            changed[place] ^= 1 << generator.randrange(8) if kind == 4 else generator.randrange(256)
    return bytes(changed)


def entry_case(generator: random.Random) -> bytes:
    """Give an entry, nearly one, or none."""
    fields = good_fields(generator)
    signature = b"\xc4\x40" + generator.randbytes(64)
    kind = generator.randrange(10)
    if kind < 5:
        for place in generator.sample(range(15), generator.choice([1, 1, 1, 2])):
            fields[place] = MAKERS[place](generator)
    elif kind == 5:
        fields[generator.randrange(15)] = generator.choice(FOREIGN)
    elif kind == 6:
        signature = generator.choice(
            [blob(generator, (63, 64, 65)), generator.choice(FOREIGN), b"", signature + b"\0"]
        )
    elif kind == 7:
        del fields[generator.randrange(15)]
    entry = join(fields, signature)
    return mutated(generator, entry) if generator.randrange(3) == 0 or kind == 8 else entry


def batch_case(generator: random.Random, entries: list[bytes]) -> bytes:
    """Give a batch of these entries, nearly one, or none."""
    origin = encode(generator.choice([0, 99, 100])) if generator.randrange(3) == 0 else b"\0"
    sequence = integer(generator)
    count = len(entries)
    long_head = b"\xdc" + count.to_bytes(2, "big")
    head = bytes([0x90 | count]) if count < 16 and generator.randrange(9) else long_head
    frames = [
        framed(generator, item, (0xC4, 0xC5, 0xC6))
        if generator.randrange(30) == 0
        else encode(item)
        for item in entries
    ]
    batch = (
        generator.choice([b"\x93"] * 9 + [b"\x92"]) + origin + sequence + head + b"".join(frames)
    )
    return mutated(generator, batch) if generator.randrange(4) == 0 else batch
