"""Rules of topics in whole nodes: set, ended, obeyed; and who breaks them is found out."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from ledger.core import execute, topic_application, topic_rules
from ledger.core.errors import RejectCode
from ledger.core.topic_rules import TopicRule, rule_codec, rule_key
from simnet.changes import COURSES
from simnet.full.publishers import OVERTAKING
from simnet.full.storage import FullStorage
from simnet.observer import Observer
from simnet.run import simulate
from simnet.scenario import Scenario
from simnet.world import World

COURSE = COURSES["4 5 4"]
SCENARIO = Scenario(
    seed=3,
    tier="full",
    chaos_ms=6_000,
    lasts_ms=8_000,
    submissions=60,
    sets=COURSE.sets,
    renewed=COURSE.renewed,
)


class _End(Observer):
    """Keeps the world of a run."""

    world: World

    def on_end(self, world: World) -> None:
        """Keep it."""
        self.world = world


def rule_of(storage: FullStorage, pattern: str) -> TopicRule:
    """Give what a machine's state holds of a rule."""
    return rule_codec.decode(storage.snapshot.state.get(rule_key(pattern)) or b"")


def test_rules_are_set_obeyed_and_ended_across_epochs() -> None:
    """Chains go on through changes of members; some events are overtaken, at any time."""
    end = _End()
    busy = msgspec.structs.replace(SCENARIO, submissions=200)
    assert simulate(busy, [end]).plan.failure == ""
    storage = next(m.storage for m in end.world.honest if not m.left)
    assert isinstance(storage, FullStorage)
    assert len(storage.epochs) > 2
    lasting, ended = rule_of(storage, "city.>").chain, rule_of(storage, "energy.*.meter").chain
    assert lasting is not None
    assert ended is not None
    assert lasting.until is None
    assert lasting.count > 20
    assert ended.until is not None
    assert ended.count > 0
    assert rule_of(storage, OVERTAKING).expects_since is not None
    codes = [refusal.code for refusal in storage.refusals.values()]
    assert codes.count(RejectCode.PREVIOUS_HASH_MISMATCH) > 0


def _chain_without_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    true = topic_rules.extend_chain

    def extend_chain(digest: bytes, rows: Iterable[bytes]) -> bytes:
        return true(digest, list(rows)[1:])

    monkeypatch.setattr(topic_application, "extend_chain", extend_chain)


def _nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "refuse_mismatches", lambda *_: {})


def _a_rule_begins_with_its_own_block(monkeypatch: pytest.MonkeyPatch) -> None:
    true = topic_application._settled

    def settled(rule: TopicRule, size: int) -> TopicRule:
        return true(rule, size - 1)

    monkeypatch.setattr(topic_application, "_settled", settled)


def _an_end_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    true = topic_application._settled

    def settled(rule: TopicRule, size: int) -> TopicRule:
        new = true(rule, size)
        chain = None if new.chain is None else msgspec.structs.replace(new.chain, until=None)
        return TopicRule(chain, new.expects_since)

    monkeypatch.setattr(topic_application, "_settled", settled)


def _the_newest_hash_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    true = topic_application.refuse_mismatches

    def refuse(*arguments: Any) -> dict[bytes, bytes]:  # noqa: ANN401 - as the true one
        changes = true(*arguments)
        return dict(list(changes.items())[:1])

    monkeypatch.setattr(execute, "refuse_mismatches", refuse)


@pytest.mark.parametrize(
    "mutate",
    [
        _chain_without_the_first,
        _nothing_is_refused,
        _a_rule_begins_with_its_own_block,
        _an_end_is_forgotten,
        _the_newest_hash_is_not_kept,
    ],
)
def test_whoever_breaks_a_rule_is_found_out(monkeypatch: pytest.MonkeyPatch, mutate: Any) -> None:  # noqa: ANN401
    """All members break it in the same way, so they agree: only the log tells."""
    mutate(monkeypatch)
    assert simulate(SCENARIO).promise == "topics"
