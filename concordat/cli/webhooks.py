"""``concordat webhooks``: have a gateway post events to URLs."""

from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table

from concordat.cli.output import emit, json_option, moment
from concordat.cli.rest import Rest, gateway_options

__all__ = ["webhooks"]

_PATH: Final = "/v1/webhooks"


@click.group()
def webhooks() -> None:
    """Have a gateway post events to URLs: signed CloudEvents, retried for days.

    The receiver must consent before anything is posted. A secret is shown once, when it is made.
    """


@webhooks.command()
@click.argument("target")
@click.option("--topic", "topics", multiple=True, help="Topic or pattern; may be repeated.")
@click.option(
    "--mode",
    type=click.Choice(["structured", "binary", "batch"]),
    default="structured",
    show_default=True,
    help="How events are encoded as CloudEvents over HTTP.",
)
@click.option(
    "--signature",
    "signatures",
    type=click.Choice(["v1", "v1a"]),
    multiple=True,
    default=("v1",),
    show_default=True,
    help="v1: HMAC with a shared secret; v1a: Ed25519. May be repeated.",
)
@click.option(
    "--start",
    type=click.Choice(["first", "last", "new", "last_per_subject"]),
    default="new",
    show_default=True,
    help="The event to begin with.",
)
@click.option("--ordered", is_flag=True, help="One at a time, in ledger order.")
@click.option("--rate", type=click.IntRange(min=1), help="Requests a minute at most.")
@click.option(
    "--authorization-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with what requests carry in Authorization, such as a bearer token.",
)
@gateway_options
@json_option
def add(  # noqa: PLR0913 - one argument for each option
    *,
    target: str,
    topics: tuple[str, ...],
    mode: str,
    signatures: tuple[str, ...],
    start: str,
    ordered: bool,
    rate: int | None,
    authorization_file: Path | None,
    rest: Rest,
    as_json: bool,
) -> None:
    """Have events posted to TARGET, and print what its receiver verifies them with."""
    wish: dict[str, object] = {
        "url": target,
        "interest": {"topics": list(topics)},
        "mode": mode,
        "signatures": list(dict.fromkeys(signatures)),
        "start": {"policy": start},
        "rate": rate,
        "is_ordered": ordered,
    }
    if authorization_file is not None:
        wish["authorization"] = authorization_file.read_text("ascii").strip()
    made = rest.ask("POST", _PATH, wish)
    webhook, secrets = made["webhook"], made["secrets"]
    lines = [f"{webhook['id']}: {_state(webhook)}"]
    lines += [f"{secret['signature']} {secret['key']}" for secret in secrets]
    if any(secret["signature"] == "v1" for secret in secrets):
        lines.append("Store the secret now: it is not shown again.")
    if webhook["state"] == "pending":
        lines.append(
            "Its receiver has not consented yet: let it answer OPTIONS, then ask it again with "
            f"`concordat webhooks verify {webhook['id']}`."
        )
    emit(made, "\n".join(lines), as_json=as_json)


@webhooks.command("list")
@gateway_options
@json_option
def list_(*, rest: Rest, as_json: bool) -> None:
    """List your webhooks, with their state and how far each is behind."""
    found = rest.ask("GET", _PATH)["webhooks"]
    emit(found, _table(found) if found else "No webhooks.", as_json=as_json)


@webhooks.command()
@click.argument("webhook")
@gateway_options
@json_option
def show(*, webhook: str, rest: Rest, as_json: bool) -> None:
    """Show a webhook, its last attempts and what was given up."""
    document = rest.ask("GET", f"{_PATH}/{webhook}")
    attempts = rest.ask("GET", f"{_PATH}/{webhook}/deliveries")["attempts"]
    lines = [
        f"{document['id']}: {_state(document)}",
        f"url            {document['url']}",
        f"events         {' '.join(document['interest']['topics']) or 'all topics'}",
        (
            f"behind         {document['lag']}; on the way {document['in_flight']}; "
            f"given up {document['dead_letters']}"
        ),
        *(_attempt(attempt) for attempt in attempts[:10]),
    ]
    emit({**document, "attempts": attempts}, "\n".join(lines), as_json=as_json)


