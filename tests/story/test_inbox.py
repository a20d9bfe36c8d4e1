"""Events are found, read, replayed and skipped; old bytes go, and what was applied stays known."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from hub.errors import ConfigError
from hub.pipeline import REPLAY, SKIP, do_all, due
from hub.registry import Hub
from hub.sdk import Item, RetryableError
from hub.settings import settings_path
from hub.store import events, inbox, leases, records
from hub.store.events import Filter, Page, Shown
from tests.story.helpers import account, demo, drain, receive, scalar
from tests.story.test_cli import Cli
from tests.story.test_trace import nodes, statements

Open = Callable[..., Hub]
SECRET = "s3cr3t-canary"


def item(event_id: str, stream: str = "orders", **row: Any) -> Item:
    record = {"id": "O1", "version": "1", "number": "SO1", **row}
    body = json.dumps({"event_id": event_id, "stream": stream, "record": record})
    return Item(body.encode(), event_id, f"{stream}/{record['id']}", f"{stream}.changed")


@pytest.fixture
def hub(open_with: Open) -> Hub:
    return open_with({"shop": demo(), "desk": demo(keep_days=10, receipt_days=20)})


@pytest.fixture
def program(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line on the same database."""
    monkeypatch.setenv("HUB_DATABASE_URL", hub.settings.database)
    monkeypatch.setenv("HUB_SECRET_KEYS", json.dumps(hub.settings.secret_keys))
    monkeypatch.setenv("COLUMNS", "200")
    return Cli(settings_path())


def page(hub: Hub, limit: int = 50, after: Any = None, **chosen: Any) -> Page:
    with hub.database.read() as conn:
        return events.page(conn, Filter(**chosen), after=after, limit=limit)


def names(hub: Hub, **chosen: Any) -> list[str]:
    return [row["event_id"] for row in page(hub, **chosen).items]


def shown(hub: Hub, id_: int = 1) -> Shown:
    with hub.database.read() as conn:
        found = events.shown(conn, id_)
    assert found is not None
    return found


def states(hub: Hub) -> dict[str, str]:
    return {row["event_id"]: row["state"] for row in page(hub).items}


def test_events_are_found_by_what_is_known_of_them(hub: Hub) -> None:
    account(hub, "shop").plan("fetch", RetryableError("down", retry_after_s=3600))
    receive(hub, "shop", item("e1"), item("e2", id="O2", number="李娜"))
    receive(hub, "desk", Item(b"garbage", "e3", None, "odd"))
    receive(hub, "shop", Item(b'{"stream": "orders", "id": "O9"}', "e4", "orders/O9", "orders.ref"))
    drain(hub)
    assert names(hub) == ["e4", "e3", "e2", "e1"]
    assert names(hub, connection="desk") == ["e3"]
    assert names(hub, type="orders.changed") == ["e2", "e1"]
    assert names(hub, state="done") == ["e2", "e1"]
    assert names(hub, state="quarantined") == ["e3"]
    assert names(hub, state="retry", connection="shop") == ["e4"]
    assert names(hub, state="retry", connection="desk") == []
    assert names(hub, state="received") == names(hub, state="skipped") == []
    assert names(hub, text="GARB") == ["e3"]
    assert names(hub, text="李娜") == ["e2"], "escaped in its body"
    assert names(hub, text="E4", connection="shop") == ["e4"]
    assert names(hub, text="nothing of the kind") == []
    with pytest.raises(ConfigError, match="no event is ever"):
        Filter(state="lost")


def test_times_are_closed_below_and_open_above(hub: Hub) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    with hub.database.write() as conn:
        for n in range(3):
            told = [item(f"e{n}")]
            inbox.save(conn, inbox.rows_for("shop", told, {}, at + timedelta(hours=n)))
    assert names(hub, since=at + timedelta(hours=1)) == ["e2", "e1"]
    assert names(hub, until=at + timedelta(hours=1)) == ["e0"]
    assert names(hub, connection="shop", since=at, until=at) == []


