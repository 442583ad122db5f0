"""The text of API tokens, the file of their digests, and what patterns cover each other."""

import stat
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.core.errors import DecodeError
from ledger.core.topics import TopicPattern
from ledger.io.keystore import KeyFileError
from pubsub.core.limits import TOKEN_GONE_KEPT_MAX, TOKEN_TOPICS_COUNT_MAX, TOKENS_COUNT_MAX
from pubsub.core.rights import Principal, Scope, pattern_covers
from pubsub.core.tokens import (
    ApiToken,
    TokenBook,
    TokenChangeError,
    TokenFile,
    encode_token_file,
    is_whole_token,
    read_token_file,
    token_digest,
    token_text,
    with_token,
    without_token,
)
from pubsub.io.token_file import (
    TokenFileWatch,
    change_tokens,
    load_tokens,
    load_uses,
    save_uses,
)

TEXT = token_text(bytes(range(32)))
NOW_MS = 1_000_000


def made(name: str = "shop", number: int = 0, **changes: object) -> ApiToken:
    """Give what is kept of a token."""
    digest = token_digest(token_text(sha256(b"%d" % number).digest()))
    assert digest is not None
    token = ApiToken(
        name=name,
        digest=digest.hex(),
        scopes=(Scope.READ,),
        topics=(),
        made_ms=NOW_MS,
        made_by="root",
        expires_ms=NOW_MS + 10,
    )
    return replace(token, **changes)


# --- the text -------------------------------------------------------------------------------


def test_text_holds_prefix_random_bits_and_checksum() -> None:
    """A token is cct_ and 58 characters; its digest is the SHA-256 of the whole text."""
    assert TEXT.startswith("cct_")
    assert len(TEXT) == 62
    assert token_digest(TEXT) == sha256(TEXT.encode()).digest()


def test_every_mistyped_character_is_noticed() -> None:
    """A token with one character changed, left out or added is none."""
    for index in range(len(TEXT)):
        other = "a" if TEXT[index] != "a" else "b"
        mistyped = TEXT[:index] + other + TEXT[index + 1 :]
        assert token_digest(mistyped) is None or not is_whole_token(mistyped)
        assert token_digest(TEXT[:index] + TEXT[index + 1 :]) is None
        assert token_digest(TEXT[:index] + other + TEXT[index:]) is None


@pytest.mark.parametrize("text", ["", "cct_", TEXT.upper(), TEXT + "\n", " " + TEXT, "é" * 62])
def test_other_text_is_no_token(text: str) -> None:
    """There is one way to write a token."""
    assert token_digest(text) is None


@given(st.binary(min_size=32, max_size=32))
def test_every_secret_makes_a_token(secret: bytes) -> None:
    """Whatever the random bits are, their token is well-formed."""
    assert token_digest(token_text(secret)) is not None
    assert is_whole_token(token_text(secret))


# --- the file -------------------------------------------------------------------------------


def test_file_reads_what_it_writes() -> None:
    """A file of tokens survives writing and reading, and holds no token."""
    file = with_token(with_token(TokenFile(), made()), made("b", 1, topics=None, expires_ms=None))
    data = encode_token_file(file)
    assert read_token_file(data) == file
    assert b"cct_" not in data


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Shop"},
        {"name": ""},
        {"name": "a\n"},
        {"name": "x" * 65},
        {"scopes": ()},
        {"scopes": (Scope.PUBLIC,)},
        {"topics": ("a..b",)},
        {"topics": ("a",) * (TOKEN_TOPICS_COUNT_MAX + 1)},
        {"digest": "00"},
        {"digest": "A" * 64},
    ],
)
def test_unsound_tokens_are_refused(changes: dict[str, object]) -> None:
    """A token that says something wrong is neither added nor read."""
    token = made(**changes)  # type: ignore[arg-type] # any field
    if "digest" not in changes:
        with pytest.raises(TokenChangeError):
            with_token(TokenFile(), token)
    with pytest.raises(DecodeError):
        read_token_file(encode_token_file(TokenFile(tokens=(token,))))


@pytest.mark.parametrize("data", [b"", b"[]", b'{"format":"x","tokens":[]}', b"\xff", b"[" * 9999])
def test_other_files_are_refused(data: bytes) -> None:
    """Anything else is a DecodeError."""
    with pytest.raises(DecodeError):
        read_token_file(data)


def test_no_token_stands_twice() -> None:
    """Neither a name that is in use nor a digest may stand twice."""
    for second in (made("shop", 1), made("other", 0)):
        with pytest.raises(DecodeError):
            read_token_file(encode_token_file(TokenFile(tokens=(made(), second))))


def test_a_name_is_free_again_when_revoked() -> None:
    """A name in use is refused; after a revocation a new token may have it."""
    file = with_token(TokenFile(), made())
    with pytest.raises(TokenChangeError):
        with_token(file, made(number=1))
    file = with_token(without_token(file, "shop", NOW_MS, "root"), made(number=1))
    assert [token.revoked_ms for token in file.tokens] == [NOW_MS, None]
    assert TokenBook(file).named("shop") == file.tokens[1]
    with pytest.raises(TokenChangeError):
        without_token(file, "nobody", NOW_MS, "root")
    with pytest.raises(TokenChangeError):
        with_token(file, made("another-name", 0))  # the digest of the revoked one


