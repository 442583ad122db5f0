"""Key files: sealed and open, whose they are, and every way in which one is refused."""

import json
import os
from pathlib import Path

import pytest

from ledger.core.limits import KEY_FILE_BYTES_MAX, KEY_SCRYPT_N, PASSWORD_BYTES_MAX
from ledger.core.signing import verify_many
from ledger.io import keystore
from ledger.io.keystore import (
    KeyFileError,
    KeyInfo,
    KeyPurpose,
    WrongPasswordError,
    create_key,
    open_key,
    read_key_info,
    reseal_key,
    write_private_file,
)

DID = "did:example:nordwind"
PASSWORD = b"correct horse battery staple"
VALIDATOR = KeyPurpose.VALIDATOR
CHEAP_N = 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a key file may be made."""
    return tmp_path / "validator.json"


def make_sealed(path: Path) -> KeyInfo:
    """Make a sealed key whose password is quick to try."""
    return create_key(path, VALIDATOR, DID, password=PASSWORD, scrypt_n=CHEAP_N)


def edit(path: Path, **changes: object) -> None:
    """Change fields of a key file in place."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_sealed_key_opens_with_its_password(path: Path) -> None:
    """The standard form, at its real cost, opens with its password and signs for its key."""
    info = create_key(path, VALIDATOR, DID, password=PASSWORD)
    opened = open_key(path, VALIDATOR, password=PASSWORD)
    assert opened.info == info == read_key_info(path)
    assert info.is_sealed
    assert json.loads(path.read_text())["scrypt_n"] == KEY_SCRYPT_N == 2**18
    assert verify_many([(info.public_key, b"m", opened.signer.sign(b"m"))]) == [True]


def test_development_key_opens_without_password(path: Path) -> None:
    """The development form needs no password, and its file says what it is."""
    info = create_key(path, VALIDATOR, DID, password=None)
    assert not info.is_sealed
    assert open_key(path, VALIDATOR, password=None).info == info
    assert "development only" in path.read_text()


def test_seed_is_only_in_the_development_form(path: Path, tmp_path: Path) -> None:
    """A sealed file does not hold the seed, and no representation shows one."""
    make_sealed(path)
    opened = open_key(path, VALIDATOR, password=PASSWORD)
    assert opened.seed.hex() not in path.read_text()
    assert opened.seed.hex() not in repr(opened)
    assert repr(opened.seed) not in repr(opened)
    assert PASSWORD.decode() not in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("password", [b"wrong", PASSWORD + b" ", PASSWORD[:-1]])
def test_wrong_password_is_told_apart(path: Path, password: bytes) -> None:
    """A wrong password is an error of its own, which names the file."""
    make_sealed(path)
    with pytest.raises(WrongPasswordError, match=r"does not open .*validator\.json"):
        open_key(path, VALIDATOR, password=password)


def test_missing_password_is_told(path: Path) -> None:
    """A sealed key without a password asks for one."""
    make_sealed(path)
    with pytest.raises(KeyFileError, match="a password is needed"):
        open_key(path, VALIDATOR, password=None)


@pytest.mark.parametrize("length", [0, PASSWORD_BYTES_MAX + 1])
def test_unusable_password_is_refused(path: Path, length: int) -> None:
    """An empty or oversized password makes no key."""
    with pytest.raises(KeyFileError, match="1 to 1024 bytes"):
        create_key(path, VALIDATOR, DID, password=b"x" * length, scrypt_n=CHEAP_N)
    assert not path.exists()


@pytest.mark.parametrize("length", [1, PASSWORD_BYTES_MAX])
def test_password_at_its_limits_is_accepted(path: Path, length: int) -> None:
    """The shortest and the longest password work."""
    create_key(path, VALIDATOR, DID, password=b"x" * length, scrypt_n=CHEAP_N)
    assert open_key(path, VALIDATOR, password=b"x" * length).info.owner == DID


def test_other_purpose_is_refused(path: Path) -> None:
    """A validator key does not serve as a peer key."""
    make_sealed(path)
    with pytest.raises(KeyFileError, match="holds a validator key; a peer key is needed"):
        open_key(path, KeyPurpose.PEER, password=PASSWORD)


@pytest.mark.parametrize(
    "change",
    [
        {"owner": "did:example:mallory"},
        {"public_key": "00" * 32},
        {"salt": "00" * 32},
        {"nonce": "00" * 24},
        {"sealed_seed": "00" * 48},
        {"scrypt_n": 4},
    ],
)
def test_altered_sealed_file_does_not_open(path: Path, change: dict[str, object]) -> None:
    """Every field of a sealed file is covered by the seal."""
    make_sealed(path)
    edit(path, **change)
    with pytest.raises(WrongPasswordError):
        open_key(path, VALIDATOR, password=PASSWORD)


