"""``concordat topics``: which topics there are, how many events they have, and their rules."""

from pathlib import Path

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from concordat.cli.options import Target, target_options
from concordat.cli.output import emit, json_option
from concordat.cli.rest import token_option
from pubsub.client.sync_client import Client
from pubsub.core.topic_documents import RuleDocument, TopicDocument, TopicsDocument

__all__ = ["topics"]


@click.command()
@target_options
@token_option
@json_option
def topics(
    *, home: Path, url: str | None, genesis_file: Path | None, token: str | None, as_json: bool
) -> None:
    """List the topics that have events, and every rule that governors have set, as a gateway says.

    Governors set rules with `concordat governance propose-topic-rule`.
    """
    rows: list[TopicDocument] = []
    with Client(Target.find(home, url, genesis_file).url, token=token) as client:
        page = client.topics()
        rows += page.topics
        while page.next is not None:
            page = client.topics(after=page.next)
            rows += page.topics
    found = TopicsDocument(page.height, page.rules, rows, None)
    counts = _table("topic", "events")
    for row in rows:
        counts.add_row(row.topic, str(row.events))
    rules = _table("rule", "says", "events")
    for rule in page.rules:
        rules.add_row(rule.pattern, _in_words(rule), str(rule.count))
    shown = Group(counts, Text(""), rules) if page.rules else Group(counts)
    emit(found, shown, as_json=as_json)


def _in_words(rule: RuleDocument) -> str:
    words = []
    if rule.is_complete:
        words.append(f"complete from sequence {rule.since} on")
    elif rule.since is not None:
        words.append(f"complete from sequence {rule.since} to {rule.until}, ended")
    if rule.expects_previous:
        words.append("events name what they replace")
    return "; ".join(words) or "ended"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
