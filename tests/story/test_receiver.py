"""The receiver keeps what it acknowledges, and acknowledges nothing it cannot keep."""

from __future__ import annotations

import io
import json
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from adapters.demo.webhook import sign
from hub.errors import StoreError
from hub.registry import Hub
from hub.sdk import Item
from hub.settings import Settings
from hub.store import inbox
from tests.conftest import POSTGRESQL
from tests.story.helpers import demo, drain, scalar
from webhooks.app import create_app
from webhooks.writer import Writer

Open = Callable[..., Hub]
SECRET = "shared-with-the-sender"
MIB = 1024 * 1024


@pytest.fixture
def hub(open_with: Open) -> Hub:
    return open_with({"shop": demo(webhook_secrets=[SECRET]), "erp": {"adapter": "demo"}})


@pytest.fixture
def client(hub: Hub) -> Iterator[FlaskClient]:
    with receiver(hub.settings) as client:
        yield client


@contextmanager
def receiver(settings: Settings) -> Iterator[FlaskClient]:
    app = create_app(settings)
    with app.test_client(use_cookies=False) as client:
        yield client
    app.extensions["hub.database"].close()


def body(event_id: str = "e1", **record: Any) -> bytes:
    row = {"id": "O1", "version": "1", "number": "SO1", **record}
    return json.dumps({"event_id": event_id, "stream": "orders", "record": row}).encode()


def post(
    client: FlaskClient, data: bytes, *, at: datetime | None = None, **headers: str
) -> TestResponse:
    signed = {**sign(SECRET, data, at or datetime.now(UTC)), **headers}
    return client.post("/hooks/shop", data=data, headers=signed)


def stored(hub: Hub) -> int:
    count: int = scalar(hub, "SELECT count(*) FROM inbox")
    return count


def test_a_genuine_event_is_stored_and_its_repeat_is_not(hub: Hub, client: FlaskClient) -> None:
    first = post(client, body())
    assert (first.status_code, first.json and first.json["duplicate"]) == (202, False)
    assert first.json["event"] == scalar(hub, "SELECT id FROM inbox")
    repeat = post(client, body())
    assert (repeat.status_code, repeat.json["duplicate"]) == (200, True)
    assert stored(hub) == 1


def test_many_events_in_one_request_are_stored_together(hub: Hub, client: FlaskClient) -> None:
    events = [json.loads(body(f"e{n}", id=f"O{n}")) for n in range(5)]
    assert post(client, json.dumps({"events": events}).encode()).status_code == 202
    assert stored(hub) == 5


@pytest.mark.parametrize(
    ("headers", "at_s"),
    [
        ({"x-demo-signature": "00" * 32}, 0),
        ({"x-demo-signature": "not hex"}, 0),
        ({"x-demo-signature": ""}, 0),
        ({}, -3600),
        ({}, 3600),
    ],
)
def test_a_sender_that_is_not_proven_is_refused(
    hub: Hub, client: FlaskClient, headers: dict[str, str], at_s: int
) -> None:
    refused = post(client, body(), at=datetime.now(UTC) + timedelta(seconds=at_s), **headers)
    assert refused.status_code == 401
    assert refused.content_type == "application/problem+json"
    assert stored(hub) == 0


def test_a_connection_without_a_secret_refuses_everybody(hub: Hub, client: FlaskClient) -> None:
    data = body()
    refused = client.post("/hooks/erp", data=data, headers=sign("", data, datetime.now(UTC)))
    assert refused.status_code == 401
    assert stored(hub) == 0


def test_a_connection_nobody_configured_is_unknown(hub: Hub, client: FlaskClient) -> None:
    assert client.post("/hooks/other", data=body()).status_code == 404
    assert client.post("/hooks/", data=body()).status_code == 404
    assert client.delete("/hooks/shop").status_code == 405
    assert stored(hub) == 0


def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not(
    hub: Hub, client: FlaskClient
) -> None:
    assert post(client, body().ljust(MIB + 1)).status_code == 413
    assert stored(hub) == 0
    assert post(client, body().ljust(MIB)).status_code == 202


def test_a_chunked_body_is_measured_too(hub: Hub, client: FlaskClient) -> None:
    for size, status in ((MIB + 1, 413), (2 * MIB, 413), (MIB, 202)):
        data = body().ljust(size)
        answer = client.post(
            "/hooks/shop",
            input_stream=io.BytesIO(data),
            headers=sign(SECRET, data, datetime.now(UTC)),
            environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
        )
        assert answer.status_code == status
    assert stored(hub) == 1


