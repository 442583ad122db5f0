"""``concordat keys``, and where passwords come from."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import Result

from concordat.cli.passwords import PASSWORD_VARIABLE, open_key_with_password
from ledger.core import limits
from ledger.io import keystore
from ledger.io.keystore import KeyFileError, KeyPurpose, open_key

DID = "did:example:nordwind"


class Run(Protocol):
    """The command line; see conftest."""

    def __call__(
        self, *arguments: object, code: int = 0, stdin: str | bytes | None = None
    ) -> Result: ...


RunJson = Callable[..., dict[str, object]]


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """A private file with a password."""
    path = tmp_path / "password"
    path.write_text("correct horse\nnot part of it\n")
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make guesses cheap: what scrypt costs is tested with the keystore."""
    for function in (keystore.create_key, keystore.reseal_key):
        monkeypatch.setitem(function.__kwdefaults__, "scrypt_n", 2)  # type: ignore[arg-type]


def test_new_key_is_sealed_with_the_password_of_a_file(
    concordat_json: RunJson, tmp_path: Path, password_file: Path
) -> None:
    """The first line of the password file opens the key that was made with it."""
    path = tmp_path / "key.json"
    document = concordat_json("keys", "new", path, "--did", DID, "--password-file", password_file)
    assert document["is_sealed"]
    opened = open_key(path, KeyPurpose.PUBLISHER, password=b"correct horse")
    assert opened.info.public_key.hex() == document["public_key"]
    assert document == concordat_json("keys", "show", path)
    assert opened.seed.hex() not in json.dumps(document)


def test_environment_names_the_password_file(
    concordat: Run, tmp_path: Path, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an option the file that the environment names is used, for making and opening."""
    monkeypatch.setenv(PASSWORD_VARIABLE, str(password_file))
    path = tmp_path / "key.json"
    concordat("keys", "new", path, "--did", DID, "--purpose", "validator")
    assert open_key_with_password(path, KeyPurpose.VALIDATOR).info.owner == DID


def test_missing_password_is_explained(concordat: Run, tmp_path: Path) -> None:
    """Without file and terminal the message says how to give a password."""
    result = concordat("keys", "new", tmp_path / "key.json", "--did", DID, code=2)
    assert "--password-file" in result.stderr
    assert PASSWORD_VARIABLE in result.stderr


def test_password_is_never_an_argument(concordat: Run, tmp_path: Path) -> None:
    """There is no option that takes a password itself."""
    result = concordat("keys", "new", tmp_path / "k", "--did", DID, "--password", "x", code=2)
    assert "No such option" in result.stderr


@pytest.mark.parametrize(("content", "mode"), [("\nsecond line\n", 0o600), ("secret\n", 0o644)])
def test_unusable_password_file_is_refused(
    concordat: Run, tmp_path: Path, password_file: Path, content: str, mode: int
) -> None:
    """An empty password, or one that other users may read, makes no key."""
    password_file.write_text(content)
    password_file.chmod(mode)
    path = tmp_path / "key.json"
    arguments = ("--did", DID, "--password-file", password_file)
    assert str(password_file) in concordat("keys", "new", path, *arguments, code=2).stderr
    assert not path.exists()


def test_password_may_come_from_a_pipe(tmp_path: Path) -> None:
    """A pipe of a secret store is a password file, whatever its mode."""
    path = tmp_path / "key.json"
    keystore.create_key(path, KeyPurpose.PEER, DID, password=b"secret", scrypt_n=2)
    reading, writing = os.pipe()
    os.write(writing, b"secret\n")
    os.close(writing)
    try:
        pipe = Path(f"/dev/fd/{reading}")
        assert open_key_with_password(path, KeyPurpose.PEER, pipe).info.owner == DID
    finally:
        os.close(reading)


def test_longest_password_is_not_cut(tmp_path: Path, password_file: Path) -> None:
    """A password at the limit is used whole, and a longer one is refused rather than cut."""
    path = tmp_path / "key.json"
    longest = b"x" * limits.PASSWORD_BYTES_MAX
    keystore.create_key(path, KeyPurpose.PEER, DID, password=longest, scrypt_n=2)
    password_file.write_bytes(longest + b"\n")
    assert open_key_with_password(path, KeyPurpose.PEER, password_file).info.owner == DID
    password_file.write_bytes(longest + b"y\n")
    with pytest.raises(KeyFileError, match="1 to 1024 bytes"):
        open_key_with_password(path, KeyPurpose.PEER, password_file)


def test_development_key_says_so(concordat: Run, tmp_path: Path) -> None:
    """A key without a password is shown as what it is."""
    result = concordat("keys", "new", tmp_path / "key.json", "--did", DID, "--unencrypted")
    assert "FOR DEVELOPMENT ONLY" in result.stdout


def test_public_entry_is_exported(concordat: Run, tmp_path: Path) -> None:
    """The exported entry is what a genesis file lists, and holds nothing secret."""
    path = tmp_path / "key.json"
    concordat("keys", "new", path, "--did", DID, "--unencrypted")
    result = concordat("keys", "export-public", path, "--name", "Nordwind", "--topic", "shop.>")
    entry = json.loads(result.stdout)
    key = open_key(path, KeyPurpose.PUBLISHER, password=None)
    assert entry == {
        "did": DID,
        "name": "Nordwind",
        "keys": [{"key": key.info.public_key.hex(), "revoked": False}],
        "topics": ["shop.>"],
    }


def test_only_publishers_are_exported(concordat: Run, tmp_path: Path) -> None:
    """A validator key is no participant's."""
    path = tmp_path / "key.json"
    concordat("keys", "new", path, "--did", DID, "--unencrypted", "--purpose", "validator")
    arguments = ("--name", "Nordwind", "--topic", "shop.>")
    result = concordat("keys", "export-public", path, *arguments, code=2)
    assert "validator key" in result.stderr


def test_errors_are_json_for_programs(concordat: Run, tmp_path: Path) -> None:
    """With --json a failure is one object on standard error, with its exit code."""
    result = concordat("keys", "show", tmp_path / "nothing.json", "--json", code=2)
    document = json.loads(result.stderr)
    assert document["exit_code"] == 2
    assert "nothing.json" in document["error"]
    assert not result.stdout


def test_password_of_a_key_is_changed(
    concordat: Run, concordat_json: RunJson, tmp_path: Path, password_file: Path
) -> None:
    """The old password opens it no more, the new one does, and the public key is the same."""
    path, new = tmp_path / "key.json", tmp_path / "new"
    new.write_text("battery staple")
    new.chmod(0o600)
    made = concordat_json("keys", "new", path, "--did", DID, "--password-file", password_file)
    files = ("--password-file", password_file, "--new-password-file", new)
    assert concordat_json("keys", "reseal", path, *files) == made
    assert open_key(path, KeyPurpose.PUBLISHER, password=b"battery staple").info.owner == DID
    assert "does not open" in concordat("keys", "reseal", path, *files, code=2).stderr