def test_a_record_is_found_by_its_order_and_by_what_it_was_made_of(hub: Hub) -> None:
    receive(hub, "shop", item("e1"), item("other", id="O2"), Item(b"x", "later", "orders/O1"))
    receive(hub, "shop", Item(item("e5", version="2").body, "no-order", None))
    receive(hub, "desk", item("elsewhere"))
    drain(hub)
    receive(hub, "shop", item("waits"))
    assert sorted(names(hub, record="shop/orders/O1")) == ["e1", "later", "no-order", "waits"]
    assert names(hub, record="shop/orders/O1", state="quarantined") == ["later"]
    assert names(hub, record="shop/orders/O1", connection="desk") == []
    with pytest.raises(ConfigError, match="names no record"):
        Filter(record="O1")


def test_pages_follow_one_another_whatever_is_asked(hub: Hub, monkeypatch: Any) -> None:
    monkeypatch.setattr(events, "READ_MAX", 7)
    monkeypatch.setattr(events, "SIEVED_MAX", 7)
    monkeypatch.setattr(events, "CHUNK", 2)
    told = [item(f"e{n:02}", id=f"O{n}", number="odd" if n % 5 == 0 else "even") for n in range(20)]
    receive(hub, "shop", *told)
    drain(hub)
    for chosen, every in (
        ({}, 20), ({"connection": "shop"}, 20), ({"state": "done"}, 20), ({"text": "ODD"}, 4),
        ({"type": "orders.changed"}, 20), ({"type": "none"}, 0), ({"text": "odd", "limit": 1}, 4),
    ):  # fmt: skip
        found, after, asked = [], None, 0
        while asked == 0 or after:
            one = page(hub, **{"limit": 3, **chosen}, after=after)
            found += [row["event_id"] for row in one.items]
            assert one.looked_at in (None, 7)
            after, asked = one.next, asked + 1
        assert len(found) == len(set(found)) == every, chosen
        assert found == sorted(found, reverse=True)
    assert page(hub, type="none").looked_at == 7


def test_one_event_is_shown_without_secrets_and_with_what_became_of_it(hub: Hub) -> None:
    row = item("e1", api_token=SECRET, total="odd")
    headers = {"content-type": "application/json", "x-shared": SECRET, "x-demo-signature": "ab"}
    with hub.database.write() as conn:
        told = inbox.rows_for("shop", [row], headers, datetime.now(UTC), {SECRET})
        inbox.save(conn, told)
    drain(hub)
    found = shown(hub)
    assert (found.state, found.body_format, found.came_by) == ("done", "json", "webhook")
    assert SECRET not in found.model_dump_json()
    assert found.headers == {
        "content-type": "application/json",
        "x-shared": "***",
        "x-demo-signature": "***",
    }
    assert [(held.stream, held.path) for held in found.held] == [("orders", "total")]


def test_what_cannot_be_read_says_why_and_what_to_do_and_goes_on_when_mended(
    open_with: Open,
) -> None:
    key = {"secrets": ["whsec_" + "A" * 32]}
    hub = open_with({"hook": {"adapter": "webhook", **key, "accept": ["tickets"]}})
    body = {"type": "order.updated", "data": {"id": "O1", "number": "SO1"}}
    receive(hub, "hook", Item(json.dumps(body).encode(), "e1", "orders/O1", "order.updated"))
    drain(hub)
    (dead,) = page(hub, state="quarantined").items
    assert "not accepted" in dead["error"]
    assert "`accept`" in dead["hint"]
    open_with({"hook": {"adapter": "webhook", **key, "accept": ["tickets", "orders"]}})
    hub.registry.forget()
    done = do_all(hub.database, REPLAY, Filter(state="quarantined"), "mei")
    assert (done.events, done.left, done.next) == (1, 0, None)
    drain(hub)
    (mended,) = page(hub).items
    assert (mended["state"], mended["error"], mended["hint"]) == ("done", "", "")
    assert scalar(hub, "SELECT count(*) FROM record") == 1


