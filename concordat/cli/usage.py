"""``concordat usage``: what buyers and auditors check about usage records, most of it offline."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import click
import msgspec

from adapters.tmf.usage.block import BLOCK_TYPE, UsageBlock, block_subject
from adapters.tmf.usage.chain import audit_chain
from adapters.tmf.usage.package import audit_package, decode_package
from adapters.tmf.usage.proof import decode_proof, verify_on_ledger
from concordat.cli.failure import CommandFailed
from concordat.cli.options import Target, target_options
from concordat.cli.output import emit, json_option, moment
from concordat.home import load_genesis
from ledger.core.errors import DecodeError, ProofError
from ledger.core.limits import PROOF_FILE_BYTES_MAX
from pubsub.client.sync_client import Client

__all__ = ["usage"]

_genesis = click.option(
    "--genesis",
    "genesis_file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The network's genesis file: the only thing that is trusted.",
)
_NOTHING: Final = "Conclude nothing from it."


@click.group()
def usage() -> None:
    """Check usage records, blocks of them, and a seller's chain of blocks."""


@usage.command()
@click.argument("proof", type=click.File("rb"))
@_genesis
@json_option
def verify(*, proof: BinaryIO, genesis_file: Path, as_json: bool) -> None:
    """Check the PROOF of one usage record (- for standard input), offline.

    A buyer or the seller gets it from the access node: /usage-log/v1/blocks/<number>/proof.
    """
    genesis = load_genesis(genesis_file)
    with _explained("proof of a usage record"):
        found = verify_on_ledger(decode_proof(proof.read(PROOF_FILE_BYTES_MAX + 1)), genesis)
    document = {
        "verified": True,
        "number": found.number,
        "supersedes": found.supersedes,
        "block": _block(found.block),
        "record": msgspec.Raw(found.record.body),
    }
    corrected = f", correcting record {found.supersedes}" if found.supersedes else ""
    human = (
        f"The proof holds: {found.block.seller} logged record {found.number}{corrected}\n"
        f"  in block   {_in_words(found.block)}\n"
        f"  record     {found.record.body.decode()}"
    )
    emit(document, human, as_json=as_json)


@usage.command()
@click.argument("package", type=click.File("rb"))
@_genesis
@json_option
def audit(*, package: BinaryIO, genesis_file: Path, as_json: bool) -> None:
    """Recompute a whole block from the PACKAGE that its seller gives an auditor, offline.

    The seller gets it from the access node: /usage-log/v1/blocks/<number>/audit. Exit code 1 when
    anything differs from what is on the ledger.
    """
    genesis = load_genesis(genesis_file)
    with _explained("audit package"):
        report = audit_package(decode_package(package.read()), genesis)
    sums = sorted(report.totals.items())
    totals = [{**key._asdict(), "amount": amount} for key, amount in sums]
    document = {"block": _block(report.block), "faults": report.faults, "totals": totals}
    lines = [
        f"{len(report.faults)} faults in block {_in_words(report.block)}",
        *(f"  {fault}" for fault in report.faults),
        *(f"  {amount} {of.unit} {of.metric}: {of.product} for {of.buyer}" for of, amount in sums),
    ]
    emit(document, "\n".join(lines), as_json=as_json)
    if report.faults:
        raise SystemExit(1)


@usage.command()
@target_options
@click.argument("seller")
@json_option
def chain(
    *, home: Path, url: str | None, genesis_file: Path | None, seller: str, as_json: bool
) -> None:
    """Check that no block of SELLER, a DID, is missing, forked or out of order.

    Every event is proven first. Exit code 1 when the chain is not whole.
    """
    target = Target.find(home, url, genesis_file)
    with Client(target.url, target.genesis()) as client:
        found = [
            event.event
            for event in client.events(subject=block_subject(seller), type=BLOCK_TYPE)
            if event.event.publisher == seller
        ]
    with _explained("usage block"):
        faults = audit_chain(found)
    document = {"seller": seller, "blocks": len(found), "faults": faults}
    lines = [
        f"{len(faults)} faults in {len(found)} blocks of {seller}",
        *(f"  {fault}" for fault in faults),
    ]
    emit(document, "\n".join(lines), as_json=as_json)
    if faults:
        raise SystemExit(1)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except DecodeError as error:
        raise CommandFailed(f"this is no {what}: {error}") from None
    except ProofError as error:
        raise CommandFailed(f"IT DOES NOT HOLD: {error}", hint=_NOTHING) from None


def _block(block: UsageBlock) -> dict[str, object]:
    return {
        "seller": block.seller,
        "number": block.number,
        "first": block.first,
        "count": block.count,
        "from_ms": block.from_ms,
        "to_ms": block.to_ms,
        "root": block.root.hex(),
    }


def _in_words(block: UsageBlock) -> str:
    window = f"{moment(block.from_ms)} to {moment(block.to_ms)}"
    return f"{block.number} of {block.seller}: {block.count} records, {window}"
