from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from hub.profiles.document import Profile
from hub.store import alerts, certificates, leases
from hub.store.certificates import Certificate
from hub.store.db import Database
from hub.web.api import Alerts, Connections, Customers, Streams, Timeline, WhyCustomer
from tests.unit.web.conftest import app_on, client_with
from tests.unit.web.world import HONGDA, LI_NA, OLD_LI_NA, QUIET, WANG


@pytest.fixture
def both(everywhere: Database) -> FlaskClient:
    """An agent's program, on each database."""
    return client_with(app_on(everywhere), everywhere, "agent")


def _get(client: FlaskClient, path: str, status: int = 200, **query: Any) -> Any:
    answer = client.get(f"/api/v1{path}", query_string=query)
    assert answer.status_code == status, answer.text
    return answer.get_json(force=True)


def _found(client: FlaskClient, **query: Any) -> list[str]:
    document = _get(client, "/customers", **query)
    Customers.model_validate(document)
    return [item["id"] for item in document["items"]]


@pytest.mark.parametrize(
    "query",
    [
        {"phone": "139 0000 1234"},
        {"phone": "13900001234"},
        {"phone": "+86 139-0000-1234"},
        {"phone": "0086 13900001234"},
        {"email": "LI.NA@hongda.example"},
        {"email": "li.na+invoices@hongda.example"},
        {"identifier": "phone:139 0000 1234"},
        {"identifier": "email:li.na@hongda.example"},
        {"q": "李娜"},
        {"q": "Li Na"},
        {"q": "lina"},
        {"q": "LiNa"},
        {"q": "Na Li"},
        {"q": "ln"},
        {"q": "李 娜"},
    ],
)
def test_a_customer_is_found_however_they_are_asked_for(
    both: FlaskClient, query: dict[str, str]
) -> None:
    assert _found(both, **query) == [LI_NA]


def test_lists_page_by_cursor_and_cursors_keep_to_their_list(both: FlaskClient) -> None:
    assert _found(both) == [LI_NA, HONGDA, WANG, QUIET]
    paged, cursor = [], None
    while True:
        page = _get(both, "/customers", limit=1, **({"cursor": cursor} if cursor else {}))
        paged += [item["id"] for item in page["items"]]
        cursor = page["next"] or cursor
        if page["next"] is None:
            break
    assert paged == [LI_NA, HONGDA, WANG, QUIET]
    assert _get(both, "/customers", 400, cursor=cursor, q="li")["status"] == 400
    assert _get(both, f"/customers/{LI_NA}/timeline", 400, cursor=cursor)["status"] == 400
    shared = _get(both, "/customers", phone="021-5550 0100", limit=2)
    rest = _get(both, "/customers", phone="021-5550 0100", limit=2, cursor=shared["next"])
    assert (len(shared["items"]), len(rest["items"]), rest["next"]) == (2, 1, None)


def test_the_profile_is_served_as_it_stands(both: FlaskClient) -> None:
    document = _get(both, f"/customers/{LI_NA}")
    profile = Profile.model_validate(document)
    assert profile.name is not None
    assert profile.name.value == "李娜"
    assert len(profile.members) == 3


def test_an_old_id_answers_with_the_customer_it_is_today(both: FlaskClient) -> None:
    answer = both.get(f"/api/v1/customers/{OLD_LI_NA}")
    assert answer.get_json()["id"] == LI_NA
    assert answer.headers["Content-Location"] == f"/api/v1/customers/{LI_NA}"
    assert _get(both, f"/customers/{OLD_LI_NA}/timeline")["customer_id"] == LI_NA
    assert _get(both, f"/customers/{OLD_LI_NA}/why")["customer_id"] == LI_NA


