"""Subscribers are told everything, in order, signed, at least once and under the same id."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings import http as peer
from sqlalchemy import delete, select
from standardwebhooks import Webhook

from adapters.demo.account import account as demo_account
from hub.errors import ConfigError
from hub.pipeline import due, publish, replay_quarantine
from hub.pipeline.lane import leased
from hub.registry import ROOT, Hub, open_hub
from hub.store import alerts, leases, news, subscriptions
from hub.store.rotation import rotate as rotate_keys
from hub.store.schema import event
from hub.store.schema import subscription as table
from hub.store.subscriptions import Subscription
from tests.story.helpers import account, demo, pull, scalar
from tests.story.processes import installed, wait_until
from tests.story.subscriber import LOOPBACK, Subscriber, subscriber

LI = {"id": "1", "kind": "person", "name": "李娜", "phone": "139 0000 1234"}
WANG = {"id": "2", "kind": "person", "name": "王强", "email": "wang@example.com"}


@pytest.fixture
def hub(open_with: Callable[..., Hub]) -> Hub:
    """A hub whose first load is over, and so long ago that no event of it is kept."""
    hub = open_with({"crm": demo(), "erp": demo()})
    pull(hub, "crm")
    with hub.database.write() as conn:
        conn.execute(delete(event))
    return hub


@pytest.fixture
def there() -> Iterator[Subscriber]:
    with subscriber() as there:
        yield there


def subscribe(hub: Hub, there: Subscriber, name: str = "shop", **more: Any) -> str:
    given = {"allow_networks": LOOPBACK, **more}
    with hub.database.write() as conn:
        return subscriptions.add(conn, hub.registry.vault, name, there.url, **given)


def put(hub: Hub, row: dict[str, Any], stream: str = "customers", connection: str = "crm") -> None:
    account(hub, connection).put(stream, row)
    pull(hub, connection, stream)


def serve(hub: Hub) -> None:
    """Tell everybody what is due, as the workers do."""
    for _ in range(50):
        names = due.subscriptions(hub)
        if not names:
            return
        for name in names:
            with leased(hub, publish.lease_name(name)) as lane:
                assert lane is not None
                publish.publish(hub, lane, name)
    raise AssertionError(f"these never end: {names}")


def one(hub: Hub, name: str = "shop") -> Subscription:
    with hub.database.read() as conn:
        return subscriptions.named(conn, name)


def overview(hub: Hub, name: str = "shop") -> dict[str, Any]:
    with hub.database.read() as conn:
        return subscriptions.overview(conn, subscriptions.named(conn, name))


def change(hub: Hub, verb: Callable[..., Any], *arguments: Any, name: str = "shop") -> Any:
    with hub.database.write() as conn:
        return verb(conn, name, *arguments)


def open_alerts(hub: Hub) -> list[str]:
    with hub.database.read() as conn:
        return [a["subject"] for a in alerts.every(conn) if a["kind"] == subscriptions.ALERT]


# What is told


def test_a_customers_life_is_told_in_order_and_verifies(hub: Hub, there: Subscriber) -> None:
    secret = subscribe(hub, there)
    put(hub, LI)
    put(hub, {**LI, "tier": "VIP"})
    put(hub, WANG)
    account(hub, "crm").remove("customers", "1")
    pull(hub, "crm", "customers")
    there.meanwhile = lambda got: Webhook(secret).verify(got.body, got.headers)
    serve(hub)
    told = there.take()
    types = [got.type for got in told]
    assert types == [f"customer.{v}" for v in ("created", "updated", "created", "deleted")]
    assert told[0].about == told[1].about == told[3].about != told[2].about
    assert len({got.id for got in told}) == 4
    updated = told[1].document["data"]
    assert updated["changed"] == ["tier"]
    assert updated["cause"] == "crm"
    assert updated["customer_url"] == f"{hub.settings.public_url}/api/v1/customers/{told[1].about}"
    assert all(got.headers["content-type"] == "application/json" for got in told)
    serve(hub)
    assert there.take() == []


def test_events_hold_no_personal_data(hub: Hub, there: Subscriber) -> None:
    subscribe(hub, there)
    put(hub, LI)
    put(hub, {**LI, "name": "李娜娜", "phone": "139 0000 5678", "email": "li@example.com"})
    put(hub, {"id": "T1", "subject": "坏了", "customer_id": "1", "description": "很急"}, "tickets")
    serve(hub)
    told = b"".join(got.body + str(got.headers).encode() for got in there.take()).decode()
    with hub.database.read() as conn:
        told += "".join(map(str, conn.execute(select(event)).all()))
    for secret in ("李娜", "139", "0000", "example.com", "坏了", "很急"):
        assert secret not in told


def test_merged_customers_say_where_they_went(hub: Hub, there: Subscriber) -> None:
    subscribe(hub, there, types=["customer.merged"])
    put(hub, LI)
    put(hub, {**LI, "id": "9", "phone": "", "email": "li@example.com"})
    put(hub, {**LI, "id": "9", "email": "li@example.com"})
    serve(hub)
    (told,) = there.take()
    gone, kept = told.about, told.document["data"]["into"]
    assert scalar(hub, "SELECT merged_into FROM customer WHERE id = :id", id=gone) == kept
    assert overview(hub)["waiting"] == 0


def test_requests_are_told_with_whose_they_are(hub: Hub, there: Subscriber) -> None:
    subscribe(hub, there, types=["request.*"])
    put(hub, LI)
    ticket = {"id": "T1", "subject": "坏了", "customer_id": "1", "status": "new"}
    put(hub, ticket, "tickets")
    put(hub, {**ticket, "status": "solved"}, "tickets")
    put(hub, {**ticket, "status": "solved", "unmapped": "x"}, "tickets")
    account(hub, "crm").remove("tickets", "T1")
    pull(hub, "crm", "tickets")
    put(hub, {"id": "O1", "number": "SO1"}, "orders")
    serve(hub)
    created, updated, deleted = there.take()
    owner = scalar(hub, "SELECT id FROM customer")
    assert [got.type for got in (created, updated, deleted)] == [
        "request.created",
        "request.updated",
        "request.deleted",
    ]
    data = created.document["data"]
    assert (data["id"], data["kind"], data["customer_id"]) == ("crm/tickets/T1", "Ticket", owner)
    assert updated.document["data"]["status"] == "solved"
    assert updated.document["data"]["changed"] == ["status"]


def test_what_happened_before_a_subscription_is_not_told(hub: Hub, there: Subscriber) -> None:
    put(hub, LI)
    assert scalar(hub, "SELECT count(*) FROM event WHERE position IS NULL") > 0
    subscribe(hub, there)
    serve(hub)
    put(hub, {**LI, "tier": "VIP"})
    serve(hub)
    assert [got.type for got in there.take()] == ["customer.updated"]


def test_the_first_load_of_a_stream_is_history_and_its_end_is_told(
    hub: Hub, there: Subscriber
) -> None:
    subscribe(hub, there)
    put(hub, LI)
    put(hub, {**LI, "id": "7", "name": "李娜", "phone": "", "email": "li@example.com"})
    serve(hub)
    there.take()
    both = {**LI, "id": "E1", "email": "li@example.com"}  # makes the two of the crm one
    for row in (both, {**WANG, "id": "E2"}):
        account(hub, "erp").put("customers", row)
    pull(hub, "erp", "customers")
    serve(hub)
    told = there.take()
    assert [got.type for got in told] == ["customer.merged", "stream.loaded"]
    assert told[1].about == "erp/customers"
    put(hub, {**WANG, "id": "E2", "tier": "VIP"}, connection="erp")
    serve(hub)
    assert [got.type for got in there.take()] == ["customer.updated"]


def test_what_quarantine_held_is_told_when_it_is_taken_in(
    hub: Hub, there: Subscriber, own_settings: Path
) -> None:
    subscribe(hub, there)
    put(hub, {**LI, "created_at": "one day"})
    put(hub, WANG)
    serve(hub)
    assert [got.type for got in there.take()] == ["customer.created"]
    overlay = own_settings.parent / "overlays" / "crm" / "customers.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text("occurred_at: first_seen_at | utc\n", "utf-8")
    with closing(open_hub(hub.settings)) as mended:
        assert replay_quarantine(mended, "crm") == (1, 0)
    serve(hub)
    assert [got.type for got in there.take()] == ["customer.created"]


@pytest.mark.parametrize("format_", ["cloudevents-binary", "cloudevents-structured"])
def test_cloud_events_are_read_by_the_specifications_own_sdk(
    hub: Hub, there: Subscriber, format_: str
) -> None:
    secret = subscribe(hub, there, format_=format_)
    put(hub, LI)
    serve(hub)
    (got,) = there.take()
    assert got.is_signed_with(secret)
    read = peer.from_http_event(peer.HTTPMessage(got.headers, got.body))
    assert read.get_id() == got.id
    assert read.get_source() == hub.settings.public_url
    assert read.get_type() == "conduit.customer.created"
    assert read.get_specversion() == "1.0"
    assert read.get_time() is not None
    data = read.get_data()
    assert isinstance(data, dict)
    assert read.get_subject() == data["id"] == scalar(hub, "SELECT id FROM customer")
    assert ("ce-id" in got.headers) == (format_ == "cloudevents-binary")


# Trouble


def test_what_fails_is_tried_again_later_and_holds_back_what_follows(
    hub: Hub, there: Subscriber, clock: Callable[[timedelta], None]
) -> None:
    subscribe(hub, there)
    put(hub, LI)
    put(hub, WANG)
    there.answers(500)
    serve(hub)
    first = there.take()
    assert len(first) == 1
    assert one(hub).reason == "it answered 500"
    clock(timedelta(seconds=3))
    serve(hub)
    assert there.take() == []  # the first retry comes after 5 s, give or take a fifth
    clock(timedelta(seconds=4))
    there.answers(302, location="http://127.0.0.1:1/elsewhere")
    serve(hub)
    assert [got.id for got in there.take()] == [first[0].id]
    clock(timedelta(seconds=37))
    serve(hub)
    again, second = there.take()
    assert again.id == first[0].id != second.id
    assert again.body == first[0].body
    assert (one(hub).attempts, one(hub).failing_since, one(hub).reason) == (0, None, "")
    assert open_alerts(hub) == []


@pytest.mark.parametrize(("status", "name"), [(429, "slow down"), (503, "busy")])
def test_retry_after_is_honoured(
    hub: Hub,
    there: Subscriber,
    clock: Callable[[timedelta], None],
    status: int,
    name: str,
) -> None:
    subscribe(hub, there)
    put(hub, LI)
    there.answers(status, retry_after="600")
    serve(hub)
    assert len(there.take()) == 1
    clock(timedelta(seconds=590))
    serve(hub)
    assert there.take() == []
    clock(timedelta(seconds=11))
    serve(hub)
    assert len(there.take()) == 1


def test_one_that_does_not_answer_at_all(
    hub: Hub, there: Subscriber, clock: Callable[[timedelta], None]
) -> None:
    with hub.database.write() as conn:
        url = "http://127.0.0.1:1/secret-path"
        given = {"allow_networks": LOOPBACK}
        subscriptions.add(conn, hub.registry.vault, "gone", url, **given)
    subscribe(hub, there)
    put(hub, LI)
    serve(hub)
    assert "cannot be reached" in one(hub, "gone").reason
    assert "secret-path" not in one(hub, "gone").reason
    assert len(there.take()) == 1  # others are not held up


def test_after_three_days_it_is_disabled_with_one_alert_and_nothing_is_lost(
    hub: Hub, there: Subscriber, clock: Callable[[timedelta], None]
) -> None:
    subscribe(hub, there)
    put(hub, LI)
    there.answers(500, times=100)
    for hour in range(100):
        if hour % 10 == 0:
            put(hub, {**LI, "tier": f"T{hour}"})
        serve(hub)
        clock(timedelta(hours=1))
    assert one(hub).state == "disabled"
    tries = there.take()
    assert len({got.id for got in tries}) == 1
    assert 8 <= len(tries) <= 16
    assert open_alerts(hub) == ["shop"]
    there.plan.clear()
    serve(hub)
    assert there.take() == []
    change(hub, subscriptions.resume)
    assert open_alerts(hub) == []
    serve(hub)
    assert [got.type for got in there.take()] == ["customer.created"] + 10 * ["customer.updated"]
    assert scalar(hub, "SELECT count(*) FROM audit WHERE verb = 'disable'") == 1


def test_failing_counts_anew_after_each_success(
    hub: Hub, there: Subscriber, clock: Callable[[timedelta], None]
) -> None:
    subscribe(hub, there)
    for n in range(8):
        put(hub, {**LI, "tier": f"T{n}"})
        there.answers(500)
        serve(hub)  # fails, two days later gets through, then fails with the next one
        clock(timedelta(days=2))
        there.answers(204)
    assert one(hub).state == "active"
    there.plan.clear()
    serve(hub)
    assert one(hub).attempts == 0


def test_passing_over_what_it_does_not_want_is_no_success(
    hub: Hub, there: Subscriber, clock: Callable[[timedelta], None]
) -> None:
    subscribe(hub, there, types=["customer.created"])
    put(hub, LI)
    there.answers(500, times=2)
    serve(hub)
    since = one(hub).failing_since
    change(hub, subscriptions.seek, leases.now() + timedelta(days=1))
    for n in range(publish.BATCH_MAX + 1):
        with hub.database.write() as conn:
            news.of_first_load(conn, "crm", f"s{n}")
    put(hub, WANG)
    serve(hub)
    assert len(there.take()) == 2
    assert (one(hub).attempts, one(hub).failing_since) == (2, since)


def test_410_disables_at_once(hub: Hub, there: Subscriber) -> None:
    subscribe(hub, there)
    put(hub, LI)
    there.answers(410)
    serve(hub)
    assert (one(hub).state, one(hub).reason) == ("disabled", "it answered 410")
    assert open_alerts(hub) == ["shop"]
    put(hub, WANG)
    serve(hub)
    assert len(there.take()) == 1
    change(hub, subscriptions.resume)
    serve(hub)
    assert [got.type for got in there.take()] == 2 * ["customer.created"]


def test_private_addresses_are_refused_unless_allowed(hub: Hub, there: Subscriber) -> None:
    subscribe(hub, there, allow_networks=())
    put(hub, LI)
    serve(hub)
    assert there.take() == []
    assert "private address" in one(hub).reason
    assert 'allow_networks = ["127.0.0.0/8"]' in one(hub).reason
    there.answers(302, location="http://169.254.169.254/latest/meta-data")
    subscribe(hub, there, "moved")
    put(hub, WANG)
    serve(hub)
    assert "leads elsewhere" in one(hub, "moved").reason


@pytest.mark.parametrize(
    ("url", "networks"),
    [
        ("http://127.0.0.1:8361/hooks/crm", ()),
        ("https://localhost/", ()),
        ("https://[::1]/", ()),
        ("https://[::ffff:10.0.0.1]/", ()),
        ("https://10.1.2.3/", ("192.168.0.0/16",)),
        ("https://169.254.169.254/latest/meta-data", ("10.0.0.0/8",)),
        ("http://93.184.215.14/in-clear", ()),
        ("http://93.184.215.14/in-clear", ("10.0.0.0/8",)),
        ("https://user:secret@93.184.215.14/", ()),
        ("ftp://93.184.215.14/", ()),
        ("file:///etc/passwd", ()),
        ("https:///nowhere", ()),
        ("https://93.184.215.14:99999/", ()),
        ("https://93.184.215.14/", ("not a network",)),
        ("https://" + "a" * 80 + ".example/", ()),
        ("/relative", ()),
        ("", ()),
    ],
)
def test_addresses_nothing_may_be_sent_to(url: str, networks: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        publish.check_address(url, networks)
    assert "secret" not in f"{caught.value}{caught.value.hint}"


def test_addresses_something_may_be_sent_to() -> None:
    publish.check_address("https://93.184.215.14/events?key=1", ())
    publish.check_address("http://127.0.0.1:8000/events", LOOPBACK)
    publish.check_address("https://127.0.0.1/events", LOOPBACK)


# Secrets


def test_both_secrets_sign_for_a_day_after_a_rotation(
    hub: Hub, there: Subscriber, clock: Callable[[timedelta], None]
) -> None:
    old = subscribe(hub, there)
    with hub.database.write() as conn:
        new = subscriptions.rotate(conn, hub.registry.vault, "shop")
    put(hub, LI)
    serve(hub)
    (told,) = there.take()
    assert old != new
    assert told.is_signed_with(old)
    assert told.is_signed_with(new)
    for secret in (old, new):
        assert Webhook(secret).verify(told.body, told.headers)
    clock(timedelta(hours=25))
    put(hub, WANG)
    serve(hub)
    (told,) = there.take()
    assert not told.is_signed_with(old)
    assert told.is_signed_with(new)
    with hub.database.write() as conn:
        newest = subscriptions.rotate(conn, hub.registry.vault, "shop")
    with hub.database.read() as conn:
        assert subscriptions.secrets(conn, hub.registry.vault, "shop") == [newest, new]


def test_secrets_are_never_shown(
    hub: Hub, there: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "hub")
    first = subscribe(hub, there)
    with hub.database.write() as conn:
        second = subscriptions.rotate(conn, hub.registry.vault, "shop")
        url = f"{there.url}?key=t0ken"
        subscriptions.change(conn, "shop", url=url)
    put(hub, LI)
    there.answers(500)
    serve(hub)
    assert there.take()[0].path == "/events?key=t0ken"
    with hub.database.read() as conn:
        sealed = conn.execute(select(table.c.secrets)).scalar_one()
        rows = [str(row) for row in conn.execute(select(event))]
    shown = f"{overview(hub)} {rows} {caplog.text} {one(hub).reason}"
    shown += "".join(str(vars(record)) for record in caplog.records)
    for secret in (first, second, "t0ken"):
        assert secret not in shown
        assert secret.removeprefix("whsec_").encode() not in sealed


def test_secrets_are_encrypted_anew_with_a_new_key(hub: Hub, there: Subscriber) -> None:
    secret = subscribe(hub, there)
    assert rotate_keys(hub.database, hub.registry.vault).is_complete
    with hub.database.read() as conn:
        assert subscriptions.secrets(conn, hub.registry.vault, "shop") == [secret]


# Places


def test_a_paused_one_goes_on_where_it_was(hub: Hub, there: Subscriber) -> None:
    subscribe(hub, there)
    change(hub, subscriptions.pause)
    put(hub, LI)
    put(hub, WANG)
    serve(hub)
    assert there.take() == []
    assert overview(hub)["waiting"] == 2
    change(hub, subscriptions.resume)
    serve(hub)
    assert len(there.take()) == 2


def test_replay_from_an_instant_tells_the_same_again_under_the_same_ids(
    hub: Hub, there: Subscriber, clock: Callable[[timedelta], None]
) -> None:
    subscribe(hub, there)
    put(hub, LI)
    clock(timedelta(minutes=5))
    since = leases.now()
    put(hub, {**LI, "tier": "VIP"})
    put(hub, WANG)
    serve(hub)
    before = there.take()
    assert len(before) == 3
    assert change(hub, subscriptions.seek, since) is None
    serve(hub)
    again = there.take()
    assert [got.id for got in again] == [got.id for got in before[1:]]
    assert [got.body for got in again] == [got.body for got in before[1:]]
    change(hub, subscriptions.seek, datetime(2020, 1, 1, tzinfo=UTC))
    serve(hub)
    assert [got.id for got in there.take()] == [got.id for got in before]
    change(hub, subscriptions.seek, leases.now())
    serve(hub)
    assert there.take() == []


def test_a_replay_asked_for_while_something_is_sent_is_not_forgotten(
    hub: Hub, there: Subscriber
) -> None:
    subscribe(hub, there)
    for n in range(5):
        put(hub, {**LI, "tier": f"T{n}"})

    def go_back(_: object) -> None:
        if len(there.got) == 4:
            change(hub, subscriptions.seek, datetime(2020, 1, 1, tzinfo=UTC))

    there.meanwhile = go_back
    serve(hub)
    told = [got.id for got in there.take()]
    assert told[:4] == told[4:8]
    assert len(told) == 4 + 5


def test_one_that_is_paused_while_something_is_sent_stays_so(hub: Hub, there: Subscriber) -> None:
    subscribe(hub, there)
    put(hub, LI)
    put(hub, WANG)
    there.meanwhile = lambda _: change(hub, subscriptions.pause)
    serve(hub)
    assert len(there.take()) == 1
    assert (one(hub).state, overview(hub)["waiting"]) == ("paused", 1)
    there.meanwhile = lambda _: change(hub, subscriptions.remove)
    change(hub, subscriptions.resume)
    serve(hub)
    assert len(there.take()) == 1
    with hub.database.read() as conn:
        assert subscriptions.every(conn) == []


def test_old_events_go_and_who_lacks_them_is_told(
    hub: Hub, there: Subscriber, clock: Callable[[timedelta], None]
) -> None:
    subscribe(hub, there)
    change(hub, subscriptions.pause)
    for n in range(4):
        put(hub, {**LI, "tier": f"T{n}"})
    publish.number(hub)
    clock(timedelta(days=20))
    put(hub, WANG)
    publish.number(hub)
    clock(timedelta(days=11))
    due.sweep(hub)
    assert scalar(hub, "SELECT count(*) FROM event") == 1
    assert (overview(hub)["waiting"], overview(hub)["lost"]) == (5, 4)
    kept_since = change(hub, subscriptions.seek, datetime(2020, 1, 1, tzinfo=UTC))
    assert kept_since is not None
    clock(timedelta(days=60))
    due.sweep(hub)  # the newest stays, so that places and ids go on from it
    assert scalar(hub, "SELECT max(position) FROM event") == 5
    change(hub, subscriptions.resume)
    put(hub, {**LI, "tier": "VIP"})
    serve(hub)
    assert [got.type for got in there.take()] == ["customer.created", "customer.updated"]
    assert overview(hub)["lost"] == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_commits_late_is_not_passed_over(hub: Hub, there: Subscriber) -> None:
    subscribe(hub, there)
    with hub.database.write() as slow:
        news.of_first_load(slow, "crm", "slow")
        with hub.database.write() as quick:
            news.of_first_load(quick, "crm", "quick")
        serve(hub)
        assert [got.about for got in there.take()] == ["crm/quick"]
    serve(hub)
    assert [got.about for got in there.take()] == ["crm/slow"]
    ids = "SELECT string_agg(subject, ' ' ORDER BY id) FROM event"
    assert scalar(hub, ids) == "crm/slow crm/quick"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_who_give_places_at_once_give_each_one_once(hub: Hub, there: Subscriber) -> None:
    from concurrent.futures import ThreadPoolExecutor

    subscribe(hub, there)

    def write(n: int) -> None:
        with hub.database.write() as conn:
            news.of_first_load(conn, "crm", f"s{n}")
        publish.number(hub)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(60)))
    publish.number(hub)
    with hub.database.read() as conn:
        found = news.after(conn, 0, 100)
    assert [item.position for item in found] == list(range(1, 61))
    assert len({item.subject for item in found}) == 60


WORKER = """
import sys
from hub.pipeline import due, publish
from hub.pipeline.lane import free_dead, leased
from hub.registry import open_hub
from hub.settings import Settings