def test_purpose_is_covered_by_the_seal(path: Path) -> None:
    """A validator key relabelled as a peer key does not open."""
    make_sealed(path)
    edit(path, purpose="peer")
    with pytest.raises(WrongPasswordError):
        open_key(path, KeyPurpose.PEER, password=PASSWORD)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "concordat-key-2"},
        {"purpose": "treasury"},
        {"public_key": "00"},
        {"public_key": "zz" * 32},
        {"salt": ""},
        {"nonce": "00"},
        {"sealed_seed": "not hexadecimal"},
        {"scrypt_n": KEY_SCRYPT_N * 2},
        {"scrypt_n": 0},
        {"scrypt_n": 3},
        {"scrypt_n": -(2**62)},
        {"scrypt_n": "many"},
        {"scrypt_r": 2**30},
        {"scrypt_p": 2},
        {"protection": "rot13"},
        {"surprise": 1},
    ],
)
def test_malformed_file_is_refused(path: Path, change: dict[str, object]) -> None:
    """A field of the wrong type, size or value is refused as such, at no great cost."""
    make_sealed(path)
    edit(path, **change)
    with pytest.raises(KeyFileError) as caught:
        open_key(path, VALIDATOR, password=PASSWORD)
    assert not isinstance(caught.value, WrongPasswordError)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"null", b"[" * 10_000, b"{}", b" " * (KEY_FILE_BYTES_MAX + 1)]
)
def test_garbage_is_refused(path: Path, content: bytes) -> None:
    """Any bytes are either a key file or a KeyFileError."""
    write_private_file(path, content)
    with pytest.raises(KeyFileError):
        read_key_info(path)


def test_swapped_public_key_is_noticed(path: Path) -> None:
    """A development file whose seed belongs to another key is damaged."""
    create_key(path, VALIDATOR, DID, password=None)
    edit(path, seed="11" * 32)
    with pytest.raises(KeyFileError, match="damaged"):
        open_key(path, VALIDATOR, password=None)


def test_existing_file_is_never_overwritten(path: Path) -> None:
    """Making a key where a file is changes nothing, and leaves nothing behind."""
    path.write_text("precious")
    with pytest.raises(KeyFileError, match="never overwritten"):
        create_key(path, VALIDATOR, DID, password=None)
    assert path.read_text() == "precious"
    assert list(path.parent.iterdir()) == [path]


def test_file_is_private(path: Path) -> None:
    """A key file is readable by its owner only, whatever the umask."""
    before = os.umask(0)
    try:
        create_key(path, VALIDATOR, DID, password=None)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_file_open_to_others_is_refused(path: Path, mode: int) -> None:
    """A key that others may read or write is not used; the message says what to do."""
    create_key(path, VALIDATOR, DID, password=None)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read_key_info(path)


def test_foreign_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key file of another user is not used."""
    create_key(path, VALIDATOR, DID, password=None)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(KeyFileError, match="belongs to user"):
        read_key_info(path)


def test_symbolic_link_is_refused(path: Path, tmp_path: Path) -> None:
    """A link in place of a key file is not followed."""
    create_key(tmp_path / "real.json", VALIDATOR, DID, password=None)
    path.symlink_to(tmp_path / "real.json")
    with pytest.raises(KeyFileError, match="cannot read"):
        read_key_info(path)


def test_missing_file_and_directory_are_told(path: Path) -> None:
    """What is not there is named."""
    with pytest.raises(KeyFileError, match="there is no key file"):
        read_key_info(path)
    with pytest.raises(KeyFileError, match="cannot write"):
        create_key(path / "nowhere" / "key.json", VALIDATOR, DID, password=None)


def test_failed_sync_leaves_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the bytes cannot be made durable there is no key file, and the error says so."""

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyFileError, match="No space left"):
        create_key(path, VALIDATOR, DID, password=None)
    assert list(path.parent.iterdir()) == []


def test_resealed_key_is_the_same_under_another_password(path: Path) -> None:
    """The key, its purpose and owner stay; only the new password opens it; the file is private."""
    made = make_sealed(path)
    told = reseal_key(path, password=PASSWORD, new_password=b"new", scrypt_n=CHEAP_N)
    assert told == made
    assert open_key(path, VALIDATOR, password=b"new").info == made
    with pytest.raises(WrongPasswordError):
        open_key(path, VALIDATOR, password=PASSWORD)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_key_stays_when_it_cannot_be_resealed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password, or a new file that cannot take its place, leaves the old one."""
    make_sealed(path)
    before = path.read_bytes()
    with pytest.raises(WrongPasswordError):
        reseal_key(path, password=b"wrong", new_password=b"new", scrypt_n=CHEAP_N)
    with monkeypatch.context() as patched:
        patched.setattr(keystore, "_check_password", lambda password, _path: bytes(password[:1]))
        with pytest.raises(KeyFileError):
            reseal_key(path, password=PASSWORD, new_password=b"new", scrypt_n=CHEAP_N)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", fail)
        with pytest.raises(KeyFileError, match="cannot replace"):
            reseal_key(path, password=PASSWORD, new_password=b"new", scrypt_n=CHEAP_N)
    assert path.read_bytes() == before
    reseal_key(path, password=PASSWORD, new_password=b"new", scrypt_n=CHEAP_N)
    assert open_key(path, VALIDATOR, password=b"new").info.owner == DID


def fail(*_arguments: object) -> None:
    """Fail as a disk does."""
    raise OSError(5, "Input/output error")
