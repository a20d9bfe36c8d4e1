"""Who is refused can find out why, fills no disk, and is in nobody's way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import BaseModel, SecretStr

from adapters.demo.webhook import sign
from hub import mapping
from hub.cli.hooks import _sample, _send
from hub.errors import ConfigError
from hub.pipeline import due
from hub.registry import Hub, manifests
from hub.sdk import WebhookReceiver
from hub.sdk.vendor import Vendor
from hub.settings import settings_path
from hub.store import refusals
from hub.store.refusals import KNOWN_MAX, UNKNOWN_MAX, Refusal
from tests.served import served
from tests.story.helpers import demo, drain, scalar
from tests.story.processes import wait_until
from tests.story.test_cli import Cli
from tests.story.test_receiver import body, post, receiver
from webhooks.app import create_app
from webhooks.refusals import START_BYTES, WAITING_MAX, Refusals

Open = Callable[..., Hub]
SECRET = "shared-with-the-sender"
CANARY = "c4n4ry-0123456789"


@pytest.fixture
def hub(open_with: Open) -> Hub:
    return open_with({"shop": demo(webhook_secrets=[SECRET]), "erp": {"adapter": "demo"}})


@pytest.fixture
def client(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    """A receiver that writes what it noted when it is told to, not by the clock."""
    monkeypatch.setattr("webhooks.refusals.EVERY_S", 3600.0)
    with receiver(hub.settings) as client:
        yield client


@pytest.fixture
def program(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line on the same database."""
    monkeypatch.setenv("HUB_DATABASE_URL", hub.settings.database)
    monkeypatch.setenv("HUB_SECRET_KEYS", json.dumps(hub.settings.secret_keys))
    monkeypatch.setenv("COLUMNS", "200")
    return Cli(settings_path())


def noted(client: FlaskClient) -> Refusals:
    """What the receiver noted, written now instead of within a second."""
    found: Refusals = client.application.extensions["hub.refusals"]
    found.flush()
    return found


def kept(hub: Hub, connection: str | None = None) -> list[dict[str, Any]]:
    with hub.database.read() as conn:
        rows, _ = refusals.page(conn, connection, limit=1000)
    return rows


def test_a_wrong_signature_is_explained_to_us_and_not_to_the_sender(
    hub: Hub, client: FlaskClient
) -> None:
    data = json.dumps({"token": CANARY, "name": "李娜"}).encode()
    wrong = {**sign("other", data, datetime.now(UTC)), "x-shared": SECRET, "x-trace": "t1"}
    answer = client.post(f"/hooks/shop/{CANARY}?key={CANARY}", data=data, headers=wrong)
    assert (answer.status_code, answer.json["detail"]) == (401, "The sender is not proven.")
    noted(client)
    (one,) = kept(hub)
    assert (one["connection"], one["known"], one["status"], one["count"]) == ("shop", True, 401, 1)
    assert "no configured secret fits" in one["reason"]
    assert "Compare the secret" in one["hint"]
    assert (one["method"], one["path"]) == ("POST", "/hooks/shop/***?key=***")
    assert one["headers"]["x-demo-signature"] == "*** (64)"
    assert one["headers"]["x-trace"] == "t1"
    assert one["size_bytes"] == len(data)
    assert "李娜" in one["body_start"] or "\\u674e" in one["body_start"]
    assert len(one["body_sha256"]) == 64
    everything = json.dumps(one, default=str)
    assert CANARY not in everything
    assert SECRET not in everything


def test_every_kind_of_refusal_is_noted(hub: Hub, client: FlaskClient) -> None:
    post(client, body(), at=datetime.now(UTC) - timedelta(hours=1))
    client.post("/hooks/erp", data=b"x")
    client.post("/hooks/nobody", data=b"secret words")
    client.post("/hooks/shop", data=b"x" * (1024 * 1024 + 1))
    client.post("/hooks/shop", data=b"x" * (1024 * 1024 + 2))
    client.delete("/hooks/shop")
    noted(client)
    found = {(row["connection"], row["status"]): row for row in kept(hub)}
    assert set(found) == {
        ("shop", 401),
        ("erp", 401),
        ("nobody", 404),
        ("shop", 413),
        ("shop", 405),
    }
    assert "too far from now" in found["shop", 401]["reason"]
    assert found["nobody", 404]["known"] is False
    assert found["nobody", 404]["body_start"] == ""
    assert found["shop", 413]["body_sha256"] == ""