def test_the_number_of_tokens_is_bounded() -> None:
    """At most so many tokens; of the revoked ones the newest are kept."""
    rows = tuple(made(f"t{number}", number) for number in range(TOKENS_COUNT_MAX))
    with pytest.raises(TokenChangeError):
        with_token(TokenFile(tokens=rows), made("more", -1))
    assert len(with_token(TokenFile(tokens=rows[1:]), made("more", -1)).tokens) == TOKENS_COUNT_MAX
    gone = tuple(
        made(f"g{number}", number, revoked_ms=number, revoked_by="root")
        for number in range(TOKEN_GONE_KEPT_MAX + 5)
    )
    kept = with_token(TokenFile(tokens=gone), made("more", -1)).tokens
    assert len(kept) == TOKEN_GONE_KEPT_MAX + 1
    assert kept[0].name == "g5"


def test_a_token_is_good_until_it_expires_or_is_revoked() -> None:
    """It is void from the millisecond on at which it expires."""
    token = made()
    assert token.is_good(NOW_MS + 9)
    assert not token.is_good(NOW_MS + 10)
    assert not replace(token, revoked_ms=0).is_good(NOW_MS)
    assert replace(token, expires_ms=None).is_good(2**60)


def test_file_is_private_and_replaced_whole(tmp_path: Path) -> None:
    """The file is readable by its owner only, and nothing else is left beside it."""
    path = tmp_path / "keys" / "tokens.json"
    change_tokens(path, lambda file: with_token(file, made()))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_tokens(path).tokens == (made(),)
    names = {found.name for found in path.parent.iterdir()}
    assert names == {"tokens.json", ".tokens.json.lock"}


def test_a_refused_change_leaves_the_file(tmp_path: Path) -> None:
    """When a change is refused nothing was written."""
    path = tmp_path / "tokens.json"
    change_tokens(path, lambda file: with_token(file, made()))
    before = path.read_bytes()
    with pytest.raises(TokenChangeError):
        change_tokens(path, lambda file: without_token(file, "nobody", NOW_MS, "root"))
    assert path.read_bytes() == before


def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    """Two that change the file at once wait for each other."""
    path = tmp_path / "tokens.json"

    def add(number: int) -> None:
        change_tokens(path, lambda file: with_token(file, made(f"t{number}", number)))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load_tokens(path).tokens) == 8


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """A file with too many rights is no file of tokens, nor is a broken one."""
    path = tmp_path / "tokens.json"
    assert load_tokens(path) == TokenFile()
    change_tokens(path, lambda file: with_token(file, made()))
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="others"):
        load_tokens(path)
    path.chmod(0o600)
    path.write_bytes(b"{")
    with pytest.raises(KeyFileError):
        load_tokens(path)


def test_watch_tells_every_change_once(tmp_path: Path) -> None:
    """A file that appears, is replaced, or goes away is noticed once."""
    path = tmp_path / "tokens.json"
    watch = TokenFileWatch(path)
    assert [watch.has_changed(), watch.has_changed()] == [True, False]
    for number in range(3):
        change_tokens(path, lambda file, n=number: with_token(file, made(f"t{n}", n)))  # type: ignore[misc]
        assert [watch.has_changed(), watch.has_changed()] == [True, False]
    path.unlink()
    assert [watch.has_changed(), watch.has_changed()] == [True, False]


def test_lost_uses_are_begun_anew(tmp_path: Path) -> None:
    """When tokens were used is a convenience: a broken file tells nothing and harms nothing."""
    path = tmp_path / "uses.json"
    assert load_uses(path) == {}
    save_uses(path, {"00": 7})
    assert load_uses(path) == {"00": 7}
    path.write_bytes(b"[]")
    assert load_uses(path) == {}


# --- topics ---------------------------------------------------------------------------------

TOPICS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join)
PATTERNS = st.tuples(
    st.lists(st.sampled_from("abc*"), min_size=1, max_size=3), st.sampled_from(["", ".>"])
).map(lambda parts: ".".join(parts[0]) + parts[1]) | st.just(">")


@given(PATTERNS, PATTERNS, st.lists(TOPICS, max_size=20))
def test_a_pattern_that_covers_names_all_of_the_other(
    wide: str, narrow: str, topics: list[str]
) -> None:
    """What the narrow pattern names, the wide one names; and every pattern covers itself."""
    assert pattern_covers(wide, wide)
    if pattern_covers(wide, narrow):
        for topic in topics:
            assert TopicPattern(wide).matches(topic) or not TopicPattern(narrow).matches(topic)


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        (">", "a.>", True),
        ("a.>", "a.*", True),
        ("a.>", "a", False),
        ("a.*", "a.b", True),
        ("a.*", "a.>", False),
        ("a.b", "a.*", False),
        ("*.>", "a.b.c", True),
        ("a", "a.b", False),
    ],
)
def test_which_pattern_covers_which(wide: str, narrow: str, covers: bool) -> None:
    """A final > is one token or more, * is one."""
    assert pattern_covers(wide, narrow) is covers


def test_what_a_principal_may_read() -> None:
    """Restricted topics need a grant; all others need none."""
    restricted = ("dome.private.>", "secret")
    nobody = Principal("a", frozenset(), (), restricted)
    partner = Principal("b", frozenset(), ("dome.private.b.>",), restricted)
    everything = Principal("c", frozenset(), ("dome.>", "secret"), restricted)
    auditor = Principal("d", frozenset(), None, restricted)
    topics = ["dome.public", "dome.private.a.x", "dome.private.b.x", "secret"]
    assert [nobody.may_read(topic) for topic in topics] == [True, False, False, False]
    assert [partner.may_read(topic) for topic in topics] == [True, False, True, False]
    assert all(map(everything.may_read, topics))
    assert all(map(auditor.may_read, topics))
    assert [row.reads_all for row in (nobody, partner, everything, auditor)] == [
        False,
        False,
        True,
        True,
    ]
    assert Principal("e", frozenset()).reads_all
