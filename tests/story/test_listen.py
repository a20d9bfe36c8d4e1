"""Vendors that cannot reach us: what they stream is stored first, acknowledged then, applied once.

Every vendor is a real server on local ports that keeps a ledger of what was acknowledged.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.dingtalk.webhook import EVENTS
from adapters.telegram.webhook import HEADER
from bench.rig import procfile
from hub.errors import ConfigError
from hub.pipeline import listen
from hub.registry import Hub, apply
from hub.sdk import HookRequest
from hub.sdk.sealing import seal
from hub.settings import Settings
from hub.store import alerts, connections, listeners
from tests.conftest import KEY
from tests.contract.stream_server import KEY as KEY_OF_APP
from tests.story.helpers import drain, scalar
from tests.story.peers import NAMES, Dingtalk, Hubspot, Mail, Peer, Telegram, connection, peer
from tests.story.processes import PATIENCE_S, Installation, installed, wait_until
from webhooks.app import create_app

Open = Callable[..., Hub]

AES_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

# What a vendor does and what a database does are independent: not every pair is started.
SOME = [
    ("sqlite", "telegram"),
    ("sqlite", "email"),
    ("postgresql", "dingtalk"),
    ("postgresql", "hubspot"),
]
TOLD = [("sqlite", "dingtalk"), ("postgresql", "telegram")]
"""Those that are told what arrived; of the others we only know our place, stored with the event."""


def pairs(*given: tuple[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("database_url", "vendor"), given, indirect=True)


@pytest.fixture(params=NAMES)
def vendor(request: pytest.FixtureRequest) -> Iterator[Peer]:
    with peer(request.param) as found:
        yield found


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long, so that the tests need not either."""
    monkeypatch.setattr(listen, "LOOK_S", 0.05)
    monkeypatch.setattr(listen, "RETRY_S", (0.0, 0.05, 0.1))
    monkeypatch.setattr("adapters.telegram.adapter.POLL_S", 1)
    monkeypatch.setattr("adapters.hubspot.journal.POLL_S", 0.05)


