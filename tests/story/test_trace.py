"""The whole way of a thing, from any point of it, by indexes alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from hub.registry import Hub
from hub.sdk import Item, RetryableError
from hub.settings import settings_path
from hub.store import accounts
from hub.store.trace import MOST, Trace, trace
from hub.web import create_app
from tests.story.helpers import account, demo, drain, pull, receive, scalar
from tests.story.test_cli import Cli

Open = Callable[..., Hub]
RULES = [
    {
        "id": "order-copy",
        "when": "Order created",
        "if": [{"field": "connection", "is": "shop"}],
        "then": {"write": "desk/orders", "fields": {"reference": "{number}"}},
    }
]


def item(stream: str, event_id: str, **row: Any) -> Item:
    body = json.dumps({"event_id": event_id, "stream": stream, "record": row})
    return Item(body.encode(), event_id, f"{stream}/{row['id']}")


def traced(hub: Hub, ref: str) -> Trace:
    with hub.database.read() as conn:
        found = trace(conn, ref)
    assert found is not None
    return found


@pytest.fixture
def hub(open_with: Open) -> Hub:
    """An order that came by webhook, changed once, and was copied at the second try."""
    hub = open_with({"shop": demo(), "desk": demo(), "crm": demo()}, RULES)
    account(hub, "crm").put("customers", {"id": "7", "name": "李娜", "phone": "13912345670"})
    pull(hub, "crm", "customers")
    receive(
        hub,
        "shop",
        item("customers", "e1", id="C1", version="1", name="李娜", phone="139 1234 5670"),
        item("orders", "e2", id="O1", version="1", number="SO1", customer_id="C1"),
    )
    account(hub, "desk").plan("push", RetryableError("down", retry_after_s=0.0))
    drain(hub)
    with hub.database.write() as conn:
        conn.exec_driver_sql("UPDATE delivery SET available_at = 0")
    drain(hub)
    receive(hub, "shop", item("orders", "e3", id="O1", version="2", number="SO1-b"))
    drain(hub)
    return hub


def test_a_record_is_followed_from_its_events_to_the_receipt(hub: Hub) -> None:
    found = traced(hub, "shop/orders/O1")
    assert [e.event_id for e in found.events] == ["e2", "e3"]
    first, second = found.copies
    assert [(c.version, c.inbox_id) for c in found.copies] == [
        ("1", found.events[0].id),
        ("2", found.events[1].id),
    ]
    assert first.hash != second.hash
    assert first.replaced_at is not None
    assert second.replaced_at is None
    (cut,) = found.records
    assert (cut.ref, cut.kind, cut.row) == ("shop/orders/O1", "Order", "shop/orders/O1")
    (used,) = found.mappings
    assert (used.name, used.mapping_version) == ("demo/orders", cut.mapping_version)
    (sent,) = found.deliveries
    assert (sent.rule, sent.cause_ref, sent.fields) == (
        "order-copy",
        "shop/orders/O1",
        ["reference"],
    )
    assert [made.outcome for made in sent.tries] == ["RetryableError", "confirmed"]
    assert sent.state == "confirmed"
    (bound,) = found.bindings
    assert bound.copy_ref == f"desk/orders/{sent.external_id}"
    assert found.cut_short == []


def test_a_party_tells_why_it_is_the_customer_and_what_the_profile_has_from_it(hub: Hub) -> None:
    found = traced(hub, "shop/customers/C1")
    (owner,) = found.customers
    assert owner.name == "李娜"
    assert {(s.field, s.value, s.won) for s in owner.shares} >= {
        ("contacts.phone", "+8613912345670", True)
    }
    (matched,) = (d for d in found.decisions if d.verb == "match")
    assert matched.evidence[0]["type"] == "phone"


def test_from_the_event_its_number_and_its_vendors_name_it_is_the_same_way(hub: Hub) -> None:
    by_ref = traced(hub, "shop/customers/C1")
    (arrived,) = by_ref.events
    for asked in (f"event:{arrived.id}", "e1", "event:e1", "event:shop/e1", "shop/e1"):
        found = traced(hub, asked)
        assert found.model_copy(update={"ref": by_ref.ref}) == by_ref


def test_a_delivery_is_followed_from_what_caused_it_and_alone(hub: Hub) -> None:
    id_ = scalar(hub, "SELECT id FROM delivery")
    found = traced(hub, f"delivery:{id_}")
    assert [sent.id for sent in found.deliveries] == [id_]
    assert [cut.ref for cut in found.records] == ["shop/orders/O1"]


def test_a_customer_is_followed_through_all_records_behind_it(hub: Hub) -> None:
    (owner,) = traced(hub, "crm/customers/7").customers
    found = traced(hub, owner.id)
    assert [cut.ref for cut in found.records] == ["crm/customers/7", "shop/customers/C1"]
    assert {d.verb for d in found.decisions} == {"new", "match"}


def test_an_event_no_mapping_could_use_leads_to_quarantine(hub: Hub) -> None:
    receive(hub, "shop", item("tickets", "e9", id="T1", title="坏了"))
    drain(hub)
    found = traced(hub, "e9")
    (held,) = found.quarantined
    assert (held.path, held.state) == ("subject", "held")
    assert found.records == []


def test_what_nobody_knows_has_no_trace(hub: Hub) -> None:
    with hub.database.read() as conn:
        for asked in ("shop/orders/none", "event:99999", "delivery:99999", "x", "delivery:", "//"):
            assert trace(conn, asked) is None


def test_a_long_life_is_cut_short_and_says_so(hub: Hub) -> None:
    for n in range(3, MOST + 5):
        receive(hub, "shop", item("orders", f"v{n}", id="O1", version=f"9{n:03}", number=f"{n}"))
    drain(hub)
    found = traced(hub, "shop/orders/O1")
    assert found.cut_short == ["copies"]
    assert found.copies[-1].replaced_at is None


def asked_over_http(hub: Hub, role: str, ref: str) -> Any:
    with hub.database.write() as conn:
        token = accounts.create_token(conn, f"{role}'s program", role)
    client = create_app(hub.settings, hub.database).test_client()
    headers = {"Authorization": f"Bearer {token}"}
    return client.get("/api/v1/trace", query_string={"ref": ref}, headers=headers)


def test_the_api_tells_the_same_to_operators_and_hides_phones_from_auditors(hub: Hub) -> None:
    ref = "shop/customers/C1"
    told = asked_over_http(hub, "operator", ref)
    assert Trace.model_validate(told.get_json()) == traced(hub, ref)
    masked = asked_over_http(hub, "auditor", ref)
    assert "+8613912345670" in told.text
    assert "13912345670" not in masked.text
    assert masked.get_json()["copies"] == told.get_json()["copies"]


def test_the_api_refuses_agents_and_knows_what_it_does_not_know(hub: Hub) -> None:
    assert asked_over_http(hub, "agent", "shop/orders/O1").status_code == 403
    assert asked_over_http(hub, "admin", "shop/orders/none").status_code == 404


@pytest.fixture
def program(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line on the same database."""
    monkeypatch.setenv("HUB_DATABASE_URL", hub.settings.database)
    monkeypatch.setenv("HUB_SECRET_KEYS", json.dumps(hub.settings.secret_keys))
    monkeypatch.setenv("COLUMNS", "200")
    return Cli(settings_path())


