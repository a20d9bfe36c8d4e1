from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from hub.store import alerts, certificates, leases
from hub.store.certificates import Certificate
from hub.store.db import Database
from tests.unit.web.conftest import ClientOf, app_on


def test_alive_and_ready(everywhere: Database) -> None:
    client = app_on(everywhere).test_client()
    assert client.get("/healthz").get_json() == {"status": "ok"}
    assert client.get("/readyz").get_json() == {"database": "ok", "schema": "current"}


def test_not_ready_before_the_schema_is_current(database: Database) -> None:
    with database.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    answer = app_on(database).test_client().get("/readyz")
    assert (answer.status_code, answer.get_json()["schema"]) == (503, "outdated")


def test_alive_but_not_ready_without_a_database() -> None:
    gone = Database("postgresql://127.0.0.1:1/nowhere?connect_timeout=1")
    client = app_on(gone).test_client()
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["database"]) == (503, "unreachable")
    gone.close()


def test_metrics_say_what_waits(everywhere: Database) -> None:
    told = app_on(everywhere).test_client().get("/metrics").text
    for line in (
        'conduit_inbox_events{state="received"} 0.0',
        'conduit_deliveries{state="dead"} 0.0',
        "conduit_quarantined_rows 0.0",
        "conduit_customers 4.0",
        'conduit_connection_state{connection="chat",state="auth_failed"} 1.0',
        'conduit_connection_state{connection="erp",state="ok"} 1.0',
    ):
        assert line in told


def test_metrics_tell_the_certificates_and_alerts(everywhere: Database) -> None:
    now = leases.now()
    found = Certificate(
        connection="erp", stream="parties", method="survey", source_count=12, hub_count=11,
        missing=1, stale=0, extra=0, repaired=2, complete=False, note="", began_at=now,
        checked_at=now - timedelta(hours=2), valid_until=now,
    )  # fmt: skip
    with everywhere.write() as conn:
        certificates.add(conn, found)
        alerts.open_(conn, "auth", "chat", "", "refused")
    told = app_on(everywhere).test_client().get("/metrics").text
    stream = 'connection="erp",stream="parties"'
    amber = 'connection="erp",status="amber",stream="parties"'
    for line in (
        f"conduit_stream_status{{{amber}}} 1.0",
        f"conduit_certificate_missing{{{stream}}} 1.0",
        f"conduit_certificate_complete{{{stream}}} 0.0",
        f"conduit_certificate_age_seconds{{{stream}}} 72",
        'conduit_alerts{kind="auth"} 1.0',
    ):
        assert line in told


@pytest.mark.parametrize(
    ("role", "address", "headers", "status"),
    [
        ("", "127.0.0.1", {}, 200),
        ("", "::1", {}, 200),
        ("", "10.1.2.3", {}, 401),
        ("", "127.0.0.1", {"X-Forwarded-For": "10.1.2.3"}, 401),
        ("", "127.0.0.1", {"Forwarded": "for=10.1.2.3"}, 401),
        ("agent", "10.1.2.3", {}, 401),
        ("operator", "10.1.2.3", {}, 200),
    ],
)
def test_metrics_are_for_this_machine_or_an_operator(
    client_of: ClientOf, role: str, address: str, headers: dict[str, str], status: int
) -> None:
    client: FlaskClient = client_of(role)
    answer = client.get("/metrics", headers=headers, environ_overrides={"REMOTE_ADDR": address})
    assert answer.status_code == status
    assert (answer.mimetype == "application/problem+json") is (status == 401)