hub = open_hub(Settings.model_validate_json(sys.argv[1]))
free_dead(hub)  # as the relay does every other second
while names := due.subscriptions(hub):
    for name in names:
        with leased(hub, publish.lease_name(name)) as lane:
            publish.publish(hub, lane, name)
"""


def test_killed_between_sending_and_noting_it_nothing_is_missing(
    hub: Hub, there: Subscriber
) -> None:
    subscribe(hub, there)
    for n in range(9):
        put(hub, {**LI, "tier": f"T{n}"})
    workers: list[subprocess.Popen[bytes]] = []

    def kill(_: object) -> None:
        if len(there.got) in (3, 6):  # it was taken here, and nobody over there will ever know
            os.kill(workers[-1].pid, signal.SIGKILL)

    there.meanwhile = kill
    codes = []
    for _ in range(3):
        told = json.dumps(json.loads(hub.settings.model_dump_json()))
        workers.append(subprocess.Popen([sys.executable, "-c", WORKER, told], cwd=ROOT))
        codes.append(workers[-1].wait(60))
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    told_ids = [got.id for got in there.take()]
    assert told_ids[2] == told_ids[3]
    assert told_ids[5] == told_ids[6]
    with hub.database.read() as conn:
        assert list(dict.fromkeys(told_ids)) == [item.name for item in news.after(conn, 0, 99)]
    assert len(told_ids) == 9 + 2


def test_a_test_event_is_signed_and_moves_nothing(hub: Hub, there: Subscriber) -> None:
    secret = subscribe(hub, there)
    change(hub, subscriptions.pause)
    put(hub, LI)
    assert publish.probe(hub, "shop") is None
    (told,) = there.take()
    assert told.type == "subscription.test"
    assert Webhook(secret).verify(told.body, told.headers)
    there.answers(404)
    assert publish.probe(hub, "shop") == publish.Failure("it answered 404")
    assert one(hub).cursor == 0


def test_unknown_names_and_types_are_refused(hub: Hub, there: Subscriber) -> None:
    subscribe(hub, there)
    for name, types in (("shop", ()), ("No name", ()), ("", ()), ("x", ["customer.vanished"])):
        with pytest.raises(ConfigError):
            subscribe(hub, there, name, types=types)
    with hub.database.read() as conn, pytest.raises(ConfigError):
        subscriptions.named(conn, "nobody")


def test_receivers_that_hang_never_have_more_than_half_of_the_threads(
    open_with: Callable[..., Hub], there: Subscriber
) -> None:
    hub = open_with({"crm": demo()}, worker_threads=4)
    pull(hub, "crm")
    for n in range(5):
        subscribe(hub, there, f"s{n}")
    put(hub, LI)
    assert len(due.subscriptions(hub)) == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_running_installation_tells_by_itself(
    database_url: str, there: Subscriber, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.jsonl"
    crm = {"adapter": "demo", "account": "running", "ledger_path": str(ledger), "every_s": 1}
    with installed(tmp_path, database_url, connections={"crm": crm}) as running:
        told = running.run("subscriptions", "add", "shop", there.url, "--allow-networks", *LOOPBACK)
        running.start_up()
        wait_until("four streams are loaded", lambda: len(there.got) == 4)
        demo_account("running", ledger).put("customers", LI)
        wait_until("a customer is told", lambda: len(there.got) == 5)
        running.stop("up")
    assert {got.type for got in there.got[:4]} == {"stream.loaded"}
    assert there.got[4].type == "customer.created"
    assert Webhook(told.strip()).verify(there.got[4].body, there.got[4].headers)
