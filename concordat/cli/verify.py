"""``concordat verify``: check a proof offline, with the genesis file alone or with a policy."""

import base64
import binascii
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from concordat.cli.failure import CommandFailed, ExitCode
from concordat.cli.kept_event import kept_event_option, read_kept
from concordat.cli.output import emit, json_option, moment
from concordat.cli.trust_output import json_text, key_in_words, value_document
from concordat.home import load_genesis
from ledger.core.errors import DecodeError, ProofError
from ledger.core.event import Event
from ledger.core.genesis import Genesis
from ledger.core.limits import POLICY_BYTES_MAX, PROOF_FILE_BYTES_MAX
from ledger.core.proof import ProofBundle, decode_bundle, verify_bundle, with_entry
from ledger.core.state_proof import (
    StateProofBundle,
    decode_state_bundle,
    is_state_bundle,
    verify_state_bundle,
)
from ledger.core.tlog.policy import Policy, parse_policy
from ledger.core.tlog.proof import (
    TlogProof,
    is_tlog_proof,
    parse_tlog_proof,
    verify_tlog_proof,
    with_tlog_entry,
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
    help="The network's genesis file: then nothing else is trusted.",
)
@click.option(
    "--policy",
    "policy_file",
    type=click.File("rb"),
    help="Trust a tlog-policy instead; for proofs of the transparency log.",
)
@kept_event_option
@json_option
def verify(
    *,
    bundle: BinaryIO,
    genesis_file: Path | None,
    policy_file: BinaryIO | None,
    kept: BinaryIO | None,
    as_json: bool,
) -> None:
    """Check the proof in BUNDLE (- for standard input). Exit code 1 when it does not hold.

    It may be of an event (`concordat get --proof`, `concordat log proof`) or of what the state
    held, such as an entry of a trusted list (`concordat trust proof`).
    """
    data = bundle.read(PROOF_FILE_BYTES_MAX + 1)
    trusted = _trusted(genesis_file, policy_file, is_log=is_tlog_proof(data))
    try:
        document, human = _show(data, trusted, read_kept(kept))
    except DecodeError as error:
        raise CommandFailed(f"this is no proof: {error}") from None
    except ProofError as error:
        raise CommandFailed(
            f"THE PROOF DOES NOT HOLD: {error}", hint="Conclude nothing from it."
        ) from None
    emit(
        {"verified": True, **document},
        f"The proof holds: the network {document['chain_id']} agreed on {human}",
        as_json=as_json,
    )


def _trusted(
    genesis_file: Path | None, policy_file: BinaryIO | None, *, is_log: bool
) -> Genesis | Policy:
    """Read what is trusted: genesis for everything, or a policy for proofs of the log."""
    if genesis_file is not None and policy_file is None:
        return load_genesis(genesis_file)
    if policy_file is None or genesis_file is not None:
        raise CommandFailed("give either --genesis or --policy", ExitCode.USAGE)
    if not is_log:
        raise CommandFailed("a proof of this kind needs --genesis", ExitCode.USAGE)
    try:
        return parse_policy(policy_file.read(POLICY_BYTES_MAX + 1))
    except DecodeError as error:
        raise CommandFailed(f"this is no policy: {error}", ExitCode.USAGE) from None


def _show(
    data: bytes, trusted: Genesis | Policy, kept: bytes | None
) -> tuple[dict[str, object], str]:
    """Check a proof; ``kept`` is the entry that it may lack."""
    if not isinstance(trusted, Genesis) or is_tlog_proof(data):
        proof = parse_tlog_proof(data)
        if kept is not None and not proof.extra.entry:
            proof = with_tlog_entry(proof, kept)
        return _show_inclusion(proof, trusted)
    read = read_bundle(data)
    if kept is not None and isinstance(read, ProofBundle) and not read.entry:
        read = with_entry(read, kept)
    if isinstance(read, StateProofBundle):
        document, human = _show_state(read, trusted)
    else:
        document, human = _show_event(read, trusted)
    return {"chain_id": trusted.chain_id, **document}, human


def _show_inclusion(proof: TlogProof, trusted: Genesis | Policy) -> tuple[dict[str, object], str]:
    shown = verify_tlog_proof(proof, trusted)
    checkpoint, event = shown.cosigned.checkpoint, shown.opened.event
    document: dict[str, object] = {
        "chain_id": checkpoint.origin,
        "id": shown.opened.id.hex(),
        "sequence": shown.sequence,
        "log_size": checkpoint.size,
        "time_ms": shown.time_s * 1_000,
        "publisher": event.publisher,
        "topic": event.topic,
        "type": event.type,
        "subject": event.subject,
    }
    when = moment(shown.time_s * 1_000)
    place = f"{shown.sequence}, in the log of {checkpoint.size} events cosigned as of {when}"
    return document, _event_in_words(event, shown.opened.id.hex(), place)


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
    return document, _event_in_words(event, verified.id.hex(), place)


def _event_in_words(event: Event, id_: str, place: str) -> str:
    return (
        "this event.\n"
        f"  event      {id_}\n"
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
