"""``concordat verify``: check a proof with the genesis file alone, offline."""

import base64
import binascii
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from concordat.cli.failure import CommandFailed
from concordat.cli.output import emit, json_option
from concordat.home import load_genesis
from ledger.core.errors import DecodeError, ProofError
from ledger.core.limits import PROOF_FILE_BYTES_MAX
from ledger.core.proof import ProofBundle, decode_bundle, verify_bundle

__all__ = ["verify"]


class _JsonForm(msgspec.Struct, frozen=True):
    """The JSON form of a bundle; only these bytes count."""

    bundle: str


@click.command()
@click.argument("bundle", type=click.File("rb"))
@click.option(
    "--genesis",
    "genesis_file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The network's genesis file: the only thing that is trusted.",
)
@json_option
def verify(*, bundle: BinaryIO, genesis_file: Path, as_json: bool) -> None:
    """Check the proof in BUNDLE (- for standard input). Exit code 1 when it does not hold."""
    genesis = load_genesis(genesis_file)
    try:
        verified = verify_bundle(read_bundle(bundle.read(PROOF_FILE_BYTES_MAX + 1)), genesis)
    except DecodeError as error:
        raise CommandFailed(f"this is no proof: {error}") from None
    except ProofError as error:
        raise CommandFailed(
            f"THE PROOF DOES NOT HOLD: {error}", hint="Conclude nothing from this event."
        ) from None
    final = datetime.fromtimestamp(verified.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    document = {
        "verified": True,
        "chain_id": genesis.chain_id,
        "id": verified.id.hex(),
        "sequence": verified.sequence,
        "height": verified.height,
        "time_ms": verified.time_ms,
        "publisher": verified.event.publisher,
        "topic": verified.event.topic,
        "type": verified.event.type,
        "subject": verified.event.subject,
    }
    human = (
        f"The proof holds: the network {genesis.chain_id} agreed on this event.\n"
        f"  event      {verified.id.hex()}\n"
        f"  publisher  {verified.event.publisher}\n"
        f"  topic      {verified.event.topic}\n"
        f"  type       {verified.event.type}\n"
        f"  subject    {verified.event.subject}\n"
        f"  sequence   {verified.sequence}, final in block {verified.height} at {final}"
    )
    emit(document, human, as_json=as_json)


def read_bundle(data: bytes) -> ProofBundle:
    """Read a bundle in its binary or its JSON form.

    Raises:
        DecodeError: it is neither.
    """
    if len(data) > PROOF_FILE_BYTES_MAX:
        raise DecodeError("too large")
    if data.lstrip()[:1] != b"{":
        return decode_bundle(data)
    try:
        form = msgspec.json.decode(data, type=_JsonForm)
        return decode_bundle(base64.b64decode(form.bundle, validate=True))
    except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError) as error:
        raise DecodeError(str(error)) from None