def test_what_was_taken_is_no_refusal(hub: Hub, client: FlaskClient) -> None:
    assert post(client, body()).status_code == 202
    noted(client)
    assert kept(hub) == []


@pytest.mark.parametrize(
    "data", [b"\x00\xff" * 3000, b"\x00", "李".encode() * 3000, b"", "姓名".encode("gbk")]
)
def test_any_body_can_be_kept_and_only_its_beginning(
    hub: Hub, client: FlaskClient, data: bytes
) -> None:
    client.post("/hooks/shop", data=data, headers={"x-odd": "caf\xe9 \t"})
    noted(client)
    (one,) = kept(hub)
    assert one["size_bytes"] == len(data)
    assert len(one["body_start"]) <= 5 * START_BYTES


def test_similar_ones_are_one_row_in_memory_and_in_the_database(
    hub: Hub, client: FlaskClient
) -> None:
    for times in (30, 12):
        for _ in range(times):
            client.post("/hooks/shop", data=b"x")
        noted(client)
    (one,) = kept(hub)
    assert one["count"] == 42
    assert one["first_at"] < one["at"]
    client.post("/hooks/shop", data=b"x", environ_overrides={"REMOTE_ADDR": "203.0.113.9"})
    noted(client)
    assert sorted(row["count"] for row in kept(hub)) == [1, 42]


def refusal(n: int, connection: str, at: datetime) -> Refusal:
    return Refusal(
        connection=connection, status=401, reason="r", hint="", remote=f"10.0.{n // 250}.{n % 250}",
        method="POST", path="/", headers={}, size_bytes=0, body_sha256="", body_start="",
        first_at=at, at=at,
    )  # fmt: skip


def test_however_many_come_the_table_stays_small(hub: Hub) -> None:
    now = datetime.now(UTC)
    for batch in range(5):
        at = now + timedelta(minutes=2 * batch)
        found = [refusal(n, name, at) for name in ("shop", "erp") for n in range(80)]
        found += [refusal(n, f"name{n}", at) for n in range(80)]
        with hub.database.write() as conn:
            refusals.save(conn, found)
    assert len(kept(hub, "shop")) == len(kept(hub, "erp")) == KNOWN_MAX
    assert len(kept(hub)) == 2 * KNOWN_MAX + UNKNOWN_MAX
    assert min(row["at"] for row in kept(hub, "shop")) > now + timedelta(minutes=5)


def test_whoever_tries_all_names_hides_nobody(hub: Hub, client: FlaskClient) -> None:
    for n in range(3 * WAITING_MAX):
        client.post(f"/hooks/name{n}", data=b"x")
    client.post("/hooks/shop", data=b"x")
    noted(client)
    assert [row["connection"] for row in kept(hub)][:1] == ["shop"]
    assert len(kept(hub)) < WAITING_MAX


def test_they_are_forgotten_after_two_weeks(
    hub: Hub, client: FlaskClient, clock: Callable[[timedelta], None]
) -> None:
    client.post("/hooks/shop", data=b"x")
    noted(client)
    clock(timedelta(days=13))
    due.sweep(hub)
    assert len(kept(hub)) == 1
    clock(timedelta(days=2))
    due.sweep(hub)
    assert kept(hub) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_cannot_take_them_loses_them_and_nothing_else(
    hub: Hub, client: FlaskClient
) -> None:
    with hub.database.engine.connect() as other:
        other.exec_driver_sql("BEGIN EXCLUSIVE")
        assert client.post("/hooks/shop", data=b"x").status_code == 401
        noted(client)
        other.rollback()
    assert kept(hub) == []
    assert client.post("/hooks/shop", data=b"x").status_code == 401
    noted(client)
    assert [row["count"] for row in kept(hub)] == [1]