def test_in_a_terminal_each_step_is_a_line_with_its_time(program: Cli) -> None:
    printed = program("trace", "shop/orders/O1").stdout
    lines = [line.split(maxsplit=3)[2:] for line in printed.splitlines()]
    steps = [line[0] for line in lines if len(line) == 2]
    assert [step for step in steps if step in ("raw", "delivery", "attempt", "receipt")] == [
        "raw",
        "delivery",
        "attempt",
        "attempt",
        "receipt",
        "raw",
        "raw",
    ]
    facts = [line[1] for line in lines if len(line) == 2]
    assert "1 to desk/orders for shop/orders/O1 by rule order-copy: reference" in facts
    assert any(fact.startswith("1 RetryableError in") for fact in facts)
    assert any(fact.startswith("1 is desk/orders/") for fact in facts)


def test_in_a_terminal_what_nobody_knows_is_a_sentence_and_json_is_the_document(
    program: Cli, hub: Hub
) -> None:
    assert "nothing is known of shop/orders/none" in program.refuses("trace", "shop/orders/none")
    told = json.loads(program("trace", "shop/orders/O1", "--json").stdout)
    assert Trace.model_validate(told) == traced(hub, "shop/orders/O1")


BIG = {
    "raw": "ref, payload, hash, version, seen_at",
    "history": "ref, version, seen_at, replaced_at, payload",
    "record": "ref, kind, document, occurred_at, is_open, mapping_version, parent, saved_at",
    "inbox": "connection, event_id, lane, state, available_at, received_at, headers, body",
    "link": "ref, customer_id",
    "customer": "id, merged_into, created_at",
    "profile": "customer_id, name, search, document, built_at",
    "decision": "verb, customer_id, evidence, actor, at",
    "quarantine": "connection, stream, digest, path, error, body, at",
    "binding": "subject, connection, stream, external_id, written, written_at",
    "delivery": "key, connection, stream, subject, order_key, lane, fields, cause, cause_ref,"
    " external_id, state, available_at, created_at",
    "attempt": "delivery_id, at, took_ms, outcome",
}
"""Tables that grow, with the columns a row must have."""