def test_the_timeline_is_complete(both: FlaskClient) -> None:
    refs, cursor = [], None
    while True:
        query = {"cursor": cursor} if cursor else {}
        page = _get(both, f"/customers/{LI_NA}/timeline", limit=10, **query)
        Timeline.model_validate(page)
        refs += [item["source"]["ref"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(refs) == len(set(refs)) == 45
    shown = _get(both, f"/customers/{LI_NA}")["timeline"]
    assert refs[: len(shown)] == [fact["source"]["ref"] for fact in shown]


def test_why(both: FlaskClient) -> None:
    document = _get(both, f"/customers/{LI_NA}/why")
    WhyCustomer.model_validate(document)
    assert [d["verb"] for d in document["decisions"]] == ["new", "new", "merge", "match"]
    assert document["decisions"][2]["evidence"][0]["rule"] == "same"
    assert {m["name"] for m in document["members"]} == {"李娜", "Li Na", "李娜 Li Na"}


def test_connections_tell_no_settings(everywhere: Database) -> None:
    with everywhere.write() as conn:
        conn.execute(text('UPDATE connection SET config = \'{"password": "hunter2"}\''))
    operator = client_with(app_on(everywhere), everywhere, "operator")
    document = _get(operator, "/connections")
    Connections.model_validate(document)
    assert [c["name"] for c in document["items"]] == ["chat", "desk", "erp", "mailbox"]
    assert document["items"][0]["streams"][0]["failures"] == 3
    assert "hunter2" not in str(document)


@pytest.mark.parametrize(
    ("path", "query", "status", "says"),
    [
        ("/customers", {"phone": "anonymous"}, 400, "not a phone number"),
        ("/customers", {"email": "nobody"}, 400, "not a mail address"),
        ("/customers", {"identifier": "tax_id:1"}, 400, "not a tax_id"),
        ("/customers", {"identifier": "phone"}, 400, "identifier"),
        ("/customers", {"phone": "13900001234", "q": "li"}, 400, "not by several"),
        ("/customers", {"phnoe": "13900001234"}, 400, "phnoe"),
        ("/customers", {"limit": "0"}, 400, "limit"),
        ("/customers", {"limit": "many"}, 400, "limit"),
        ("/customers", {"limit": ["1", "2"]}, 400, "more than once"),
        ("/customers", {"cursor": "AAAA"}, 400, "cursor"),
        ("/customers", {"cursor": "ÿ"}, 400, "cursor"),
        ("/customers", {"q": "a\0b"}, 400, "printed"),
        ("/customers", {"q": "x" * 200}, 400, "q"),
        ("/customers/nobody", {}, 404, "no such customer"),
        ("/customers/no%00body", {}, 404, "no such customer"),
        ("/customers/nobody/timeline", {}, 404, "no such customer"),
        ("/customers/nobody/why", {}, 404, "no such customer"),
        ("/nothing", {}, 404, ""),
    ],
)
def test_what_is_wrong_is_said_in_a_problem_document(
    agent: FlaskClient, path: str, query: dict[str, Any], status: int, says: str
) -> None:
    answer = agent.get(f"/api/v1{path}", query_string=query)
    problem = answer.get_json(force=True)
    assert answer.status_code == problem["status"] == status
    assert answer.mimetype == "application/problem+json"
    assert problem["title"]
    assert says in problem["detail"]


def test_a_database_that_is_gone_is_a_503_and_not_a_traceback(
    database: Database, agent: FlaskClient
) -> None:
    for table in ("profile", "token"):
        with database.write() as conn:
            conn.execute(text(f"ALTER TABLE {table} RENAME TO {table}_gone"))
        answer = agent.get("/api/v1/customers")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert answer.get_json(force=True)["title"] == "Service Unavailable"


def test_a_fault_of_ours_tells_nothing_about_itself(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as conn:
        conn.execute(text("UPDATE profile SET document = '{\"secret\": '"))
    app = app_on(database)
    app.testing = False
    answer = client_with(app, database, "auditor").get(f"/api/v1/customers/{LI_NA}")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def _with_certificate(database: Database, *, complete: bool) -> None:
    now = leases.now()
    found = Certificate(
        connection="erp", stream="parties", method="survey", source_count=12, hub_count=11,
        missing=0 if complete else 1, stale=0, extra=0, repaired=2, complete=complete,
        note="" if complete else "1 rows held in quarantine", began_at=now, checked_at=now,
        valid_until=now + timedelta(hours=1),
    )  # fmt: skip
    with database.write() as conn:
        certificates.add(conn, found)


def test_streams_are_green_by_their_certificates(everywhere: Database) -> None:
    operator = client_with(app_on(everywhere), everywhere, "operator")
    _with_certificate(everywhere, complete=False)
    _with_certificate(everywhere, complete=True)
    document = _get(operator, "/streams")
    Streams.model_validate(document)
    streams = {f"{s['connection']}/{s['stream']}": s for s in document["items"]}
    parties = streams["erp/parties"]
    assert (parties["status"], parties["certificate"]["repaired"]) == ("green", 2)
    assert {s["certificate"] for name, s in streams.items() if name != "erp/parties"} == {None}


def test_alerts_are_told_until_they_are_over(everywhere: Database) -> None:
    operator = client_with(app_on(everywhere), everywhere, "operator")
    with everywhere.write() as conn:
        alerts.open_(conn, "count-drop", "erp", "parties", "fewer", "Look there.")
        alerts.open_(conn, "auth", "chat", "", "refused")
        alerts.close(conn, "auth", "chat")
    document = _get(operator, "/alerts")
    Alerts.model_validate(document)
    (alert,) = document["items"]
    assert (alert["kind"], alert["subject"]) == ("count-drop", "parties")
    assert alert["hint"] == "Look there."
    streams = {s["stream"]: s["status"] for s in _get(operator, "/streams")["items"]}
    assert streams["parties"] == "red"


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("DELETE", "/customers", {}, 405),
        ("PUT", f"/customers/{LI_NA}", {}, 405),
        ("GET", "/customers", {"headers": {"Accept": "text/html"}}, 406),
        ("GET", "/customers", {"headers": {"Accept": "application/json;q=0"}}, 406),
        ("POST", "/customers/lookup", {"data": "{}", "content_type": "text/plain"}, 415),
        (
            "POST",
            "/customers/lookup",
            {"data": "x" * 70_000, "content_type": "application/json"},
            413,
        ),
        ("POST", "/customers/lookup", {"data": "{", "content_type": "application/json"}, 400),
    ],
)
def test_what_http_says_is_said_in_a_problem_document_too(
    agent: FlaskClient, method: str, path: str, sent: dict[str, Any], status: int
) -> None:
    answer = agent.open(f"/api/v1{path}", method=method, **sent)
    problem = answer.get_json(force=True)
    assert answer.status_code == problem["status"] == status
    assert answer.mimetype == "application/problem+json"
    assert problem["detail"]
    assert "Allow" in answer.headers or status != 405


@pytest.mark.parametrize("accept", ["*/*", "application/*", "text/html, application/json;q=0.1"])
def test_json_is_given_to_whoever_takes_it(agent: FlaskClient, accept: str) -> None:
    assert agent.get("/api/v1/customers", headers={"Accept": accept}).status_code == 200