def test_the_thread_writes_by_itself(hub: Hub, client: FlaskClient, monkeypatch: Any) -> None:
    monkeypatch.setattr("webhooks.refusals.EVERY_S", 0.0)
    client.post("/hooks/shop", data=b"x")
    wait_until("it is written", lambda: bool(kept(hub)))
    assert [row["count"] for row in kept(hub)] == [1]


def test_in_a_terminal(hub: Hub, client: FlaskClient, program: Cli) -> None:
    client.post("/hooks/shop", data=b"x")
    client.post("/hooks/nobody", data=b"x")
    noted(client)
    printed = program("hooks", "refused").stdout
    assert "the signature is missing" in printed
    assert 'there is no connection "nobody"' in printed
    (one,) = json.loads(program("hooks", "refused", "shop", "--json").stdout)
    assert one["status"] == 401


def test_a_sample_goes_through_the_front_door_and_what_becomes_of_it_is_told(
    hub: Hub, program: Cli
) -> None:
    app = create_app(hub.settings)
    with served(app) as url:
        sent = program("hooks", "test", "shop", "--url", url, "--wait", "0", "--json")
        told = json.loads(sent.stdout)
        assert (sent.exit_code, told["status"], told["state"]) == (1, 202, "received")
        assert told["event"] == scalar(hub, "SELECT id FROM inbox")
        assert "worker" in told["hint"]
        drain(hub)
        assert scalar(hub, "SELECT state FROM inbox") == "done"
        again = program("hooks", "test", "shop", "--url", url, "--wait", "0").output
        assert "answer   20" in again
        refused = program.refuses("hooks", "test", "erp", "--url", url)
        assert "401" in refused
        assert "the signature is missing" in refused
    app.extensions["hub.database"].close()
    assert "nothing answers" in program.refuses("hooks", "test", "shop", "--url", url)
    assert 'no connection "x"' in program.refuses("hooks", "test", "x")


def test_a_sample_that_is_applied_in_time_is_exit_code_0(hub: Hub, program: Cli) -> None:
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            drain(hub)

    worker = threading.Thread(target=work)
    app = create_app(hub.settings)
    with served(app) as url:
        worker.start()
        try:
            sent = program("hooks", "test", "shop", "--url", url, "--wait", "30")
        finally:
            over.set()
            worker.join()
    app.extensions["hub.database"].close()
    assert sent.exit_code == 0, sent.output
    assert "done" in sent.output
    assert "hub trace event:" in sent.output


def _plain(value: Any) -> Any:
    """A config as somebody would write it, secrets and all."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in value.model_fields_set}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def signers() -> list[str]:
    """Adapters whose receiver signs samples."""
    return [
        name
        for name, found in manifests().items()
        if found.webhook and found.receiver_class().sample is not WebhookReceiver.sample
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("adapter", signers())
def test_the_sample_of_every_vendor_is_let_in(open_with: Open, adapter: str) -> None:
    config = _plain(Vendor(manifests()[adapter], mapping).config())
    hub = open_with({"one": {"adapter": adapter, **config}})
    app = create_app(hub.settings)
    with served(app) as url:
        address = f"{url}/hooks/one"
        sample = _sample(hub.registry.get("one"), address, datetime.now(UTC))
        answer = _send(sample, address)
    app.extensions["hub.refusals"].flush()
    said = kept(hub)
    app.extensions["hub.database"].close()
    assert answer.status_code < 300, said
    assert scalar(hub, "SELECT count(*) FROM inbox") == 1


def test_who_cannot_sign_a_sample_is_told_what_to_do(open_with: Open) -> None:
    key = "whpk_" + "A" * 43 + "="
    hub = open_with({"hook": {"adapter": "webhook", "secrets": [key]}})
    with pytest.raises(ConfigError, match="cannot be signed"):
        _sample(hub.registry.get("hook"), "http://127.0.0.1:1/hooks/hook", datetime.now(UTC))
