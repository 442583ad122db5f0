"""``concordat doctor``: what is wrong with a member's set-up, and what to do about it."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click
import httpx
import msgspec
from rich.table import Table
from rich.text import Text

from concordat.cli.failure import ExitCode
from concordat.cli.options import home_option
from concordat.cli.output import emit, json_option
from concordat.config_file import ConfigError
from concordat.doctor.finding import Check, Finding, Level, Patient, error, ok
from concordat.doctor.gateway_checks import GATEWAY_CHECKS
from concordat.doctor.home_checks import HOME_CHECKS
from concordat.doctor.host_checks import HOST_CHECKS
from concordat.doctor.network_checks import NETWORK_CHECKS
from concordat.home import Home, HomeError
from ledger.core.genesis import Genesis
from ledger.core.validators import Validator
from ledger.io.chain_store import ChainStore
from ledger.io.errors import StorageError
from pubsub.core.documents import Status

__all__ = ["doctor"]

_CHECKS: Final[tuple[Check, ...]] = (*HOME_CHECKS, *HOST_CHECKS, *NETWORK_CHECKS, *GATEWAY_CHECKS)
_TIMEOUT_S: Final = 2.0
_MARKS: Final = {
    Level.OK: ("✓", "green"),
    Level.WARNING: ("!", "yellow"),
    Level.ERROR: ("✗", "red"),
}


class Report(msgspec.Struct, frozen=True):
    """All findings.

    Attributes:
        worst: the worst level among them.
    """

    worst: Level
    findings: tuple[Finding, ...]


@click.command()
@home_option
@click.option("--strict", is_flag=True, help="Fail for warnings, too.")
@json_option
def doctor(*, home: Path, strict: bool, as_json: bool) -> None:
    """Check a member's set-up: files, keys, stores, machine, ports, peers, gateway.

    It changes nothing, and may run beside the member and before its first start. Exit code 0 when
    nothing must be corrected, else 1.
    """
    report = _examine(home)
    emit(report, _table(report), as_json=as_json)
    if report.worst is Level.ERROR or (strict and report.worst is Level.WARNING):
        raise SystemExit(ExitCode.FAILED)


def _examine(home: Path) -> Report:
    findings = tuple(_findings(home))
    levels = {finding.level for finding in findings}
    worst = max(levels, key=list(Level).index)
    return Report(worst, findings)


def _findings(home: Path) -> Iterator[Finding]:
    try:
        opened = Home.open(home)
    except (HomeError, ConfigError) as fault:
        yield error("configuration", str(fault), "Nothing else can be checked before.")
        return
    yield ok("configuration", f"{opened.path / 'concordat.toml'} is valid")
    patient = _meet(opened)
    for check in _CHECKS:
        yield from check(patient)


def _meet(home: Home) -> Patient:
    """Find out what all checks need to know."""
    genesis: Genesis | None = None
    with suppress(HomeError):  # the check of the genesis file says so
        genesis = home.genesis()
    return Patient(
        home,
        genesis,
        () if genesis is None else _validators(home, genesis),
        _status(home, genesis),
        _is_listening(home.control_path),
    )


def _validators(home: Home, genesis: Genesis) -> tuple[Validator, ...]:
    """Give the validators of the epoch that the ledger here is in."""
    try:
        with (
            ChainStore.open_readonly(home.resolve(home.config.node.chain_dir)) as store,
            store.read() as reader,
        ):
            return tuple(reader.epoch_start().members)
    except (StorageError, LookupError):
        return tuple(genesis.validators)


def _status(home: Home, genesis: Genesis | None) -> dict[str, Any] | None:
    """Ask this member's own gateway; another program on its port, or network, is none."""
    try:
        answer = httpx.get(f"http://{home.config.gateway.listen}/v1/status", timeout=_TIMEOUT_S)
        found = msgspec.json.decode(answer.content, type=Status)
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError, RecursionError):
        return None
    is_ours = genesis is not None and found.chain_id in (genesis.chain_id, None)
    document: dict[str, Any] = msgspec.json.decode(answer.content)
    return document if is_ours else None


def _is_listening(control_path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_TIMEOUT_S)
        return probe.connect_ex(str(control_path)) == 0


def _table(report: Report) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for finding in report.findings:
        mark, colour = _MARKS[finding.level]
        text = Text(finding.message)
        if finding.advice:
            text.append(f"\n→ {finding.advice}", colour)
        table.add_row(Text(mark, f"bold {colour}"), finding.check, text)
    errors, warnings = (
        sum(finding.level is level for finding in report.findings)
        for level in (Level.ERROR, Level.WARNING)
    )
    table.add_row("", "", f"{errors} to correct, {warnings} to look at")
    return table