@pytest.mark.parametrize(
    "data", [b"", b"\x00\xff\xfe", b"[]", b'"text"', b'{"events": [1, {"a": NaN}]}', b"{" * 5000]
)
def test_genuine_garbage_is_accepted_and_quarantined(
    hub: Hub, client: FlaskClient, data: bytes
) -> None:
    assert post(client, data).status_code == 202
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM inbox WHERE state <> 'quarantined'") == 0
    assert stored(hub) > 0


def test_headers_are_kept_without_secrets(hub: Hub, client: FlaskClient) -> None:
    post(client, body(), authorization="Bearer abc", cookie="session=abc", **{"x-trace": "t1"})
    kept = json.loads(scalar(hub, "SELECT headers FROM inbox"))
    assert kept["x-trace"] == "t1"
    assert {kept[name] for name in ("authorization", "cookie", "x-demo-signature")} == {"***"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_locked_sqlite_is_503_and_the_next_try_is_stored(hub: Hub, client: FlaskClient) -> None:
    post(client, body("e0"))
    clients = [client.application.test_client() for _ in range(20)]
    with hub.database.engine.connect() as other, ThreadPoolExecutor(len(clients)) as senders:
        other.exec_driver_sql("BEGIN EXCLUSIVE")
        answers = list(senders.map(post, clients, [body(f"e{n}") for n in range(20)]))
        other.rollback()
    assert {(answer.status_code, answer.headers["Retry-After"]) for answer in answers} == {
        (503, "5")
    }
    assert answers[0].content_type == "application/problem+json"
    assert {post(client, body(f"e{n}")).status_code for n in range(20)} == {200, 202}
    assert stored(hub) == 20


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_disk_is_503_and_nothing_is_half_written(
    hub: Hub, client: FlaskClient, tmp_path: Path
) -> None:
    post(client, body("e0"))
    with file_size_limit((tmp_path / "hub.db-wal").stat().st_size + 4096):
        answers = [post(client, body(f"e{n}").ljust(200_000)) for n in range(1, 4)]
    assert {answer.status_code for answer in answers} == {503}
    assert stored(hub) == 1
    assert scalar(hub, "PRAGMA integrity_check") == "ok"
    assert post(client, body("e1")).status_code == 202


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A file that would grow beyond the size cannot be written, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_is_gone_is_503_until_it_is_back(hub: Hub, client: FlaskClient) -> None:
    post(client, body("e0"))
    with gone(hub):
        for _ in range(3):
            answer = post(client, body("e1"))
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        time.sleep(1.1)  # what the registry remembers of the connections is stale now
        assert post(client, body("e1")).status_code == 503
    assert post(client, body("e1")).status_code == 202
    assert stored(hub) == 2


@contextmanager
def gone(hub: Hub) -> Iterator[None]:
    """The server ends every session of the database and takes no new one."""
    name = hub.database.engine.url.database
    with psycopg.connect(POSTGRESQL, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        yield
        conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_a_file_that_is_no_database_is_503(open_with: Open, tmp_path: Path) -> None:
    hub = open_with({"shop": demo(webhook_secrets=[SECRET])})
    for name in ("folder", "text"):
        there = tmp_path / name
        there.mkdir() if name == "folder" else there.write_text("something else " * 100)
        settings = hub.settings.model_copy(update={"database_url": f"sqlite:///{there}"})
        with receiver(settings) as client:
            assert post(client, body()).status_code == 503


def test_rows_that_cannot_be_stored_take_no_others_along(open_with: Open) -> None:
    """One writer commits what waits together: a faulty row is refused alone."""
    hub = open_with({"shop": demo(webhook_secrets=[SECRET])})
    writer = Writer(hub.database)
    now = datetime.now(UTC)
    many = [inbox.rows_for("shop", [Item(b"{}", f"e{n}", f"k{n}")], {}, now) for n in range(40)]
    many[7][0]["body"] = None
    with ThreadPoolExecutor(40) as pool:
        results = list(pool.map(lambda rows: _outcome(writer, rows), many))
    assert [n for n, result in enumerate(results) if result is None] == [7]
    assert stored(hub) == 39


def _outcome(writer: Writer, rows: list[dict[str, Any]]) -> list[int] | None:
    try:
        return writer.save(rows)
    except StoreError:
        return None
