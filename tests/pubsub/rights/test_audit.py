"""The audit trail survives the process, is bounded, and forgets the oldest first."""

from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from ledger.core.errors import DecodeError
from pubsub.core.audit_documents import (
    Act,
    Action,
    AuditRecord,
    KnownTokens,
    audit_record,
    decode_audit,
    encode_audit,
    token_acts,
)
from pubsub.core.limits import AUDIT_RECORDS_MAX, AUDIT_TEXT_CHARS_MAX
from pubsub.core.rights import Scope
from pubsub.core.tokens import TokenFile, with_token, without_token
from pubsub.io import audit as audit_module
from pubsub.io.audit import Audit
from pubsub.io.delivery_store import DeliveryStore
from tests.pubsub.rights.test_principals import api_token

ACT = Act("token/shop", Action.CONSUMER_CREATED, "billing", request_id="r1")


async def record(path: Path, *acts: Act) -> Audit:
    """Open the trail of ``path``, record acts, and close it."""
    store = DeliveryStore.open(path)
    audit = Audit()
    audit.load(store)
    async with anyio.create_task_group() as group:
        group.start_soon(store.run)
        for act in acts:
            await audit.record(act)
        group.cancel_scope.cancel()
    store.close()
    return audit


async def test_records_survive_the_process(tmp_path: Path) -> None:
    """What was recorded is read again, and numbers go on without a gap."""
    await record(tmp_path / "delivery", ACT, replace(ACT, what=Action.CONSUMER_DELETED))
    audit = await record(tmp_path / "delivery", replace(ACT, outcome="not_found", details="d"))
    rows = audit.page(None, 10).records
    assert [row.number for row in rows] == [2, 1, 0]
    assert [row.what for row in rows] == [
        "consumer_created",
        "consumer_deleted",
        "consumer_created",
    ]
    assert (rows[0].outcome, rows[0].details, rows[0].who) == ("not_found", "d", "token/shop")
    assert rows[0].time_ms >= rows[2].time_ms > 10**12


async def test_the_trail_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the oldest record leaves, on the disk as in memory."""
    monkeypatch.setattr(audit_module, "AUDIT_RECORDS_MAX", 3)
    await record(tmp_path / "delivery", *[replace(ACT, target=f"c{n}") for n in range(5)])
    store = DeliveryStore.open(tmp_path / "delivery")
    assert len([*store.rows("audit")]) == 3
    audit = Audit()
    audit.load(store)
    store.close()
    assert [row.target for row in audit.page(None, 10).records] == ["c4", "c3", "c2"]


def test_without_a_store_the_trail_is_in_memory() -> None:
    """A gateway without a delivery store keeps the newest records as long as it runs."""
    audit = Audit()
    audit.load(None)
    for _ in range(3):
        audit.put(ACT)
    assert [row.number for row in audit.page(None, 2).records] == [2, 1]


def test_pages_end_where_the_records_do() -> None:
    """The last page has no next one; a page behind it is empty."""
    audit = Audit()
    assert audit.page(None, 5).next is None
    for _ in range(4):
        audit.put(ACT)
    page = audit.page(None, 3)
    assert page.next == 1
    assert audit.page(1, 3).next is None
    assert [row.number for row in audit.page(1, 3).records] == [0]
    assert audit.page(0, 3).records == []
    assert AUDIT_RECORDS_MAX > 4


def test_long_texts_are_cut() -> None:
    """Whatever a client calls its things, a record stays small."""
    long = "x" * (AUDIT_TEXT_CHARS_MAX + 1)
    made = audit_record(Act(long, Action.TOKEN_ADDED, long, long, long, details=long), 0, 0)
    texts = (made.who, made.target, made.outcome, made.request_id, made.details)
    assert {len(text) for text in texts} == {AUDIT_TEXT_CHARS_MAX}


@pytest.mark.parametrize("data", [b"", b"\x90", b"\xff", b"\x91" * 9_999])
def test_broken_rows_are_noticed(data: bytes) -> None:
    """A row that is no record is a DecodeError."""
    with pytest.raises(DecodeError):
        decode_audit(data, AuditRecord)


def test_rows_are_read_as_they_were_written() -> None:
    """A record survives encoding."""
    made = audit_record(ACT, 7, 9)
    assert decode_audit(encode_audit(made), AuditRecord) == made


def test_each_change_of_the_tokens_is_recorded_once() -> None:
    """A token is added once and revoked once, also when both happened while nobody looked."""
    shop, boss = api_token("shop", Scope.READ), api_token("boss", Scope.OPERATE, topics=None)
    file = with_token(with_token(TokenFile(), shop), boss)
    acts, known = token_acts(KnownTokens(), file)
    assert [(act.what, act.target) for act in acts] == [
        (Action.TOKEN_ADDED, "shop"),
        (Action.TOKEN_ADDED, "boss"),
    ]
    assert acts[1].details == "scopes operate; restricted topics all"
    assert token_acts(known, file) == ([], known)
    file = without_token(file, "shop", 5, "eve")
    acts, known = token_acts(known, file)
    assert [(act.what, act.who, act.time_ms) for act in acts] == [
        (Action.TOKEN_REVOKED, "local/eve", 5)
    ]
    both, _ = token_acts(KnownTokens(), file)
    assert [act.what for act in both].count(Action.TOKEN_REVOKED) == 1
    assert len(both) == 3
    gone, _ = token_acts(known, TokenFile())
    assert [act.details for act in gone] == ["missing in the file"]