def test_many_are_replayed_in_batches_and_twice_does_no_harm(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.pipeline.inbox.BATCH_MAX", 4)
    receive(hub, "shop", *(item(f"e{n}", id=f"O{n}") for n in range(10)))
    receive(hub, "desk", item("e0"))
    drain(hub)
    before = scalar(hub, "SELECT max(saved_at) FROM record")
    chosen = Filter(connection="shop", type="orders.changed")
    assert do_all(hub.database, REPLAY, chosen, "mei", dry_run=True).events == 10
    assert set(states(hub).values()) == {"done"}
    some = do_all(hub.database, REPLAY, chosen, "mei", most=4)
    assert some.events == 4
    rest = do_all(hub.database, REPLAY, chosen, "mei", after=some.next)
    assert (rest.events, rest.next) == (6, None)
    assert sum(n for (_, s), n in _counts(hub).items() if s == "received") == 10
    drain(hub)
    assert set(states(hub).values()) == {"done"}
    assert scalar(hub, "SELECT max(saved_at) FROM record") == before, "nothing was news"
    told = "SELECT count(*) FROM audit WHERE actor = 'mei' AND verb = 'replay'"
    assert scalar(hub, told) == 3
    newest = "SELECT subject FROM audit WHERE verb = 'replay' ORDER BY id LIMIT 1"
    assert scalar(hub, newest) == "event:7-10"


def _counts(hub: Hub) -> dict[tuple[str, str], int]:
    with hub.database.read() as conn:
        return inbox.counts(conn)


def test_what_is_skipped_lets_the_next_one_pass(
    hub: Hub, clock: Callable[[timedelta], None]
) -> None:
    account(hub, "shop").plan("fetch", RetryableError("down", retry_after_s=3600))
    receive(hub, "shop", Item(b'{"stream": "orders", "id": "O1"}', "e1", "orders/O1"))
    drain(hub)
    receive(hub, "shop", item("e2"), item("e3", id="O3"))
    drain(hub)
    assert states(hub) == {"e1": "retry", "e2": "received", "e3": "done"}
    skipped = do_all(hub.database, SKIP, Filter(text="e1"), "mei")
    assert (skipped.events, skipped.left) == (1, 0)
    clock(timedelta(seconds=2))  # the lane rested
    drain(hub)
    assert states(hub) == {"e1": "skipped", "e2": "done", "e3": "done"}
    again = do_all(hub.database, SKIP, Filter(connection="shop"), "mei")
    assert (again.events, again.left) == (0, 3)


def test_bytes_go_first_and_receipts_later_each_connection_in_its_own_time(
    hub: Hub, clock: Callable[[timedelta], None]
) -> None:
    receive(hub, "shop", item("kept"), item("held", id="O2"))
    receive(hub, "desk", item("e1"), Item(b"garbage", "e2"))
    drain(hub)
    clock(timedelta(days=11))
    due.sweep(hub)
    found = {row["event_id"]: row["expired_at"] for row in page(hub).items}
    assert [name for name, at in found.items() if at] == ["e1"], "quarantine keeps its bytes"
    gone = shown(hub, next(r["id"] for r in page(hub).items if r["event_id"] == "e1"))
    assert (gone.size_bytes, gone.headers, gone.state, gone.came_by) == (0, {}, "done", "")
    replayed = do_all(hub.database, REPLAY, Filter(connection="desk"), "mei")
    assert (replayed.events, replayed.left) == (1, 1)
    drain(hub)
    with hub.database.write() as conn:
        assert inbox.replay(conn, [gone.id]) == 0
        inbox.skip(conn, [row["id"] for row in page(hub, text="e2").items])
    receive(hub, "desk", item("e1", number="late"))
    assert len(page(hub, connection="desk").items) == 2, "a late repetition is still known"
    clock(timedelta(days=10))
    due.sweep(hub)
    assert names(hub, connection="desk") == ["e2"], "its receipt is young still"
    assert shown(hub, page(hub, text="e2").items[0]["id"]).size_bytes == 0
    for days in (20, 61):
        clock(timedelta(days=days))
        due.sweep(hub)
    assert names(hub) == []
    assert scalar(hub, "SELECT count(*) FROM record") == 3
    receive(hub, "desk", item("e1", number="very late"))
    assert names(hub) == ["e1"]


def test_what_has_no_name_is_applied_again_with_the_bytes_it_brings(
    hub: Hub, clock: Callable[[timedelta], None]
) -> None:
    """A thin "record changed" comes in the same bytes each time, also after they expired."""
    thin = Item(b'{"stream": "orders", "id": "O1"}', None, "orders/O1")
    receive(hub, "desk", thin)
    drain(hub)
    clock(timedelta(days=15))
    due.sweep(hub)
    assert shown(hub).expired_at
    rows = inbox.rows_for("desk", [thin], {"x-trace": "2"}, datetime.now(UTC))
    with hub.database.write() as conn:
        inbox.save(conn, rows)
    back = shown(hub)
    assert (back.state, back.expired_at, back.headers) == ("received", None, {"x-trace": "2"})
    drain(hub)
    assert shown(hub).state == "done"


def test_a_sweep_drops_no_more_than_it_may(
    hub: Hub, clock: Callable[[timedelta], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.pipeline.inbox.DROPPED_MAX", 2)
    monkeypatch.setattr("hub.pipeline.inbox.SWEPT_MAX", 2)
    receive(hub, "desk", *(item(f"e{n}", id=f"O{n}") for n in range(7)))
    drain(hub)
    clock(timedelta(days=11))
    left = []
    for _ in range(3):
        due.sweep(hub)
        left.append(sum(row["expired_at"] is None for row in page(hub).items))
    assert left == [3, 0, 0]


def test_in_a_terminal(program: Cli, hub: Hub) -> None:
    receive(hub, "shop", item("e1", api_token=SECRET), Item(b"garbage", "e2"))
    drain(hub)
    listed = json.loads(program("inbox", "list", "--limit", "1", "--json").stdout)
    assert [row["event_id"] for row in listed["items"]] == ["e2"]
    onward = program("inbox", "list", "--after", listed["next"], "--json").stdout
    assert [row["event_id"] for row in json.loads(onward)["items"]] == ["e1"]
    assert "JSONDecodeError" in program("inbox", "list", "--state", "quarantined").stdout
    printed = program("inbox", "show", "1").stdout
    assert '"number": "SO1"' in printed
    assert "hub trace event:1" in printed
    assert SECRET not in printed
    assert SECRET in program("inbox", "show", "1", "--raw").stdout
    assert scalar(hub, "SELECT subject FROM audit WHERE verb = 'read raw'") == "event:1"
    assert (
        "2 events would be queued again"
        in program(
            "inbox", "replay", "--connection", "shop", "--since", "2026-01-01", "--dry-run"
        ).stdout
    )
    assert "1 events queued again" in program("inbox", "replay", "--state", "quarantined").stdout
    assert "1 events skipped" in program("inbox", "skip", "2").stdout
    assert "over already" in program.refuses("inbox", "skip", "2")
    assert "no event 9" in program.refuses("inbox", "replay", "9")
    assert "names no record" in program.refuses("inbox", "list", "--record", "x")
    assert program("inbox", "replay").exit_code == 2
    assert program("inbox", "replay", "1", "--connection", "shop").exit_code == 2
    with hub.database.write() as conn:
        conn.execute(text("UPDATE inbox SET expired_at = 1, body = '' WHERE id = 1"))
    assert "have expired" in program.refuses("inbox", "replay", "1")
    assert "have expired" in program.refuses("inbox", "show", "1", "--raw")


ROWS = 30_000


def fill(conn: Connection) -> None:
    """Mostly what is done, a little of everything else."""
    if conn.dialect.name == "sqlite":
        numbers = "RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < :rows)"
        blank = "x'78'"
    else:
        numbers = "g AS (SELECT n FROM generate_series(1, :rows) n)"
        blank = "'x'::bytea"
    state = (
        "CASE n % 3000 WHEN 1 THEN 'quarantined' WHEN 50 THEN 'skipped' WHEN 3 THEN 'received'"
        " WHEN 150 THEN 'retry' ELSE 'done' END"
    )
    values = {
        "connection": "CASE n % 50 WHEN 0 THEN 'shop' ELSE 'desk' END",
        "event_id": "'b' || n",
        "type": "'t' || (n % 9)",
        "order_key": "'orders/' || (n % 5000)",
        "lane": "'in:shop:' || (n % 16)",
        "state": state,
        "available_at": "n",
        "received_at": "n",
        "done_at": "n",
        "expired_at": "CASE WHEN n % 100 = 9 THEN n END",
        "headers": "'{}'",
        "body": blank,
    }
    insert = f"INSERT INTO inbox ({', '.join(values)}) WITH {numbers}"
    conn.execute(text(f"{insert} SELECT {', '.join(values.values())} FROM g"), {"rows": ROWS})


NOW = datetime.now(UTC)
BY_TIME, BY_CONNECTION = "ix_inbox_received_at", "ix_inbox_connection_received_at"
ASKED: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {BY_TIME}),
    ({"connection": "shop"}, {BY_CONNECTION}),
    ({"since": records.EPOCH, "until": NOW}, {BY_TIME}),
    ({"connection": "shop", "since": records.EPOCH}, {BY_CONNECTION}),
    ({"state": "done"}, {BY_TIME}),
    ({"state": "done", "connection": "shop", "type": "t1"}, {BY_CONNECTION}),
    ({"text": "x", "connection": "shop"}, {BY_CONNECTION}),
    ({"state": "quarantined"}, {"ix_inbox_aside"}),
    ({"state": "skipped", "connection": "shop", "since": records.EPOCH}, {"ix_inbox_aside"}),
    ({"state": "received"}, {"ix_inbox_due"}),
    ({"state": "retry", "connection": "shop", "until": NOW}, {"ix_inbox_due"}),
    ({"record": "desk/orders/17"}, {"ix_inbox_order_key", "PRIMARY KEY", "pk_inbox"}),
]
"""What is asked, and the indexes that may answer it."""


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.fresh_database
def test_every_question_goes_by_an_index(hub: Hub, *, analysed: bool) -> None:
    """Also where a database has not yet learnt how its rows are spread."""
    with hub.database.write() as conn:
        leases.ensure_lanes(conn, leases.lanes("in", "shop"))
        fill(conn)
        if analysed or conn.dialect.name == "postgresql":
            conn.execute(text("ANALYZE"))
    for chosen, indexes in ASKED:
        with statements(hub) as sent:
            first = page(hub, limit=5, **chosen)
            page(hub, limit=5, after=first.next, **chosen)
        assert first.items
        _check(hub, sent, indexes)
    with statements(hub) as sent, hub.database.write() as conn:
        assert inbox.expire(conn, "desk", NOW, 10) == 10
    _check(hub, sent, {"ix_inbox_over", "PRIMARY KEY", "pk_inbox"})
    with statements(hub) as sent, hub.database.write() as conn:
        assert inbox.forget(conn, "desk", NOW, NOW, 10) == 10
    _check(hub, sent, {"ix_inbox_over", "PRIMARY KEY", "pk_inbox"})


def _check(hub: Hub, sent: list[tuple[str, Any]], indexes: set[str]) -> None:
    asked = [told for told in sent if " inbox " in told[0].replace("\n", " ")]
    assert asked
    with hub.database.read() as conn:
        for statement, values in asked:
            assert _indexes(conn, statement, values) <= indexes, statement


def _indexes(conn: Connection, statement: str, values: Any) -> set[str]:
    """By what a statement reads the inbox; "" = row by row."""
    if conn.dialect.name == "sqlite":
        plan = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        lines = [row[-1] for row in plan if " inbox" in row[-1]]
        return {_name(line) for line in lines}
    (plan,) = conn.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values).scalar_one()
    reads = [n for n in nodes(plan["Plan"]) if "Scan" in n["Node Type"]]
    mine = [n for n in reads if n.get("Relation Name", "inbox") == "inbox"]
    return {n.get("Index Name", "") for n in mine if n["Node Type"] != "Bitmap Heap Scan"}


def _name(line: str) -> str:
    if "PRIMARY KEY" in line:
        return "PRIMARY KEY"
    return next((word for word in line.split() if word.startswith("ix_")), "")