@webhooks.command()
@click.argument("webhook")
@gateway_options
@json_option
def verify(*, webhook: str, rest: Rest, as_json: bool) -> None:
    """Ask a webhook's receiver for its consent again."""
    document = rest.ask("POST", f"{_PATH}/{webhook}/verify")
    emit(document, f"{document['id']}: {_state(document)}", as_json=as_json)


@webhooks.command()
@click.argument("webhook")
@gateway_options
@json_option
def enable(*, webhook: str, rest: Rest, as_json: bool) -> None:
    """Deliver again after a webhook was disabled, from where it ended."""
    document = rest.ask("POST", f"{_PATH}/{webhook}/enable")
    emit(document, f"{document['id']}: {_state(document)}", as_json=as_json)


@webhooks.command()
@click.argument("webhook")
@gateway_options
@json_option
def ping(*, webhook: str, rest: Rest, as_json: bool) -> None:
    """Post a test event and say how it went."""
    attempt = rest.ask("POST", f"{_PATH}/{webhook}/ping")
    emit(attempt, _attempt(attempt), as_json=as_json)


@webhooks.command()
@click.argument("webhook")
@click.option(
    "--signature", type=click.Choice(["v1", "v1a"]), default="v1", show_default=True, help="Kind."
)
@click.option("--leaked", is_flag=True, help="End the old key at once instead of after a day.")
@gateway_options
@json_option
def rotate(
    *,
    webhook: str,
    signature: str,
    leaked: bool,
    rest: Rest,
    as_json: bool,
) -> None:
    """Replace a webhook's key, or add one of another kind, and print the new one."""
    wish: dict[str, object] = {"signature": signature, **({"overlap_ms": 0} if leaked else {})}
    secret = rest.ask("POST", f"{_PATH}/{webhook}/rotate", wish)
    emit(secret, f"{secret['signature']} {secret['key']}", as_json=as_json)


@webhooks.command()
@click.argument("webhook")
@click.argument("sequences", type=click.IntRange(min=0), nargs=-1, required=True)
@gateway_options
@json_option
def redeliver(
    *,
    webhook: str,
    sequences: tuple[int, ...],
    rest: Rest,
    as_json: bool,
) -> None:
    """Post events once more, at once, by their SEQUENCES."""
    wish = {"sequences": list(sequences)}
    answer = rest.ask("POST", f"{_PATH}/{webhook}/redeliver", wish)
    lines = [_attempt(attempt) for attempt in answer["attempts"]]
    emit(answer["attempts"], "\n".join(lines), as_json=as_json)


@webhooks.command()
@click.argument("webhook")
@gateway_options
@json_option
def replay(*, webhook: str, rest: Rest, as_json: bool) -> None:
    """Have all events tried again that were given up."""
    answer = rest.ask("POST", f"{_PATH}/{webhook}/dead-letters/replay", {})
    count = next(iter(answer.values()))
    emit(answer, f"{count} events will be tried again.", as_json=as_json)


@webhooks.command()
@click.argument("webhook")
@gateway_options
@json_option
def remove(*, webhook: str, rest: Rest, as_json: bool) -> None:
    """Delete a webhook with its secrets."""
    rest.ask("DELETE", f"{_PATH}/{webhook}")
    emit({"id": webhook, "removed": True}, f"Removed {webhook}.", as_json=as_json)


def _state(document: dict[str, Any]) -> str:
    reason = f" ({document['reason']})" if document["reason"] else ""
    health = document["health"]
    since = health["failing_since_ms"]
    failing = f", failing since {moment(since)}" if since is not None else ""
    return f"{document['state']}{reason}{failing}"


def _attempt(attempt: dict[str, Any]) -> str:
    status = "" if attempt["status"] is None else f" {attempt['status']}"
    events = " ".join(map(str, attempt["sequences"]))
    number = f" attempt {attempt['attempt']}" if attempt["attempt"] else ""
    what = f"{attempt['purpose']} {events}".strip()
    return (
        f"{moment(attempt['at_ms'])} {what}{number}: "
        f"{attempt['outcome']}{status} in {attempt['ms']} ms"
    )


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table("webhook", "url", "state", "behind", "given up", box=None)
    for document in found:
        counts = (str(document["lag"]), str(document["dead_letters"]))
        table.add_row(document["id"], document["url"], _state(document), *counts)
    return table
