"""``concordat consumers``: durable consumers of a gateway."""

from typing import Any, Final

import click
from rich.table import Table

from concordat.cli.output import emit, json_option, moment
from concordat.cli.rest import Rest, gateway_options
from ledger.core.limits import INT_MAX
from pubsub.core.limits import (
    CONSUMER_DELIVERIES_MAX,
    CONSUMER_FETCH_EVENTS_MAX,
    CONSUMER_IN_FLIGHT_MAX,
    CONSUMER_LIST_MAX,
)
from pubsub.core.strict_json import decode_strictly

__all__ = ["consumers"]

_PATH: Final = "/v1/consumers"
_WAIT_MS_MAX: Final = 20_000  # well within what the command waits for an answer
_STARTS: Final = ("first", "last", "new", "last_per_subject")
_name = click.argument("name")
_sequences = click.argument("sequences", type=click.IntRange(0, INT_MAX), nargs=-1, required=True)


@click.group()
def consumers() -> None:
    """Fetch events through durable consumers: none is lost, whoever crashes.

    A consumer is a position in the log that the gateway keeps for you. An event is given out until
    it is acknowledged, at least once.
    """


@consumers.command()
@_name
@click.option("--topic", "topics", multiple=True, help="Topic or pattern; may be repeated.")
@click.option("--filter", "filters", multiple=True, help="CloudEvents filter, as JSON.")
@click.option(
    "--start",
    default="new",
    show_default=True,
    metavar="START",
    help=f"The event to begin with: {', '.join(_STARTS)}, or a sequence.",
)
@click.option(
    "--ack",
    "ack_policy",
    type=click.Choice(["explicit", "cumulative", "none"]),
    default="explicit",
    show_default=True,
    help="How events are acknowledged.",
)
@click.option("--ack-wait-ms", type=click.IntRange(100), help="Then an event has failed.")
@click.option(
    "--max-in-flight",
    type=click.IntRange(1, CONSUMER_IN_FLIGHT_MAX),
    help="Events given out and not settled.",
)
@click.option(
    "--max-deliveries",
    type=click.IntRange(1, CONSUMER_DELIVERIES_MAX),
    help="Failures after which an event is a dead letter. Default: never.",
)
@click.option("--ordered", is_flag=True, help="Go back to what failed before going on.")
@click.option("--headers-only", is_flag=True, help="Events without inline data.")
@gateway_options
@json_option
def create(*, name: str, rest: Rest, as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Make the consumer NAME. The same one again changes nothing."""
    document = rest.ask("POST", _PATH, _request(name, options))
    emit(document, _line(document), as_json=as_json)


@consumers.command("list")
@gateway_options
@json_option
def list_(*, rest: Rest, as_json: bool) -> None:
    """List your consumers, with how far each is behind."""
    found = _all(rest, _PATH, "consumers")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "position", "lag", "in flight", "waiting", "dead", "owner"):
        table.add_column(title)
    for row in found:
        numbers = (row["in_flight"], row["waiting"], row["dead_letters"])
        cells = (row["name"], row["position"], _lag(row), *numbers, row["owner"])
        table.add_row(*map(str, cells))
    emit(found, table if found else "No consumers.", as_json=as_json)


@consumers.command()
@_name
@gateway_options
@json_option
def show(*, name: str, rest: Rest, as_json: bool) -> None:
    """Show the consumer NAME: how it was made, and where it stands."""
    document = rest.ask("GET", f"{_PATH}/{name}")
    totals = document["totals"]
    paused = document["paused_until_ms"]
    lines = [
        _line(document),
        f"events         {' '.join(document['interest']['topics']) or 'all topics'}",
        f"acknowledged   {document['ack_policy']}, within {document['ack_wait_ms']} ms",
        f"in flight      {document['in_flight']} of {document['max_in_flight']}",
        f"waiting        {document['waiting']}",
        f"dead letters   {document['dead_letters']}",
        f"delivered      {totals['delivered']}, {totals['redelivered']} of them again",
    ]
    if paused is not None:
        lines.append(f"paused         {'until resumed' if paused == INT_MAX else moment(paused)}")
    emit(document, "\n".join(lines), as_json=as_json)


@consumers.command()
@_name
@click.option(
    "--max-events",
    type=click.IntRange(1, CONSUMER_FETCH_EVENTS_MAX),
    default=100,
    show_default=True,
    help="At most so many.",
)
@click.option(
    "--wait-ms",
    type=click.IntRange(0, _WAIT_MS_MAX),
    default=0,
    show_default=True,
    help="Wait so long for the first one.",
)
@click.option("--ack", is_flag=True, help="Acknowledge what was printed.")
@gateway_options
@json_option
def fetch(  # noqa: PLR0913 - one argument for each option
    *, name: str, max_events: int, wait_ms: int, ack: bool, rest: Rest, as_json: bool
) -> None:
    """Fetch events of the consumer NAME. JSON: one delivery a line."""
    wish = {"max_events": max_events, "wait_ms": wait_ms}
    deliveries = rest.ask("POST", f"{_PATH}/{name}/fetch", wish)["deliveries"]
    for each in deliveries:
        event = each["event"]
        words = (event["time"], event["topic"], event["type"], event.get("subject", ""))
        again = f"  ({each['deliveries']}. time)" if each["deliveries"] > 1 else ""
        emit(each, f"{each['sequence']:>8}  {'  '.join(words)}".rstrip() + again, as_json=as_json)
    if ack and deliveries:
        numbers = [each["sequence"] for each in deliveries]
        rest.ask("POST", f"{_PATH}/{name}/settle", _acknowledgement(rest, name, numbers))


@consumers.command()
@_name
@_sequences
@gateway_options
@json_option
def ack(*, name: str, sequences: tuple[int, ...], rest: Rest, as_json: bool) -> None:
    """Acknowledge SEQUENCES; for a cumulative consumer, everything up to the last one."""
    _settle(rest, name, _acknowledgement(rest, name, list(sequences)), as_json=as_json)


@consumers.command()
@_name
@_sequences
@click.option(
    "--delay-ms", type=click.IntRange(0), help="Again after so long. Default: the backoff."
)
@click.option("--terminate", metavar="REASON", help="Never again: make them dead letters.")
@gateway_options
@json_option
def nak(  # noqa: PLR0913 - one argument for each option
    *,
    name: str,
    sequences: tuple[int, ...],
    delay_ms: int | None,
    terminate: str | None,
    rest: Rest,
    as_json: bool,
) -> None:
    """Say that SEQUENCES could not be handled: they are given out again."""
    if terminate is None:
        settlement: dict[str, Any] = {
            "nak": [{"sequence": each, "delay_ms": delay_ms} for each in sequences]
        }
    else:
        settlement = {"terminate": [{"sequence": n, "reason": terminate} for n in sequences]}
    _settle(rest, name, settlement, as_json=as_json)


@consumers.command("dead-letters")
@_name
@gateway_options
@json_option
def dead_letters(*, name: str, rest: Rest, as_json: bool) -> None:
    """List what the consumer NAME has given up. JSON: one dead letter a line."""
    found = _all(rest, f"{_PATH}/{name}/dead-letters", "dead_letters")
    for letter in found:
        again = ", will be given out again" if letter["is_replaying"] else ""
        emit(
            letter,
            f"{letter['sequence']:>8}  {moment(letter['time_ms'])}  {letter['reason']} after "
            f"{letter['deliveries']} deliveries{again}",
            as_json=as_json,
        )
    if not found and not as_json:
        click.echo("No dead letters.")


@consumers.command()
@_name
@click.argument("sequences", type=click.IntRange(0, INT_MAX), nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All dead letters.")
@gateway_options
@json_option
def replay(
    *, name: str, sequences: tuple[int, ...], is_all: bool, rest: Rest, as_json: bool
) -> None:
    """Have dead letters given out again: SEQUENCES, or all."""
    if bool(sequences) == is_all:
        raise click.UsageError("give sequences or --all")
    wish = {"sequences": None if is_all else list(sequences)}
    answer = rest.ask("POST", f"{_PATH}/{name}/dead-letters/replay", wish)
    emit(answer, f"{answer['replayed']} will be given out again", as_json=as_json)


@consumers.command()
@_name
@gateway_options
def delete(*, name: str, rest: Rest) -> None:
    """Delete the consumer NAME with its position and its dead letters."""
    rest.ask("DELETE", f"{_PATH}/{name}")
    click.echo(f"{name} is deleted")


def _request(name: str, options: dict[str, Any]) -> dict[str, object]:
    """Give the document that makes a consumer; what was not said is the gateway's default."""
    start: str = options["start"]
    if start.isascii() and start.isdecimal():
        begin: dict[str, object] = {"policy": "sequence", "sequence": int(start)}
    elif start in _STARTS:
        begin = {"policy": start}
    else:
        raise click.UsageError(f"--start is {', '.join(_STARTS)} or a sequence, not {start!r}")
    filters = [decode_strictly(text.encode(), dict) for text in options["filters"]]
    said = {
        key: options[key]
        for key in ("ack_wait_ms", "max_in_flight", "max_deliveries")
        if options[key] is not None
    }
    return {
        "name": name,
        "interest": {"topics": list(options["topics"]), "filters": filters},
        "start": begin,
        "ack_policy": options["ack_policy"],
        "is_ordered": options["ordered"],
        "headers_only": options["headers_only"],
        **said,
    }


def _acknowledgement(rest: Rest, name: str, numbers: list[int]) -> dict[str, object]:
    """Give the settlement that acknowledges, as the consumer's policy wants it."""
    policy = rest.ask("GET", f"{_PATH}/{name}")["ack_policy"]
    if policy == "cumulative":
        return {"ack_through": max(numbers)}
    return {} if policy == "none" else {"ack": numbers}


def _settle(rest: Rest, name: str, settlement: dict[str, Any], *, as_json: bool) -> None:
    answer = rest.ask("POST", f"{_PATH}/{name}/settle", settlement)
    text = f"{answer['settled']} settled"
    if answer["unknown"]:
        text += f"; not given out: {' '.join(map(str, answer['unknown']))}"
    emit(answer, text, as_json=as_json)


def _all(rest: Rest, path: str, member: str) -> list[Any]:
    """Give the rows of all pages."""
    found: list[Any] = []
    parameters: dict[str, str | int] = {"limit": CONSUMER_LIST_MAX}
    while True:
        page = rest.ask("GET", path, parameters=parameters)
        found += page[member]
        if page["next"] is None:
            return found
        parameters["after"] = page["next"]


def _line(document: dict[str, Any]) -> str:
    return f"{document['name']}: at {document['position']}, {_lag(document)} events behind"


def _lag(document: dict[str, Any]) -> str:
    lag = document["lag"]
    return f"{'' if lag['is_exact'] else 'at most '}{lag['events']}"
