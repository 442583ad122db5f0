"""Commands about topics without a network: what they refuse, and what they print of a gateway."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from click.testing import Result

from concordat.cli import topics
from pubsub.core.topic_documents import RuleDocument, TopicDocument, TopicsDocument
from tests.support.memory_chain import make_genesis

Run = Callable[..., Result]
PROPOSE = ("governance", "propose-topic-rule")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("a.>",), "give --complete, --expect-previous or both, or --end"),
        (("a.>", "--end", "--complete"), "give --complete, --expect-previous or both, or --end"),
        (("a..b", "--complete"), "not a topic pattern: 'a..b'"),
    ],
)
def test_a_rule_that_says_nothing_is_refused(
    concordat: Run, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    """Before a key is asked for."""
    assert words in concordat(*PROPOSE, *options, "--home", tmp_path, code=2).stderr


def test_topics_and_rules_are_printed(concordat: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """All pages of topics; of each rule what it says, also when it ended."""
    on, off = True, False
    rules = [
        RuleDocument("a.>", on, on, 3, None, 7, 9, "00"),
        RuleDocument("b", off, off, 3, 8, 2, 5, "00"),
        RuleDocument("c", off, off, None, None, 0, None, None),
    ]
    pages = {
        "": TopicsDocument(5, rules, [TopicDocument("a.x", 7)], "a.x"),
        "a.x": TopicsDocument(5, rules, [TopicDocument("b", 2)], None),
    }

    class Gateway:
        def __init__(self, _url: str, *, token: str | None) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def topics(self, *, after: str = "") -> TopicsDocument:
            return pages[after]

    monkeypatch.setattr(topics, "Client", Gateway)
    text = concordat("topics", "--url", "http://one").stdout
    for words in (
        "a.x    7",
        "b      2",
        "complete from sequence 3 on; events name what they replace",
        "complete from sequence 3 to 8, ended",
        "c     ended",
    ):
        assert words in text
    assert '"events":2' in concordat("topics", "--url", "http://one", "--json").stdout


def test_a_complete_subscription_needs_a_topic_alone(concordat: Run, tmp_path: Path) -> None:
    """Other conditions cannot be shown to be complete."""
    genesis = tmp_path / "genesis.json"
    genesis.write_bytes(make_genesis(4).to_json())
    options = ("--url", "http://one", "--genesis", genesis, "--complete", "--subject", "x")
    assert "topics alone" in concordat("subscribe", *options, code=2).stderr
