"""The inbox over HTTP: who may look, who may act, and what nobody is shown."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from hub.store import accounts, events, schema
from hub.store.db import Database
from tests.unit.web.conftest import HERE, ClientOf, app_on, client_with
from tests.unit.web.world import EXPIRED, NEWEST, OLDER, PHONE, SECRET, UNREADABLE

API = "/api/v1"
STATES = {NEWEST: "done", UNREADABLE: "quarantined", OLDER: "done", EXPIRED: "done"}


@pytest.fixture
def operator(client_of: ClientOf) -> FlaskClient:
    return client_of("operator")


@pytest.fixture
def admin(client_of: ClientOf) -> FlaskClient:
    return client_of("admin")


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.get_json()["items"]]


def states(database: Database) -> dict[int, str]:
    with database.read() as conn:
        return {row["id"]: row["state"] for row in events.page(conn, events.Filter()).items}


def audited(database: Database) -> list[tuple[str, str, str]]:
    a = schema.audit.c
    with database.read() as conn:
        return [tuple(row) for row in conn.execute(select(a.actor, a.verb, a.subject))]


def test_events_are_listed_by_filter_and_page(
    everywhere: Database,
) -> None:
    client = client_with(app_on(everywhere), everywhere, "operator")

    def asked(**query: Any) -> list[int]:
        return ids(client.get(f"{API}/inbox", query_string=query))

    assert asked() == [NEWEST, UNREADABLE, OLDER, EXPIRED]
    assert asked(connection="desk") == [UNREADABLE]
    assert asked(state="quarantined") == [UNREADABLE]
    assert asked(type="order.created") == [OLDER, EXPIRED]
    assert asked(record="erp/orders/SO2290") == [OLDER]
    assert asked(text="备件") == [UNREADABLE]
    assert asked(since="2026-01-01T00:00:00Z", until="2026-01-02T00:00:00+08:00") == []
    first = client.get(f"{API}/inbox?limit=3").get_json()
    assert first["looked_at"] is None
    assert asked(limit=3, cursor=first["next"]) == [EXPIRED]


@pytest.mark.parametrize(
    "query",
    ["state=lost", "record=x", "since=yesterday", "since=2026-01-01", "cursor=x", "limit=0", "x=1"],
)
def test_a_wrong_question_is_told(operator: FlaskClient, query: str) -> None:
    assert operator.get(f"{API}/inbox?{query}").status_code == 400


def test_a_cursor_of_one_list_opens_no_other(operator: FlaskClient) -> None:
    cursor = operator.get(f"{API}/inbox?limit=1").get_json()["next"]
    assert operator.get(f"{API}/refusals", query_string={"cursor": cursor}).status_code == 400


def test_an_event_is_shown_without_secrets_and_to_auditors_without_phones(
    operator: FlaskClient, auditor: FlaskClient
) -> None:
    shown = operator.get(f"{API}/inbox/{NEWEST}").get_json()
    assert shown["headers"]["x-signature"] == "***"
    assert PHONE in shown["body"]
    assert '"client_secret": "***"' in shown["body"]
    assert shown["raw"] is None
    masked = auditor.get(f"{API}/inbox/{NEWEST}")
    assert PHONE not in masked.text
    assert masked.get_json()["order_key"] == "orders/SO2291"
    for answer in (shown, masked.text):
        assert SECRET not in str(answer)
    assert operator.get(f"{API}/inbox/99").status_code == 404
    assert operator.get(f"{API}/inbox/x").status_code == 404


def test_nobody_finds_out_by_searching_what_they_may_not_see(
    operator: FlaskClient, auditor: FlaskClient
) -> None:
    for path in (f"{API}/inbox", "/inbox"):
        for client, text, is_found in (
            (operator, SECRET, False),
            (operator, SECRET[:5], False),
            (operator, PHONE, True),
            (auditor, PHONE, False),
            (auditor, PHONE[4:9], False),
            (auditor, "李娜", True),
            (auditor, "EVT_2291", True),
        ):
            page = client.get(path, query_string={"text": text}).text
            assert ("evt_2291" in page) == is_found, (path, text)


def test_only_an_administrator_gets_the_bytes_and_that_is_noted(
    admin: FlaskClient, operator: FlaskClient, auditor: FlaskClient, database: Database
) -> None:
    for client in (operator, auditor):
        assert client.get(f"{API}/inbox/{NEWEST}?raw=true").status_code == 403
        assert client.post(f"/inbox/{NEWEST}/raw").status_code == 403
    assert audited(database) == []
    told = admin.get(f"{API}/inbox/{NEWEST}?raw=true").get_json()
    assert SECRET in base64.b64decode(told["raw"]).decode()
    file = admin.post(f"/inbox/{NEWEST}/raw")
    assert SECRET in file.text
    assert file.mimetype == "application/octet-stream"
    assert file.headers["Content-Disposition"].startswith("attachment")
    assert audited(database) == [("admin's program", "read raw", f"event:{NEWEST}")] * 2
    assert admin.get(f"{API}/inbox/99?raw=true").status_code == 404


def test_an_event_is_replayed_or_skipped_and_that_is_noted(
    operator: FlaskClient, database: Database
) -> None:
    assert operator.post(f"{API}/inbox/{UNREADABLE}/replay").get_json()["events"] == 1
    assert states(database)[UNREADABLE] == "received"
    assert operator.post(f"{API}/inbox/{UNREADABLE}/skip").status_code == 200
    assert states(database)[UNREADABLE] == "skipped"
    assert operator.post(f"{API}/inbox/{UNREADABLE}/skip").status_code == 409
    refused = operator.post(f"{API}/inbox/{EXPIRED}/replay")
    assert (refused.status_code, "expired" in refused.get_json()["detail"]) == (409, True)
    assert operator.post(f"{API}/inbox/99/replay").status_code == 404
    who = "operator's program"
    assert audited(database) == [(who, v, f"event:{UNREADABLE}") for v in ("replay", "skip")]


def test_many_are_replayed_by_filter(
    operator: FlaskClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert operator.post(f"{API}/inbox/replay").status_code == 400
    query = {"connection": "erp", "dry_run": "true"}
    told = operator.post(f"{API}/inbox/replay", query_string=query).get_json()
    assert told == {"events": 2, "left": 1, "next": None}
    assert states(database) == STATES
    monkeypatch.setattr("hub.web.inbox_api.BULK_MAX", 1)
    monkeypatch.setattr("hub.pipeline.inbox.BATCH_MAX", 1)
    query, replayed = {"connection": "erp"}, []
    while "cursor" not in query or query["cursor"]:
        told = operator.post(f"{API}/inbox/replay", query_string=query).get_json()
        replayed.append(told["events"])
        query["cursor"] = told["next"]
    assert replayed == [1, 1, 0]
    assert states(database) == {**STATES, NEWEST: "received", OLDER: "received"}
    told = operator.post(f"{API}/inbox/skip?state=quarantined").get_json()
    assert (told["events"], states(database)[UNREADABLE]) == (1, "skipped")


@pytest.mark.parametrize("role", ["auditor", "agent", "manager"])
def test_who_may_not_act_changes_nothing(
    client_of: ClientOf, database: Database, role: str
) -> None:
    client = client_of(role)
    for path in ("2/replay", "2/skip", "replay?connection=erp", "skip?connection=erp"):
        assert client.post(f"{API}/inbox/{path}").status_code == 403
    for path in ("2/replay", "2/skip", "2/raw", "all/replay"):
        assert client.post(f"/inbox/{path}", data={"connection": "erp"}).status_code == 403
    assert states(database) == STATES
    sees = 200 if role == "auditor" else 403
    for path in ("/inbox", "/inbox/2", "/inbox/refused", f"{API}/inbox", f"{API}/refusals"):
        assert client.get(path).status_code == sees, path


def test_refusals_are_told_with_their_reason(operator: FlaskClient, auditor: FlaskClient) -> None:
    told = operator.get(f"{API}/refusals").get_json()
    assert [row["connection"] for row in told["items"]] == ["shop", "erp"]
    (one,) = operator.get(f"{API}/refusals?connection=erp").get_json()["items"]
    assert (one["count"], one["known"], one["status"]) == (37, True, 401)
    assert PHONE in one["body_start"]
    (masked,) = auditor.get(f"{API}/refusals?connection=erp").get_json()["items"]
    assert PHONE not in masked["body_start"]
    assert masked["body_sha256"] == one["body_sha256"]
    first = operator.get(f"{API}/refusals?limit=1").get_json()
    onward = operator.get(f"{API}/refusals", query_string={"cursor": first["next"]})
    assert [row["connection"] for row in onward.get_json()["items"]] == ["erp"]


def test_the_pages_say_the_same_in_both_languages(operator: FlaskClient) -> None:
    page = operator.get("/inbox?lang=en").text
    assert page.index("orders/SO2291") < page.index("issues/2207") < page.index("orders/SO2290")
    assert "receipt only" in page
    assert "仅存回执" in operator.get("/inbox?lang=zh").text
    assert "Add it to `accept`." in operator.get("/inbox?state=quarantined&lang=en").text
    assert "No event fits" in operator.get("/inbox?text=nothing&lang=en").text
    event = operator.get(f"/inbox/{NEWEST}?lang=en").text
    assert "&#34;client_secret&#34;: &#34;***&#34;" in event
    assert "hub trace event:1" in event
    assert "Download" not in event
    receipt = operator.get(f"/inbox/{EXPIRED}?lang=en").text
    assert "only the receipt is kept" in receipt
    assert ">Replay<" not in receipt
    assert operator.get("/inbox/99").status_code == 404
    assert operator.get("/inbox?since=soon").status_code == 400
    assert operator.get("/inbox?state=lost").status_code == 400
    assert operator.get("/inbox/all/replay").status_code == 400


def test_an_auditor_sees_no_button_and_no_phone(auditor: FlaskClient) -> None:
    page = auditor.get(f"/inbox/{NEWEST}?lang=en").text
    assert PHONE not in page
    assert "<button" not in page.partition("<main")[2]


def test_the_buttons_of_the_pages_work(operator: FlaskClient, database: Database) -> None:
    done = operator.post(f"/inbox/{UNREADABLE}/replay")
    assert (done.status_code, done.location) == (303, f"/inbox/{UNREADABLE}?said=replay")
    assert "Queued again" in operator.get(f"{done.location}&lang=en").text
    assert operator.post(f"/inbox/{EXPIRED}/replay").location.endswith("said=not")
    looked = operator.get("/inbox/all/replay?connection=erp&lang=en").text
    assert "2 events will be applied again" in looked
    told = operator.post("/inbox/all/replay", data={"connection": "erp"})
    assert told.status_code == 303
    assert "2 events are queued again" in operator.get(f"{told.location}&lang=en").text
    assert states(database) == {**STATES, 1: "received", 2: "received", 3: "received"}


def test_another_site_presses_no_button(app: Any, database: Database) -> None:
    with database.write() as conn:
        accounts.create(conn, "lin", "a good password", "admin")
    client = app.test_client()
    client.post("/sign-in", data={"name": "lin", "password": "a good password"}, headers=HERE)
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for path in (f"/inbox/{UNREADABLE}/replay", "/inbox/all/skip", f"/inbox/{NEWEST}/raw"):
        refused = client.post(path, data={"connection": "desk"}, headers=foreign)
        assert refused.status_code == 403
    assert states(database) == STATES
    assert client.post(f"/inbox/{UNREADABLE}/replay", headers=HERE).status_code == 303
