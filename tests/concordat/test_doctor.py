"""``concordat doctor``: a sound member passes, and each fault that is planted is found."""

import datetime as dt
import json
import os
import resource
import shutil
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from concordat import preflight, testnet
from concordat.cli.doctor import _meet
from concordat.config_file import Value
from concordat.doctor import gateway_checks, home_checks, host_checks, network_checks
from concordat.doctor.finding import Check, Finding, Level, Patient
from concordat.free_ports import free_ports
from concordat.home import Home
from consensus.io.tls import PeerIdentity
from ledger.core.errors import PeerFault
from ledger.io.keystore import KeyPurpose, create_key
from ledger.native import blake3
from pubsub.core.rights import Scope
from pubsub.core.tokens import ApiToken, TokenFile

SAFE: dict[str, dict[str, Value]] = {"access": {"anonymous": ("read", "publish")}}


def make_home(directory: Path, settings: dict[str, dict[str, Value]] | None = None) -> Path:
    """Make a network of two validators; give the home of the first."""
    names = ("one", "two")
    numbers = free_ports(2 * len(names))
    ports = [testnet.Ports(*numbers[i : i + 2]) for i in range(0, len(numbers), 2)]
    plan = testnet.TestnetPlan(
        "doc", list(zip(names, ports, strict=True)), settings=settings or SAFE
    )
    return testnet.create_testnet(directory, plan).homes["one"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a network, which every test hurts a copy of."""
    return make_home(tmp_path_factory.mktemp("doctor") / "net").parent


@pytest.fixture
def home(network: Path, tmp_path: Path) -> Path:
    """A member's home that was never started."""
    return Path(shutil.copytree(network, tmp_path / "net")) / "one"


def patient_of(home: Path) -> Patient:
    """Give what checks know of a member."""
    return _meet(Home.open(home))


def found(check: Check, patient: Patient, level: Level | None = None) -> list[Finding]:
    """Run one check; give its findings that are not well, or those of a level."""
    rows = list(check(patient))
    assert all(row.advice for row in rows if row.level is not Level.OK)
    return [row for row in rows if (row.level is level if level else row.level is not Level.OK)]


def set_in(home: Path, section: str, line: str) -> None:
    """Add a setting to the configuration, in the place of its commented default."""
    path = home / "concordat.toml"
    name = line.partition(" = ")[0]
    lines = path.read_text().splitlines()
    start = lines.index(f"[{section}]")
    number = next(
        i for i in range(start, len(lines)) if lines[i].lstrip("#").startswith(f"{name} = ")
    )
    lines[number] = line
    path.write_text("\n".join(lines) + "\n")


# --- the command --------------------------------------------------------------------------------


def test_sound_member_passes_before_its_first_start(
    concordat: Callable[..., Result], home: Path
) -> None:
    """Nothing must be corrected; nothing in the home is changed, made or removed."""
    before = snapshot(home)
    result = concordat("doctor", "--home", home, "--json")
    assert snapshot(home) == before
    report = json.loads(result.stdout)
    assert report["worst"] == "warning"
    assert {row["check"] for row in report["findings"] if row["level"] == "error"} == set()
    assert "0 to correct" in concordat("doctor", "--home", home).stdout
    concordat("doctor", "--home", home, "--strict", code=1)


def snapshot(home: Path) -> dict[str, tuple[int, bytes]]:
    """Give mode and content of every file; of LMDB's table of readers only that it is there."""
    return {
        str(path.relative_to(home)): (
            path.stat().st_mode,
            b"" if path.name == "lock.mdb" else path.read_bytes(),
        )
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }


def test_what_must_be_corrected_fails(concordat: Callable[..., Result], home: Path) -> None:
    """An error ends the command with 1 and stands with its advice in the table."""
    shutil.rmtree(home / "data" / "safety")
    result = concordat("doctor", "--home", home, code=1)
    assert "safety is missing" in " ".join(result.stdout.split()).replace(" ", " ")
    assert "--recover" in result.stdout


def test_wrong_configuration_is_the_only_finding(
    concordat: Callable[..., Result], home: Path, tmp_path: Path
) -> None:
    """Without a home or with a wrong setting the finding says so, and no check runs."""
    (home / "concordat.toml").write_text("[node]\nlisten = 7\n")
    for place in (home, tmp_path / "absent"):
        report = json.loads(concordat("doctor", "--home", place, "--json", code=1).stdout)
        assert [row["check"] for row in report["findings"]] == ["configuration"]


# --- files, keys, stores ------------------------------------------------------------------------


def test_files_that_others_may_change(home: Path) -> None:
    """A configuration that others may write is found; one that they may read is not."""
    (home / "concordat.toml").chmod(0o644)
    assert found(home_checks.files, patient_of(home)) == []
    (home / "concordat.toml").chmod(0o666)
    [row] = found(home_checks.files, patient_of(home))
    assert (row.level, "chmod" in row.advice) == (Level.ERROR, True)


def test_files_of_another_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as somebody else the doctor says so, and not that all is well."""
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    rows = found(home_checks.files, patient_of(home))
    assert all("another user" in row.message for row in rows)
    assert len(rows) >= 3


@pytest.mark.parametrize("fault", ["absent", "readable", "of another purpose"])
def test_keys_that_cannot_be_used(home: Path, fault: str) -> None:
    """A key that is not there, that others may read, or of another purpose is an error."""
    path = home / "keys" / "peer.json"
    if fault == "absent":
        path.unlink()
    elif fault == "readable":
        path.chmod(0o644)
    else:
        shutil.copy(home / "keys" / "validator.json", path)
    [row] = found(home_checks.keys, patient_of(home), Level.ERROR)
    assert (row.check, "peer" in row.message) == ("keys", True)


def test_keys_without_a_password(home: Path) -> None:
    """They are a warning where the configuration permits them, else an error."""
    [row] = found(home_checks.keys, patient_of(home))
    assert (row.check, row.level) == ("keys", Level.WARNING)
    set_in(home, "keys", "allow_unencrypted = false")
    [row] = found(home_checks.keys, patient_of(home))
    assert (row.check, row.level) == ("keys", Level.ERROR)


@pytest.mark.parametrize(
    ("password", "mode", "level"),
    [
        (b"right horse battery", 0o600, Level.OK),
        (b"wrong horse battery", 0o600, Level.ERROR),
        (b"right horse battery", 0o644, Level.ERROR),
        (b"", 0o600, Level.ERROR),
    ],
)
def test_password_file(home: Path, password: bytes, mode: int, level: Level) -> None:
    """A password that does not open the keys, or that others may read, is found before a start."""
    path = home / "keys" / "peer.json"
    path.unlink()
    create_key(
        path, KeyPurpose.PEER, "did:example:one", password=b"right horse battery", scrypt_n=2**14
    )
    set_in(home, "keys", 'password_file = "password"')
    (home / "password").write_bytes(password + b"\n")
    (home / "password").chmod(mode)
    [row] = [row for row in home_checks.keys(patient_of(home)) if row.check == "password"]
    assert row.level is level


def test_keys_that_the_network_does_not_know(home: Path) -> None:
    """Another validator key makes a follower, a wrong peer key an error."""
    patient = patient_of(home)
    assert found(home_checks.keys, patient, Level.ERROR) == []
    two = home.parent / "two" / "keys"
    shutil.copy(two / "peer.json", home / "keys" / "peer.json")
    [row] = found(home_checks.keys, patient, Level.ERROR)
    assert row.check == "membership"
    create = home / "keys" / "validator.json"
    create.unlink()
    create_key(create, KeyPurpose.VALIDATOR, "did:example:one", password=None)
    rows = found(home_checks.keys, patient)
    assert ("membership", Level.WARNING) in {(row.check, row.level) for row in rows}


def test_no_network_was_joined(home: Path) -> None:
    """Without a genesis file, or with a broken one, the member has no network."""
    assert found(home_checks.genesis, patient_of(home)) == []
    (home / "genesis.json").write_text("{}")
    [row] = found(home_checks.genesis, patient_of(home))
    assert row.level is Level.ERROR


def test_stores_that_are_missing_or_damaged(home: Path) -> None:
    """A store that is not there, or that is no store of this program, is an error."""
    assert found(home_checks.stores, patient_of(home)) == []
    patient = patient_of(home)
    (home / "data" / "chain" / "data.mdb").write_bytes(b"\xff" * 8_192)
    [row] = found(home_checks.stores, patient)
    assert (row.check, row.level) == ("stores", Level.ERROR)
    shutil.rmtree(home / "data" / "chain")
    [row] = found(home_checks.stores, patient)
    assert "--recover" in row.advice


def test_safety_store_that_was_put_back(home: Path) -> None:
    """One that is much older than the chain store may be an old copy; an hour is no sign yet."""
    patient = patient_of(home)
    newest = max(path.stat().st_mtime for path in (home / "data" / "chain").iterdir())
    for age_s, count in ((3_000, 0), (7_300, 1)):
        for path in (home / "data" / "safety").iterdir():
            os.utime(path, (newest - age_s, newest - age_s))
        assert len(found(home_checks.stores, patient)) == count


# --- machine ------------------------------------------------------------------------------------


def test_other_packages_and_optimized_python(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What preflight refuses is an error here, with its own words."""
    patient = patient_of(home)
    assert found(host_checks.installation, patient) == []

    def refuse() -> None:
        raise preflight.PreflightError("the distribution evil also provides the package 'ledger'")

    monkeypatch.setattr(host_checks, "require_own_packages", refuse)
    [row] = found(host_checks.installation, patient)
    assert (row.level, "evil" in row.message) == (Level.ERROR, True)


def test_capped_kernels(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that is not the best of the machine is a warning."""
    patient = patient_of(home)
    monkeypatch.setattr(blake3, "implementations", lambda: ("portable", "avx1024"))
    [row] = found(host_checks.kernels, patient)
    assert "CONCORDAT_NATIVE" in row.advice


@pytest.mark.parametrize(
    ("free", "level"),
    [
        (2**30 - 1, Level.ERROR),
        (2**30, Level.WARNING),
        (5 * 2**30 - 1, Level.WARNING),
        (5 * 2**30, Level.OK),
    ],
)
def test_disk_that_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    """Below five GiB is a warning, below one an error."""
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: usage)
    [row] = host_checks._room(tmp_path)
    assert row.level is level


def test_slow_disk_and_one_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow sync is a warning; where nothing can be written is an error; no file is left."""
    [row] = host_checks._syncing(tmp_path)
    assert "synced write" in row.message
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(host_checks, "_sync_ms", lambda _place: 20.1)
    [row] = host_checks._syncing(tmp_path)
    assert row.level is Level.WARNING
    monkeypatch.undo()
    [row] = host_checks._syncing(Path("/proc"))
    assert row.level is Level.ERROR


@pytest.mark.parametrize(
    ("kind", "level"), [("ext4", None), ("tmpfs", Level.WARNING), ("nfs4", Level.WARNING)]
)
def test_kind_of_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, level: Level | None
) -> None:
    """The innermost mount counts; memory and network are no place for a store."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"a / xfs rw 0 0\nb /var tmpfs rw 0 0\nc /var/lib/ledger {kind} rw 0 0\n")
    place = Path("/var/lib/ledger/data")
    assert host_checks._file_system(place, mounts) == kind
    assert host_checks._file_system(Path("/home"), mounts) == "xfs"
    monkeypatch.setattr(host_checks, "_file_system", lambda _place, _mounts: kind)
    assert [row.level for row in host_checks._kind(place)] == ([level] if level else [])


def test_too_few_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer files than the gateway may have connections is a warning."""
    patient = patient_of(home)
    for files, count in ((4_351, 1), (4_352, 0)):
        monkeypatch.setattr(resource, "getrlimit", lambda _kind, n=files: (n, n))
        assert len(found(host_checks.limits, patient)) == count


@pytest.mark.parametrize(("status", "count"), [(0x40, 1), (0x2001, 0), (None, 0)])
def test_clock_on_its_own(
    home: Path, monkeypatch: pytest.MonkeyPatch, status: int | None, count: int
) -> None:
    """The kernel's own flag counts; where it cannot be asked, nothing is said."""
    assert isinstance(host_checks._clock_status(), int)
    monkeypatch.setattr(host_checks, "_clock_status", lambda: status)
    assert len(found(host_checks.clock, patient_of(home))) == count


def test_service_manager_and_container(home: Path, tmp_path: Path) -> None:
    """Without a unit systemd starts nothing again, and a container's own layer goes with it."""
    patient, root = patient_of(home), tmp_path / "root"
    assert list(host_checks.service(patient, root)) == []
    (root / "run/systemd/system").mkdir(parents=True)
    assert [row.level for row in host_checks.service(patient, root)] == [Level.WARNING]
    (root / "etc/systemd/system").mkdir(parents=True)
    (root / "etc/systemd/system/concordat-one.service").touch()
    assert [row.level for row in host_checks.service(patient, root)] == [Level.OK]
    (root / ".dockerenv").touch()
    [row] = host_checks.service(patient, root)
    assert "container" in row.message


# --- ports, peers, clocks -----------------------------------------------------------------------


def test_port_of_another_program(home: Path) -> None:
    """A port that somebody else listens on is an error; the member's own is not."""
    patient = patient_of(home)
    assert found(network_checks.ports, patient) == []
    port = int(patient.home.config.node.listen.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        [row] = found(network_checks.ports, patient)
        assert (row.level, "node.listen" in row.message) == (Level.ERROR, True)
        assert found(network_checks.ports, replace(patient, is_node_running=True)) == []


def test_address_of_another_machine(home: Path) -> None:
    """An address that is not this machine's cannot be listened on."""
    set_in(home, "node", 'listen = "192.0.2.1:26600"')
    [row] = found(network_checks.ports, patient_of(home))
    assert "192.0.2.1" in row.message


class Peer:
    """Accepts TLS connections with a key, until it is closed."""

    def __init__(self, seed: bytes) -> None:
        self.identity = PeerIdentity(seed)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.heard = b""
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            try:
                with self.identity.server.wrap_socket(connection, server_side=True) as stream:
                    self.heard = stream.recv(100)
            except OSError:
                pass

    def close(self) -> None:
        """Wait for the one connection to end."""
        self.thread.join(10)
        self.listener.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A peer that holds the key of 32 zeros."""
    peer = Peer(bytes(32))
    yield peer
    peer.close()


def test_peer_with_the_pinned_key(peer: Peer) -> None:
    """A peer proves its key in the handshake; nothing is said to it."""
    assert network_checks.dial(peer.address, peer.identity.public_key) is None
    peer.thread.join(10)
    assert peer.heard == b""


def test_peer_with_another_key(peer: Peer) -> None:
    """Whoever holds another key is not the peer."""
    assert isinstance(network_checks.dial(peer.address, b"\x01" * 32), PeerFault)


def test_peers_that_cannot_be_reached(home: Path) -> None:
    """A peer that is down, and a name that nobody knows, are warnings, with no quorum."""
    for address in ("127.0.0.1:9", "no-such-host.invalid:26600"):
        set_in(home, "node", f'peers = {{ two = "{address}" }}')
        rows = found(network_checks.peers, patient_of(home))
        assert [(row.check, row.level) for row in rows] == [
            ("peers", Level.WARNING),
            ("quorum", Level.WARNING),
        ]
        assert address in rows[0].message


def test_peer_that_is_somebody_else(home: Path, peer: Peer) -> None:
    """A listener with another key at a validator's address is an error."""
    set_in(home, "node", f'peers = {{ two = "{peer.address}" }}')
    rows = found(network_checks.peers, patient_of(home), Level.ERROR)
    assert [row.check for row in rows] == ["peers"]


@pytest.mark.parametrize(
    ("ages_ms", "level"),
    [
        ([20, 30], Level.OK),
        ([-250, 30], Level.OK),
        ([-251, 30], Level.WARNING),
        ([20, 5_000], Level.OK),
        ([20, 5_001], Level.WARNING),
    ],
)
def test_clocks_of_leaders(ages_ms: list[int], level: Level) -> None:
    """Blocks from the future, and blocks that are old when they come, are signs of other clocks."""
    assert [row.level for row in network_checks._judge_clocks(ages_ms, 5_000)] == [level]


# --- gateway ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listen", "anonymous", "levels"),
    [
        ("127.0.0.1:8080", ["read"], []),
        ("127.0.0.1:8080", ["operate"], [Level.WARNING]),
        ("0.0.0.0:8080", ["read"], [Level.WARNING]),
        ("0.0.0.0:8080", ["operate"], [Level.ERROR, Level.WARNING]),
        ("[::]:8080", ["publish"], [Level.WARNING, Level.WARNING]),
    ],
)
def test_rights_of_anybody(
    tmp_path: Path, listen: str, anonymous: list[str], levels: list[Level]
) -> None:
    """What anybody may do counts together with who can reach the gateway."""
    home = make_home(tmp_path / "net", {"access": {"anonymous": tuple(anonymous)}})
    set_in(home, "gateway", f'listen = "{listen}"')
    rows = found(gateway_checks.access, replace(patient_of(home), status=None))
    assert [row.level for row in rows] == levels


def test_open_surfaces(home: Path) -> None:
    """Facades and access nodes that trust everybody are warnings."""
    assert found(gateway_checks.surfaces, patient_of(home)) == []
    set_in(home, "facades", 'writes = "open"')
    set_in(home, "dlt_adapter", "open_to_internet = true")
    assert len(found(gateway_checks.surfaces, patient_of(home))) == 2


@pytest.mark.parametrize(
    ("days", "level"),
    [(-1, Level.ERROR), (1, Level.ERROR), (3, Level.WARNING), (15, Level.OK), (None, Level.ERROR)],
)
def test_certificates_that_end(home: Path, days: int | None, level: Level) -> None:
    """Two weeks before the end is a warning, two days an error, and no certificate, too."""
    if days is not None:
        end = dt.datetime.now(dt.UTC) + dt.timedelta(days=days, hours=1)
        (home / "public.pem").write_bytes(certificate(end))
    set_in(home, "gateway", 'public_certificate = "public.pem"')
    assert [row.level for row in gateway_checks.certificates(patient_of(home))] == [level]


def certificate(end: dt.datetime) -> bytes:
    """Make a certificate in PEM."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ledger.example")])
    begin = dt.datetime.fromtimestamp(0, dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, end)
    return builder.sign(key, None).public_bytes(Encoding.PEM)


def test_tokens_that_end_and_a_file_that_others_read(home: Path) -> None:
    """A token's end within a week is a warning; a file of tokens that others may read, an error."""
    now_ms = time.time_ns() // 1_000_000
    path = home / "keys" / "api-tokens.json"
    rows = [
        ApiToken(
            name=name,
            digest="0" * 63 + str(number),
            scopes=(Scope.READ,),
            topics=(),
            made_ms=0,
            made_by="me",
            expires_ms=expires_ms,
        )
        for number, (name, expires_ms) in enumerate(
            [("soon", now_ms + 86_400_000), ("late", now_ms + 90 * 86_400_000), ("gone", 1)]
        )
    ]
    path.write_bytes(msgspec.json.encode(TokenFile(tokens=tuple(rows))))
    path.chmod(0o600)
    [row] = found(gateway_checks.tokens, patient_of(home))
    assert row.message.endswith(": soon")
    path.chmod(stat.S_IRUSR | stat.S_IROTH)
    [row] = found(gateway_checks.tokens, patient_of(home))
    assert row.level is Level.ERROR


def test_member_without_progress_and_of_another_release(home: Path) -> None:
    """What the running gateway says of itself is judged, too."""
    status: dict[str, Any] = {
        "progress": {"state": "stalled", "explanation": "Halted."},
        "gateway": {"version": "0.0.1"},
    }
    rows = found(gateway_checks.progress, replace(patient_of(home), status=status))
    assert [row.check for row in rows] == ["progress", "version"]
