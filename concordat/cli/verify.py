"""``concordat verify``: check a proof with the genesis file alone, offline."""

import base64
import binascii
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from concordat.cli.failure import CommandFailed
from concordat.cli.output import emit, json_option, moment
from concordat.cli.trust_output import json_text, key_in_words, value_document
from concordat.home import load_genesis
from ledger.core.errors import DecodeError, ProofError
from ledger.core.genesis import Genesis
from ledger.core.limits import PROOF_FILE_BYTES_MAX
from ledger.core.proof import ProofBundle, decode_bundle, verify_bundle
from ledger.core.state_proof import (
    StateProofBundle,
    decode_state_bundle,
    is_state_bundle,
    verify_state_bundle,
)

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
    """Check the proof in BUNDLE (- for standard input). Exit code 1 when it does not hold.

    It may be of an event (`concordat get --proof`) or of what the state held, such as an entry of a
    trusted list (`concordat trust proof`).
    """
    genesis = load_genesis(genesis_file)
    try:
        read = read_bundle(bundle.read(PROOF_FILE_BYTES_MAX + 1))
        if isinstance(read, StateProofBundle):
            document, human = _show_state(read, genesis)
        else:
            document, human = _show_event(read, genesis)
    except DecodeError as error:
        raise CommandFailed(f"this is no proof: {error}") from None
    except ProofError as error:
        raise CommandFailed(
            f"THE PROOF DOES NOT HOLD: {error}", hint="Conclude nothing from it."
        ) from None
    emit(
        {"verified": True, "chain_id": genesis.chain_id, **document},
        f"The proof holds: the network {genesis.chain_id} agreed on {human}",
        as_json=as_json,
    )


def _show_event(bundle: ProofBundle, genesis: Genesis) -> tuple[dict[str, object], str]:
    verified = verify_bundle(bundle, genesis)
    event = verified.event
    document: dict[str, object] = {
        "id": verified.id.hex(),
        "sequence": verified.sequence,
        "height": verified.height,
        "time_ms": verified.time_ms,
        "publisher": event.publisher,
        "topic": event.topic,
        "type": event.type,
        "subject": event.subject,
    }
    place = f"{verified.sequence}, final in block {verified.height} at {moment(verified.time_ms)}"
    return document, (
        "this event.\n"
        f"  event      {verified.id.hex()}\n"
        f"  publisher  {event.publisher}\n"
        f"  topic      {event.topic}\n"
        f"  type       {event.type}\n"
        f"  subject    {event.subject}\n"
        f"  sequence   {place}"
    )


def _show_state(bundle: StateProofBundle, genesis: Genesis) -> tuple[dict[str, object], str]:
    verified = verify_state_bundle(bundle, genesis)
    value = value_document(verified)
    about = key_in_words(verified.key)
    document: dict[str, object] = {
        "key": verified.key.hex(),
        "about": about,
        "present": verified.value is not None,
        "value": value,
        "height": verified.height,
        "time_ms": verified.time_ms,
    }
    when = f"after block {verified.height}, shown by one of {moment(verified.time_ms)}"
    if verified.value is None:
        return document, f"this: there was NOTHING at {about}\n  {when}"
    return document, f"this state of {about}\n  {when}\n{json_text(value)}"


def read_bundle(data: bytes) -> ProofBundle | StateProofBundle:
    """Read a bundle of either kind in its binary or its JSON form.

    Raises:
        DecodeError: it is neither.
    """
    if len(data) > PROOF_FILE_BYTES_MAX:
        raise DecodeError("too large")
    if data.lstrip()[:1] == b"{":
        try:
            form = msgspec.json.decode(data, type=_JsonForm)
            data = base64.b64decode(form.bundle, validate=True)
        except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError) as error:
            raise DecodeError(str(error)) from None
    return decode_state_bundle(data) if is_state_bundle(data) else decode_bundle(data)