@contextmanager
def listening(*hubs: Hub) -> Iterator[None]:
    """Each hub runs its listeners, as a process would."""
    stopping = threading.Event()
    threads = [threading.Thread(target=listen.run, args=(hub, stopping)) for hub in hubs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def stored(hub: Hub) -> list[str]:
    """What the inbox calls the events it has, in order."""
    with hub.database.read() as conn:
        rows = conn.exec_driver_sql("SELECT event_id FROM inbox ORDER BY id").scalars()
        return list(rows)


def stands(hub: Hub) -> bool:
    with hub.database.read() as conn:
        return any(row["heard_at"] for row in listeners.every(conn))


def state(hub: Hub) -> str:
    with hub.database.read() as conn:
        return connections.state(conn, "far")


def told(hub: Hub) -> list[dict[str, Any]]:
    with hub.database.read() as conn:
        return alerts.every(conn)


def records(hub: Hub) -> int:
    return int(scalar(hub, "SELECT count(*) FROM record WHERE deleted_at IS NULL"))


def states(hub: Hub) -> set[str]:
    with hub.database.read() as conn:
        return set(conn.exec_driver_sql("SELECT state FROM inbox").scalars())


def until_stored(hub: Hub, vendor: Peer, *numbers: int) -> None:
    wanted = {vendor.named(number) for number in numbers}
    wait_until("the events are in the inbox", lambda: wanted <= set(stored(hub)))


@pytest.mark.usefixtures("hurried")
def test_events_become_records_and_are_acknowledged(open_with: Open, vendor: Peer) -> None:
    hub = open_with({"far": connection(vendor)})
    with listening(hub):
        wait_until("the line stands", lambda: stands(hub))
        for number in (1, 2, 3):
            vendor.tell(number)
        until_stored(hub, vendor, 1, 2, 3)
        if not isinstance(vendor, Mail):
            wait_until("the vendor knows", lambda: vendor.was_acknowledged(3))
        drain(hub)
        assert state(hub) == "ok"
    assert stored(hub) == [vendor.named(number) for number in (1, 2, 3)]
    assert states(hub) == {"done"}
    assert records(hub) == 3 * vendor.records
    with hub.database.read() as conn:
        (row,) = listeners.every(conn)
    assert row["events"] >= 3


@pytest.mark.usefixtures("hurried")
def test_a_line_that_breaks_is_built_up_again(open_with: Open, vendor: Peer) -> None:
    hub = open_with({"far": connection(vendor)})
    with listening(hub):
        wait_until("the line stands", lambda: stands(hub))
        vendor.tell(1)
        until_stored(hub, vendor, 1)
        for number in (2, 3):
            vendor.drop()
            vendor.tell(number)
            until_stored(hub, vendor, number)
    assert stored(hub) == [vendor.named(number) for number in (1, 2, 3)]
    assert told(hub) == []


@pytest.mark.usefixtures("hurried")
def test_refused_credentials_pause_the_connection_and_are_told_once(
    open_with: Open, vendor: Peer
) -> None:
    hub = open_with({"far": connection(vendor, **vendor.wrong)})
    with listening(hub):
        wait_until("it is refused", lambda: state(hub) == "auth_failed")
        wait_until("nobody listens", lambda: _free(hub))
        (alert,) = told(hub)
        assert alert["kind"] == "auth"
        settings = Settings(
            state_dir=hub.settings.state_dir,
            database_url=hub.settings.database_url,
            secret_keys=[KEY],
            connections={"far": connection(vendor)},
        )
        apply(hub.registry, settings)
        wait_until("the line stands", lambda: state(hub) == "ok")
        vendor.tell(1)
        until_stored(hub, vendor, 1)
    assert told(hub) == []


def _free(hub: Hub) -> bool:
    return not scalar(hub, "SELECT count(*) FROM lease WHERE name = 'listen:far' AND owner <> ''")


@pytest.mark.usefixtures("hurried")
def test_a_paused_connection_listens_no_longer(open_with: Open, vendor: Peer) -> None:
    hub = open_with({"far": connection(vendor)})
    with listening(hub):
        wait_until("the line stands", lambda: stands(hub))
        with hub.database.write() as conn:
            connections.set_state(conn, "far", "paused", "by a person")
        wait_until("nobody listens", lambda: _free(hub))


@pytest.mark.usefixtures("hurried")
def test_two_processes_keep_one_line(open_with: Open, vendor: Peer) -> None:
    hub = open_with({"far": connection(vendor)})
    other = open_with({"far": connection(vendor)})
    with listening(hub, other):
        wait_until("the line stands", lambda: stands(hub))
        vendor.tell(1)
        until_stored(hub, vendor, 1)
        if isinstance(vendor, Dingtalk):
            assert vendor.server.lines == 1
        if isinstance(vendor, Mail):
            assert len(vendor.server.waiting) <= 1
        assert state(hub) == "ok"  # Telegram and others refuse a second one
    assert told(hub) == []


@pytest.mark.usefixtures("hurried")
def test_who_is_left_takes_over(open_with: Open, vendor: Peer) -> None:
    hub = open_with({"far": connection(vendor)})
    other = open_with({"far": connection(vendor)})
    with listening(hub):
        wait_until("the line stands", lambda: stands(hub))
        vendor.tell(1)
        until_stored(hub, vendor, 1)
    with listening(other):
        vendor.tell(2)
        until_stored(other, vendor, 2)
    assert stored(hub) == [vendor.named(1), vendor.named(2)]


@pytest.mark.usefixtures("hurried")
def test_by_webhook_and_by_line_it_is_one_event(open_with: Open) -> None:
    with peer("telegram") as vendor:
        assert isinstance(vendor, Telegram)
        hub = open_with({"far": connection(vendor, secret_tokens=["word"])})
        receiver = create_app(hub.settings)
        client = receiver.test_client()
        updates = [vendor.server.tell(number) for number in (1, 2)]
        posted = client.post("/hooks/far", data=json.dumps(updates[0]), headers={HEADER: "word"})
        assert posted.status_code == 200
        with listening(hub):
            wait_until("the vendor knows", lambda: vendor.was_acknowledged(2))
        again = client.post("/hooks/far", data=json.dumps(updates[1]), headers={HEADER: "word"})
        assert again.status_code == 200
        receiver.extensions["hub.database"].close()
        assert sorted(stored(hub)) == ["1", "2"]
        drain(hub)
        assert records(hub) == 2 * vendor.records


@pytest.mark.usefixtures("hurried")
def test_sealed_by_webhook_and_in_clear_by_line_it_is_one_event(open_with: Open) -> None:
    with peer("dingtalk") as vendor:
        assert isinstance(vendor, Dingtalk)
        hub = open_with({"far": connection(vendor, tokens=["word"], aes_keys=[AES_KEY])})
        receiver = create_app(hub.settings)
        client = receiver.test_client()
        for number in (1, 2):
            vendor.tell(number)
        assert client.post("/hooks/far", **_pushed(vendor, 1)).status_code == 200
        with listening(hub):
            wait_until("the vendor knows", lambda: vendor.was_acknowledged(2))
        assert client.post("/hooks/far", **_pushed(vendor, 2)).status_code == 200
        receiver.extensions["hub.database"].close()
        assert sorted(stored(hub)) == ["event-1", "event-2"]
        drain(hub)
        assert (states(hub), records(hub)) == ({"done"}, 2)


def _pushed(vendor: Dingtalk, number: int) -> dict[str, Any]:
    """The same event as 钉钉 posts it."""
    frame = vendor.server.frames[vendor.named(number)]
    named = {"EventType": frame["headers"]["eventType"], "eventId": frame["headers"]["eventId"]}
    sealed = seal(AES_KEY, json.dumps({**json.loads(frame["data"]), **named}).encode(), KEY_OF_APP)
    body, now = json.dumps({"encrypt": sealed}).encode(), datetime.now(UTC)
    query = {"timestamp": str(int(now.timestamp() * 1000)), "nonce": "n"}
    request = EVENTS["msg_signature"].sign(HookRequest("POST", {}, query, body, now), "word")
    return {"data": body, "query_string": dict(request.query)}


@pytest.mark.usefixtures("hurried")
def test_what_a_person_must_change_is_told_until_it_is_done(open_with: Open) -> None:
    with peer("telegram") as vendor:
        assert isinstance(vendor, Telegram)
        vendor.server.webhook = True
        hub = open_with({"far": connection(vendor)})
        with listening(hub):
            wait_until("it is told", lambda: bool(told(hub)))
            (alert,) = told(hub)
            assert (alert["kind"], state(hub)) == ("listen", "degraded")
            assert "deleteWebhook" in alert["hint"]
            vendor.server.webhook = False
            vendor.tell(1)
            until_stored(hub, vendor, 1)
            wait_until("it is over", lambda: told(hub) == [] and state(hub) == "ok")


@pytest.mark.usefixtures("hurried")
def test_a_forgotten_place_is_told_and_reading_goes_on(open_with: Open) -> None:
    with peer("hubspot") as vendor:
        assert isinstance(vendor, Hubspot)
        hub = open_with({"far": connection(vendor)})
        with listening(hub):
            vendor.tell(1)
            until_stored(hub, vendor, 1)
        vendor.server.forget(1)
        with listening(hub):
            wait_until("it is told", lambda: any(a["kind"] == "cursor-expired" for a in told(hub)))
            vendor.tell(2)
            until_stored(hub, vendor, 2)
            wait_until("it is over", lambda: told(hub) == [])


@pytest.mark.usefixtures("hurried")
def test_a_bug_in_an_adapter_does_not_stand_under_a_green_light(open_with: Open) -> None:
    with peer("hubspot") as vendor:
        assert isinstance(vendor, Hubspot)
        vendor.server.files["offset-1"] = ["no event at all"]  # type: ignore[list-item]
        hub = open_with({"far": connection(vendor)})
        with listening(hub):
            wait_until("it is told", lambda: bool(told(hub)))
        assert state(hub) == "degraded"
        assert "in the adapter hubspot" in told(hub)[0]["message"]


@pytest.mark.usefixtures("hurried")
def test_a_vendor_that_is_down_is_said_once(
    open_with: Open, caplog: pytest.LogCaptureFixture
) -> None:
    with peer("hubspot") as vendor:
        assert isinstance(vendor, Hubspot)
        vendor.server.down = 12
        hub = open_with({"far": connection(vendor)})
        with listening(hub):
            wait_until("it is degraded", lambda: state(hub) == "degraded")
            wait_until("it is back", lambda: state(hub) == "ok")
    said = [r.getMessage() for r in caplog.records if r.name == "hub.pipeline.listen"]
    assert said.count("connection is unavailable") == 1


def test_only_who_is_told_to_listens(open_with: Open) -> None:
    with peer("telegram") as vendor:
        hub = open_with({"far": connection(vendor, listen=False)})
        assert not hub.registry.get("far").listens
    hub = open_with({"far": {"adapter": "demo"}})
    assert not hub.registry.get("far").listens


def test_a_vendor_that_offers_no_line_is_refused_at_once(open_with: Open) -> None:
    with pytest.raises(ConfigError, match="no line of its own"):
        open_with({"far": {"adapter": "demo", "listen": True}})


# Real processes


@pairs(*SOME)
def test_killed_between_receiving_and_committing(
    database_url: str, tmp_path: Path, vendor: Peer
) -> None:
    with there(tmp_path, database_url, vendor) as (place, hub):
        with stopped_database(hub):
            vendor.tell(2)
            wait_until("it was given", lambda: vendor.was_given(2))
            place.kill("listen")
            assert not vendor.was_acknowledged(2)
        assert stored(hub) == [vendor.named(1)]
        place.start_production("listen")
        vendor.tell(3)
        until_stored(hub, vendor, 2, 3)
        if not isinstance(vendor, Mail):
            wait_until("the vendor knows", lambda: vendor.was_acknowledged(3))
        assert place.alive("listen")
        applied_once(hub, vendor, 3)


@pairs(*TOLD)
def test_killed_between_committing_and_acknowledging(
    database_url: str, tmp_path: Path, vendor: Peer
) -> None:
    with there(tmp_path, database_url, vendor) as (place, hub):
        vendor.deafen()
        vendor.tell(2)
        until_stored(hub, vendor, 2)
        place.kill("listen")
        vendor.deafen(deaf=False)
        place.start_production("listen")
        wait_until("the vendor knows", lambda: vendor.was_acknowledged(2))
        applied_once(hub, vendor, 2)


@pairs(*TOLD)
def test_a_second_process_takes_over_from_a_killed_one(
    database_url: str, tmp_path: Path, vendor: Peer
) -> None:
    with there(tmp_path, database_url, vendor) as (place, hub):
        place.start("another", procfile()["listen"])
        vendor.tell(2)
        until_stored(hub, vendor, 2)
        place.kill("listen")
        vendor.tell(3)
        until_stored(hub, vendor, 3)
        assert place.alive("another")
        applied_once(hub, vendor, 3)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_embedded_the_worker_listens(database_url: str, tmp_path: Path) -> None:
    with peer("telegram") as vendor:
        given = {"connections": {"far": connection(vendor)}}
        with installed(tmp_path, database_url, **given) as place, place.hub() as hub:
            place.start_up()
            vendor.tell(1)
            wait_until("it is a record", lambda: records(hub) == vendor.records)
            place.stop("up")


@pairs(("sqlite", "dingtalk"), ("sqlite", "email"))
def test_it_ends_when_asked_and_gives_its_lease_back(
    database_url: str, tmp_path: Path, vendor: Peer
) -> None:
    with there(tmp_path, database_url, vendor) as (place, hub):
        place.stop("listen")
        assert _free(hub)


@contextmanager
def there(tmp_path: Path, database_url: str, vendor: Peer) -> Iterator[tuple[Installation, Hub]]:
    """A process that listens, and has stored the first event."""
    given = {"connections": {"far": connection(vendor)}}
    with installed(tmp_path, database_url, **given) as place, place.hub() as hub:
        place.start_production("listen")
        wait_until("the line stands", lambda: stands(hub))
        vendor.tell(1)
        until_stored(hub, vendor, 1)
        yield place, hub


@contextmanager
def stopped_database(hub: Hub) -> Iterator[None]:
    """Nothing can be written into the inbox during the block."""
    url = hub.settings.database_url
    if hub.database.is_sqlite:
        with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60) as lock:
            lock.execute("BEGIN IMMEDIATE")
            yield
            lock.rollback()
        lock.close()
        return
    with psycopg.connect(url) as lock:
        lock.execute("LOCK TABLE inbox IN SHARE ROW EXCLUSIVE MODE")
        yield
        with suppress(psycopg.Error):
            lock.rollback()


def applied_once(hub: Hub, vendor: Peer, events: int) -> None:
    assert sorted(stored(hub)) == [vendor.named(n) for n in range(1, events + 1)]
    drain(hub)
    assert states(hub) == {"done"}
    assert records(hub) == events * vendor.records