ROWS = 20_000
VALUES = {
    **dict.fromkeys(("seen_at", "replaced_at", "occurred_at", "saved_at", "available_at"), "n"),
    **dict.fromkeys(("received_at", "created_at", "built_at", "at", "written_at", "took_ms"), "n"),
    **dict.fromkeys(("connection", "stream", "kind", "state", "verb", "outcome"), "'bulk'"),
    **dict.fromkeys(("id", "customer_id"), "'K' || n"),
    "merged_into": "CASE WHEN n % 2 = 0 THEN 'K' || (n - 1) END",
    "is_open": "false",
    "delivery_id": "1000000 + n",
}
BYTES = {("raw", "hash"), ("history", "payload"), ("inbox", "body"), ("quarantine", "body")}


def fill(conn: Connection) -> None:
    """So many rows that no database would rather read a table than an index."""
    if conn.dialect.name == "sqlite":
        numbers = "RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < :rows)"
        blank = "x'00'"
    else:
        numbers = "g AS (SELECT n FROM generate_series(1, :rows) n)"
        blank = "'x'::bytea"
    for table in sorted(BIG, key=lambda name: name == "link"):  # links point to customers
        names = BIG[table].split(", ")
        values = (
            blank if (table, name) in BYTES else VALUES.get(name, "'bulk/rows/' || n")
            for name in names
        )
        insert = f'INSERT INTO "{table}" ({", ".join(names)}) WITH {numbers}'
        conn.execute(text(f"{insert} SELECT {', '.join(values)} FROM g"), {"rows": ROWS})
    conn.execute(text("ANALYZE"))


@contextmanager
def statements(hub: Hub) -> Iterator[list[tuple[str, Any]]]:
    """Every statement the block sends, with its values."""
    sent: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        sent.append((statement, values))

    event.listen(hub.database.engine, "before_cursor_execute", note)
    yield sent
    event.remove(hub.database.engine, "before_cursor_execute", note)


def scans(conn: Connection, statement: str, values: Any) -> list[Any]:
    """The parts of a query's plan that read the whole of a big table or index."""
    if conn.dialect.name == "sqlite":
        plan = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        lines = [row[-1].split() for row in plan]
        return [line for line in lines if line[0] == "SCAN" and line[1] in BIG]
    (plan,) = conn.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values).scalar_one()
    return [node for node in nodes(plan["Plan"]) if _reads_all(node)]


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from nodes(below)


def _reads_all(node: dict[str, Any]) -> bool:
    by_key = "Index Cond" in node or "Recheck Cond" in node
    return node.get("Relation Name") in BIG and not by_key


@pytest.mark.fresh_database
def test_every_look_up_goes_by_an_index(hub: Hub) -> None:
    (owner,) = traced(hub, "shop/customers/C1").customers
    id_ = scalar(hub, "SELECT id FROM delivery")
    with hub.database.write() as conn:
        fill(conn)
    with statements(hub) as sent:
        for ref in ("shop/orders/O1", "shop/customers/C1", "e1", owner.id, f"delivery:{id_}"):
            traced(hub, ref)
    asked = {statement: values for statement, values in sent if "SELECT" in statement}
    assert len(asked) > 15
    with hub.database.read() as conn:
        for statement, values in asked.items():
            assert scans(conn, statement, values) == [], statement
