"""``concordat governance``: who decides, and what is decided together."""

import time
from pathlib import Path

import click
import msgspec
from rich.console import Group
from rich.text import Text

from concordat.cli.failure import CommandFailed, ExitCode
from concordat.cli.options import Target, target_options
from concordat.cli.output import emit, json_option, moment
from concordat.cli.participant_file import participant_of
from concordat.cli.trust_output import facts, json_text
from concordat.cli.validator_sets import in_words, next_set
from concordat.cli.writing import Signing, expiry_ms, signing_options
from ledger.core.genesis import Governors
from ledger.core.ids import Height
from ledger.core.limits import INT_MAX, PROPOSAL_LIFE_MS_MAX
from ledger.core.trust.governance import Proposal
from ledger.core.trust.operations import (
    Action,
    Approve,
    Propose,
    SetGovernors,
    SetParameter,
    SetParticipant,
    SetTopicRule,
    SetValidators,
)
from ledger.core.validators import ValidatorSet
from pubsub.client.calls import event_id_of
from pubsub.client.sync_client import Client
from pubsub.client.trust_calls import Reading
from pubsub.core.trust_documents import ProposalDocument, proposal_document

__all__ = ["governance"]

_HOURS_MAX = PROPOSAL_LIFE_MS_MAX // 3_600_000
_PATIENCE_S = 3
_POLL_S = 0.1
_expires = click.option(
    "--expires-in",
    "hours",
    type=click.IntRange(1, _HOURS_MAX - 1),
    default=168,
    show_default=True,
    metavar="HOURS",
    help="The proposal ends when it is not approved by then.",
)


@click.group()
def governance() -> None:
    """Propose, approve and see what governors decide together."""


@governance.command()
@target_options
@click.argument("proposal", required=False)
@json_option
def show(
    *, home: Path, url: str | None, genesis_file: Path | None, proposal: str | None, as_json: bool
) -> None:
    """Show governors and open proposals, or PROPOSAL, open or decided, proven against genesis."""
    target = Target.find(home, url, genesis_file)
    if proposal is not None:
        _show_proposal(target, proposal, as_json=as_json)
        return
    with Client(target.url) as client:
        found = client.trust.governance()
    rows = [
        ("governors", "\n".join(found.governors.members)),
        ("threshold", f"{found.governors.threshold} of them decide"),
        ("validators", ", ".join(found.validators)),
    ]
    rows += [
        ("parameter", f"{name} = {value} from block {height} on")
        for name, (value, height) in found.parameters.items()
    ]
    if found.validators_change:
        rows.append(("", "a new set is approved and waits for the next epoch"))
    rows.append(("open", f"{found.open_count} proposals"))
    proposals = [_view(item) for item in found.proposals]
    emit(found, Group(facts(rows), *proposals), as_json=as_json)


def _show_proposal(target: Target, text: str, *, as_json: bool) -> None:
    id_ = _event_id(text)
    with Client(target.url, target.genesis()) as client:
        reading = _proposal(client, id_)
    assert reading.value is not None
    document = proposal_document(bytes.fromhex(id_), reading.value, reading.time_ms)
    when = f"proven: so after block {reading.height}, by {moment(reading.time_ms)}"
    emit(document, Group(_view(document), Text(when)), as_json=as_json)


