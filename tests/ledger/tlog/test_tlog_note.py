"""Signed notes and verifier keys: published ones are read, and any other bytes are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import DecodeError
from ledger.core.limits import NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX
from ledger.core.tlog.checkpoint import verify_signature
from ledger.core.tlog.note import (
    NoteSignature,
    SignatureType,
    SignedNote,
    VerifierKey,
    parse_note,
    parse_verifier_key,
    write_note,
)
from tests.independent import tlog_verifier as independent

# The example of Go's sumdb/note, of which C2SP signed-note is the specification.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
# The two examples of C2SP signed-note; the text of the second has an empty line of its own.
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n"
    "\n"
    "\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
C2SP_NOTE = (
    "Ognuno sta solo sul cuor della terra\n"
    "trafitto da un raggio di sole:\n"
    "\n"
    "ed \u00e8 subito sera.\n"
    "\n"
    "\u2014 quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
).encode()
LINE = "\u2014 name AAAAAAE=\n"


@pytest.mark.parametrize(("data", "vkey"), [(SPEC_NOTE, SPEC_KEY), (GO_NOTE, GO_KEY)])
def test_published_notes_and_keys_are_accepted(data: bytes, vkey: str) -> None:
    """The signature of a published note is that of its published key, for both verifiers."""
    note, key = parse_note(data), parse_verifier_key(vkey)
    assert key.text == vkey
    (line,) = note.signatures
    assert (line.name, line.key_id) == (key.name, key.id)
    assert verify_signature(key, note.text, line.signature) == 0
    assert verify_signature(key, note.text + "!", line.signature) is None
    text, rows = independent.open_note(data)
    assert (text, tuple(rows[0])) == (note.text, tuple(line))
    assert independent.check_line(independent.read_vkey(vkey), text, rows[0].signature) == 0


def test_text_ends_at_the_last_empty_line() -> None:
    """A text may have empty lines; what stands behind the last one signs it."""
    note = parse_note(C2SP_NOTE)
    assert note.text.endswith(":\n\ned \u00e8 subito sera.\n")
    (line,) = note.signatures
    assert line.name == "quasimodo.example/salvatore"
    assert (line.key_id, len(line.signature)) == (bytes.fromhex("367ba04b"), 64)
    assert independent.open_note(C2SP_NOTE)[0] == note.text


@pytest.mark.parametrize("note", [GO_NOTE, SPEC_NOTE, C2SP_NOTE])
def test_a_note_has_one_form(note: bytes) -> None:
    """Writing what was read gives the same bytes."""
    assert write_note(parse_note(note)) == note


@pytest.mark.parametrize("kind", SignatureType)
def test_a_key_has_one_form(kind: SignatureType) -> None:
    """Writing and reading a key gives the same key, whose id is the digest of all of it."""
    key = VerifierKey("example.com/log", kind, bytes(range(32)))
    assert parse_verifier_key(key.text) == key
    assert tuple(independent.read_vkey(key.text)) == (key.name, key.id, key.type, key.key)


def test_key_ids_tell_name_and_type_apart() -> None:
    """The same public key has another id under each name and for each type."""
    keys = [VerifierKey(name, kind, bytes(32)) for name in "ab" for kind in SignatureType]
    assert len({key.id for key in keys}) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n" + LINE,
        "text\n\n" + LINE.removesuffix("\n"),
        "text\n\n" + LINE + "\n",
        "text\r\n\n" + LINE,
        "te\x00xt\n\n" + LINE,
        "text\n\n" + LINE.replace("\u2014", "-"),
        "text\n\n" + LINE.replace(" name", "  name"),
        "text\n\n" + LINE.replace("name", ""),
        "text\n\n" + LINE.replace("name", "na+me"),
        "text\n\n" + LINE.replace("name", "na\u00a0me"),
        "text\n\n" + LINE.replace("AAAAAAE=", "AAAAAA=="),
        "text\n\n" + LINE.replace("AAAAAAE=", "AAAAAAF="),
        "text\n\n" + LINE.replace("AAAAAAE=", "AAAAAAE"),
        "text\n\n" + LINE.replace("AAAAAAE=", "AAAAAAE= x"),
        "text\n\n" + LINE.replace("AAAAAAE=", "AAAA\u00e4AAE="),
    ],
)
def test_what_is_no_note(text: str) -> None:
    """Both refuse what is no note."""
    with pytest.raises(DecodeError):
        parse_note(text.encode())
    with pytest.raises(independent.RefusedError):
        independent.open_note(text.encode())


def test_not_utf8() -> None:
    """Both refuse bytes that are not UTF-8."""
    data = b"t\xff\n\n" + LINE.encode()
    with pytest.raises(DecodeError):
        parse_note(data)
    with pytest.raises(independent.RefusedError):
        independent.open_note(data)


@pytest.mark.parametrize(("count", "accepted"), [(16, True), (256, True), (257, False)])
def test_number_of_signatures(count: int, accepted: bool) -> None:
    """A note has up to 256 signatures; the specification demands that 16 are accepted."""
    assert NOTE_SIGNATURES_MAX == 256
    data = b"text\n\n" + count * LINE.encode()
    if accepted:
        assert len(parse_note(data).signatures) == count
    else:
        with pytest.raises(DecodeError):
            parse_note(data)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_size_of_a_note(more: int) -> None:
    """A note has up to its limit of bytes."""
    frame = b"\n\n" + LINE.encode()
    data = b"x" * (NOTE_BYTES_MAX + more - len(frame)) + frame
    if more <= 0:
        assert len(parse_note(data).text) == len(data) - len(LINE.encode()) - 1
    else:
        with pytest.raises(DecodeError):
            parse_note(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        GO_KEY.replace("c74f20a3", "c74f20a4"),
        GO_KEY.replace("c74f20a3", "C74F20A3"),
        GO_KEY.replace("c74f20a3", "c74f20a"),
        GO_KEY.replace("Peter", "Pet er"),
        GO_KEY.replace("PeterNeumann", ""),
        GO_KEY.replace("+AR", "+AB"),
        GO_KEY.removesuffix("10TW"),
        GO_KEY + "=",
        VerifierKey("a", SignatureType.ED25519, bytes(31)).text,
    ],
)
def test_what_is_no_key(text: str) -> None:
    """A text that is no key, or names another id than its own, is refused."""
    with pytest.raises(DecodeError):
        parse_verifier_key(text)
    with pytest.raises(independent.RefusedError):
        independent.read_vkey(text)


@given(st.binary(max_size=120) | st.text(max_size=120).map(str.encode))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are a note that is written as it was read, or are refused by both."""
    for content in (data, b"x\n\n" + data, b"x\n\n\xe2\x80\x94 " + data):
        try:
            note = parse_note(content)
        except DecodeError:
            with pytest.raises(independent.RefusedError):
                independent.open_note(content)
        else:
            assert write_note(note) == content
            assert independent.open_note(content)[0] == note.text


def test_written_notes_are_read() -> None:
    """What is written is read again."""
    lines = (NoteSignature("a", b"abcd", b"x"), NoteSignature("\u00e4/b", b"1234", bytes(64)))
    note = SignedNote("a\n\nb\n", lines)
    assert parse_note(write_note(note)) == note