def _proposal(client: Client, id_: str) -> Reading[Proposal]:
    """Read a proposal; another gateway may have seen it a moment before this one.

    Raises:
        CommandFailed: there is none.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while (reading := client.trust.proposal(id_)).value is None:
        if time.monotonic() > deadline:
            raise CommandFailed(f"no event {id_} made a proposal")
        time.sleep(_POLL_S)
    return reading


def _view(proposal: ProposalDocument) -> Group:
    rows = [
        ("proposal", proposal.id),
        ("status", proposal.status.replace("_", " ")),
        ("by", proposal.proposer),
        ("approved by", "\n".join(proposal.approvals)),
        ("expires", moment(proposal.expires_ms)),
    ]
    if proposal.executed_ms is not None:
        rows.append(("carried out", moment(proposal.executed_ms)))
    return Group(Text(""), facts(rows), Text(json_text(proposal.action)))


@governance.command("propose-participant")
@target_options
@signing_options
@click.argument("entry", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@_expires
@json_option
def propose_participant(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    key_file: Path | None,
    password_file: Path | None,
    entry: Path,
    hours: int,
    as_json: bool,
) -> None:
    """Propose to set a participant as ENTRY has it: name, keys, topics, reserved ones too.

    ENTRY is what `concordat keys export-public` prints. It replaces all that is known of the DID.
    """
    action = SetParticipant(participant_of(entry))
    signing = Signing(Target.find(home, url, genesis_file), key_file, password_file)
    signing.carry_out(Propose(action, expiry_ms(hours)), as_json=as_json)


@governance.command("propose-rights")
@target_options
@signing_options
@click.argument("did")
@click.option("--grant", "granted", multiple=True, metavar="TOPIC", help="May be repeated.")
@click.option("--withdraw", "withdrawn", multiple=True, metavar="TOPIC", help="May be repeated.")
@_expires
@json_option
def propose_rights(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    key_file: Path | None,
    password_file: Path | None,
    did: str,
    granted: tuple[str, ...],
    withdrawn: tuple[str, ...],
    hours: int,
    as_json: bool,
) -> None:
    """Propose to grant topics (or patterns) to the participant DID, or to withdraw them.

    The right to a list is its topic, such as ledger.lists.issuers; that of registering
    participants is ledger.participants.
    """
    if not granted and not withdrawn:
        raise click.UsageError("give --grant or --withdraw")
    signing = Signing(Target.find(home, url, genesis_file), key_file, password_file)
    with signing.client() as client:
        known = client.trust.participant(did).value
    if known is None:
        raise CommandFailed(
            f"{did} is no participant", hint="Propose one with `governance propose-participant`."
        )
    if absent := [topic for topic in withdrawn if topic not in known.topics]:
        raise CommandFailed(f"{did} has no right to {absent[0]}")
    kept = [topic for topic in known.topics if topic not in withdrawn]
    topics = tuple(dict.fromkeys([*kept, *granted]))
    try:
        action = SetParticipant(msgspec.structs.replace(known, topics=topics))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    signing.carry_out(Propose(action, expiry_ms(hours)), as_json=as_json)


@governance.command("propose-governors")
@target_options
@signing_options
@click.option("--threshold", type=click.IntRange(1, 100), required=True, help="How many decide.")
@click.option("--member", "members", multiple=True, required=True, metavar="DID", help="One each.")
@_expires
@json_option
def propose_governors(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    key_file: Path | None,
    password_file: Path | None,
    threshold: int,
    members: tuple[str, ...],
    hours: int,
    as_json: bool,
) -> None:
    """Propose who governs from then on: all members, and how many of them decide."""
    action: Action = SetGovernors(Governors(threshold, members))
    signing = Signing(Target.find(home, url, genesis_file), key_file, password_file)
    signing.carry_out(Propose(action, expiry_ms(hours)), as_json=as_json)


@governance.command("propose-validators")
@target_options
@signing_options
@click.option(
    "--add",
    "added",
    multiple=True,
    metavar="CARD",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="A member's member.json: a new validator, or new keys or address of one. Repeatable.",
)
@click.option("--remove", "removed", multiple=True, metavar="NAME", help="Repeatable.")
@_expires
@json_option
def propose_validators(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    key_file: Path | None,
    password_file: Path | None,
    added: tuple[Path, ...],
    removed: tuple[str, ...],
    hours: int,
    as_json: bool,
) -> None:
    """Propose the validators of the next epoch: the present ones, with and without some.

    Make sure that who is added runs and follows the ledger: the next epoch needs more than two
    thirds of its own validators.
    """
    if not added and not removed:
        raise click.UsageError("give --add or --remove")
    signing = Signing(Target.find(home, url, genesis_file), key_file, password_file)
    with signing.client() as client:
        chain = client.status().chain
        # The newest set, also when the one before it can already be proven.
        newest = None if chain is None else Height(chain.height)
        present = client.trust.validators(at_least=newest).value
    assert present is not None, "every state names validators"
    chosen = ValidatorSet(next_set(present, added, removed))
    click.echo(in_words(present, chosen), err=True)
    signing.carry_out(Propose(SetValidators(chosen.members), expiry_ms(hours)), as_json=as_json)


@governance.command("propose-parameter")
@target_options
@signing_options
@click.argument("name")
@click.argument("value", type=click.IntRange(0, INT_MAX))
@click.option("--from-height", type=click.IntRange(0, INT_MAX), required=True)
@_expires
@json_option
def propose_parameter(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    key_file: Path | None,
    password_file: Path | None,
    name: str,
    value: int,
    from_height: int,
    hours: int,
    as_json: bool,
) -> None:
    """Propose to set the parameter NAME to VALUE from a block on."""
    action = SetParameter(name, value, from_height)
    signing = Signing(Target.find(home, url, genesis_file), key_file, password_file)
    signing.carry_out(Propose(action, expiry_ms(hours)), as_json=as_json)


@governance.command("propose-topic-rule")
@target_options
@signing_options
@click.argument("pattern")
@click.option("--complete", is_flag=True, help="Subscribers can prove that they missed nothing.")
@click.option(
    "--expect-previous",
    "expects",
    is_flag=True,
    help="An event must name, as previous hash, the hash that its entity has.",
)
@click.option("--end", is_flag=True, help="Neither from then on.")
@_expires
@json_option
def propose_topic_rule(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    key_file: Path | None,
    password_file: Path | None,
    pattern: str,
    complete: bool,
    expects: bool,
    end: bool,
    hours: int,
    as_json: bool,
) -> None:
    """Propose what holds for the topics that PATTERN names, from the block after the approval on.

    It replaces what an earlier rule of the very same pattern said. `concordat topics` shows all.
    """
    if end is (complete or expects):
        raise click.UsageError("give --complete, --expect-previous or both, or --end")
    try:
        action = SetTopicRule(pattern, complete, expects)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    signing = Signing(Target.find(home, url, genesis_file), key_file, password_file)
    signing.carry_out(Propose(action, expiry_ms(hours)), as_json=as_json)


@governance.command()
@target_options
@signing_options
@click.argument("proposal")
@json_option
def approve(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    url: str | None,
    genesis_file: Path | None,
    key_file: Path | None,
    password_file: Path | None,
    proposal: str,
    as_json: bool,
) -> None:
    """Approve PROPOSAL. The approval that completes the threshold carries it out."""
    id_ = _event_id(proposal)
    signing = Signing(Target.find(home, url, genesis_file), key_file, password_file)
    with signing.client() as client:
        _proposal(client, id_)
    signing.carry_out(Approve(event_id_of(id_)), as_json=as_json)


def _event_id(text: str) -> str:
    try:
        return event_id_of(text).hex()
    except ValueError:
        raise CommandFailed(
            f"not the id of a proposal: {text!r}", ExitCode.USAGE, "64 hexadecimal digits."
        ) from None
