"""A vendor is called as often as it bears, by all processes together, and first for who waits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hub.cli import cli
from hub.errors import ConfigError, RetryableError
from hub.pipeline import jobs, resync
from hub.pipeline.lane import leased
from hub.pipeline.resync import Part
from hub.registry import Hub
from hub.sdk import urgent
from hub.settings import settings
from hub.store import budget, checkpoints, leases
from hub.store.budget import RATE_MIN, Budget, Limits, Spending
from hub.store.db import Database
from tests.story.helpers import pull, scalar
from tests.story.shelf.server import Shelf, answering, registered

Open = Callable[..., Hub]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Clock:
    """Stands until somebody sleeps or waits."""

    def __init__(self) -> None:
        self.now = NOON

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def since(self, at: datetime) -> float:
        return (self.now - at).total_seconds()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(leases, "now", lambda: found.now)
    monkeypatch.setattr(time, "sleep", found.wait)
    return found


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    yield found
    found.close()


def stored(database: Database) -> Spending | None:
    with database.read() as conn:
        return budget.every(conn).get("crm")


def call(pace: Budget, *, status: int = 200, retry_after_s: float | None = None) -> None:
    pace.before()
    pace.after(status, retry_after_s)


# One process and many


@pytest.mark.parametrize("per_s", [0.5, 4, 50])
def test_all_processes_together_keep_to_the_rate(
    database: Database, clock: Clock, per_s: float
) -> None:
    paces = [Budget(database, "crm", Limits(per_s=per_s)) for _ in range(3)]
    made: list[datetime] = []
    while len(made) < 12 * max(per_s, 1):
        for pace in paces:
            for _ in range(max(1, int(per_s))):
                pace.before()
                made.append(clock.now)
    took_s = clock.since(NOON)
    assert len(made) <= took_s * per_s + per_s + 3
    assert len(made) >= took_s * per_s * 0.9, "and come near it"


def test_a_long_wait_is_not_sat_out(database: Database, clock: Clock) -> None:
    pace = Budget(database, "crm", Limits(per_s=0.1))
    pace.before()
    with pytest.raises(RetryableError) as caught:
        pace.before()
    assert caught.value.retry_after_s == pytest.approx(10)
    assert clock.now == NOON


def test_without_limits_and_429_nothing_is_written(database: Database, clock: Clock) -> None:
    pace = Budget(database, "crm", Limits())
    for _ in range(300):
        call(pace)
        clock.wait(0.5)
    call(pace, status=503)
    call(pace, status=404)
    assert stored(database) is None


def test_when_the_vendor_wants_rest_every_process_rests(database: Database, clock: Clock) -> None:
    one, other = (Budget(database, "crm", Limits()) for _ in range(2))
    call(other)
    call(one, status=429, retry_after_s=120)
    clock.wait(1)
    for pace in (one, other):
        with pytest.raises(RetryableError) as caught:
            pace.before()
        assert caught.value.retry_after_s == pytest.approx(119)
    clock.wait(119)
    call(other)


def test_nobody_rests_longer_than_an_hour_at_a_vendors_word(
    database: Database, clock: Clock
) -> None:
    pace = Budget(database, "crm", Limits())
    call(pace, status=503, retry_after_s=86400)
    clock.wait(3601)
    call(pace)


def window(database: Database, clock: Clock, pace: Budget, *, bad: int, good: int) -> float:
    """Calls of one window, and the rate after it."""
    began = clock.now
    for n in range(bad + good):
        try:
            call(pace, status=429 if n < bad else 200, retry_after_s=0 if n < bad else None)
        except RetryableError as exc:
            clock.wait(exc.retry_after_s or 0)
    clock.wait(max(0.0, 61 - clock.since(began)))
    call(pace)
    found = stored(database)
    assert found is not None
    return found.rate or 0.0


def test_too_many_429_make_calls_rarer_and_quiet_lets_them_return(
    database: Database, clock: Clock
) -> None:
    pace = Budget(database, "crm", Limits(per_s=10))
    assert window(database, clock, pace, bad=3, good=17) == pytest.approx(7)
    assert window(database, clock, pace, bad=3, good=17) == pytest.approx(4.9)
    assert window(database, clock, pace, bad=0, good=20) == pytest.approx(4.9)
    assert window(database, clock, pace, bad=1, good=20) == pytest.approx(5.39)
    for _ in range(7):
        rate = window(database, clock, pace, bad=0, good=20)
    assert rate == 0, "as set again, never above"


def test_without_a_rate_it_starts_from_what_was_seen(database: Database, clock: Clock) -> None:
    pace = Budget(database, "crm", Limits())
    for _ in range(60):
        call(pace)
    rate = window(database, clock, pace, bad=30, good=30)
    assert rate == pytest.approx(120 / 60 * 0.7, rel=0.1)


def test_however_often_it_refuses_it_is_tried_now_and_then(
    database: Database, clock: Clock
) -> None:
    pace = Budget(database, "crm", Limits())
    for _ in range(30):
        rate = window(database, clock, pace, bad=5, good=0)
    assert rate == pytest.approx(RATE_MIN)


# A day's budget


def spend(pace: Budget) -> int:
    """How many calls are allowed until one is not."""
    for n in range(10_000):
        try:
            call(pace)
        except RetryableError:
            return n
    raise AssertionError("no end")


def test_the_last_fifth_of_a_day_is_for_who_waits(database: Database, clock: Clock) -> None:
    pace = Budget(database, "crm", Limits(per_day=1000))
    assert spend(pace) == 800
    with pytest.raises(RetryableError, match="open requests") as caught:
        pace.before()
    assert caught.value.retry_after_s == pytest.approx(12 * 3600)
    with urgent():
        assert spend(pace) == 200
    clock.wait(12 * 3600)
    assert spend(pace) == 800


def test_what_a_process_took_and_did_not_use_is_given_back(
    database: Database, clock: Clock
) -> None:
    pace = Budget(database, "crm", Limits(per_s=50, per_day=5000))
    for _ in range(100):
        call(pace)
        clock.wait(1.5)
    found = stored(database)
    assert found is not None
    assert found.spent <= 100 + 50


def test_when_the_database_cannot_tell_nothing_is_called(
    database_url: str, tmp_path: Path, clock: Clock
) -> None:
    pace = Budget(Database(f"sqlite:///{tmp_path}/empty.db"), "crm", Limits(per_s=5))
    with pytest.raises(RetryableError):
        pace.before()
    pace.after(429, None)  # an answer stays an answer


# The whole way


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    found = Shelf()
    with registered(tmp_path / "packages"), answering(found):
        yield found


def persist(hub: Hub, clock: Clock, stream: str) -> None:
    """Pull to the end, as often as it takes, each time when it is due."""
    for _ in range(500):
        try:
            pull(hub, "shelf", stream)
        except RetryableError:
            with hub.database.read() as conn:
                due_at = checkpoints.get(conn, "shelf", stream)["due_at"]
            clock.wait(max((due_at - clock.now).total_seconds(), 3))
        else:
            return
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("headers", [{"Retry-After": "30"}, {}], ids=["with", "without"])
def test_429_storms_with_and_without_retry_after(
    open_with: Open, shelf: Shelf, clock: Clock, headers: dict[str, str]
) -> None:
    """A vendor that bears 12 calls a minute: every row comes, and few calls are in vain."""
    hub = open_with({"shelf": {"adapter": "shelf", "page_size": 2}})
    for n in range(160):
        shelf.put("people", f"P{n:03d}")
    calls: list[datetime] = []
    refused: list[datetime] = []

    def count() -> None:
        clock.wait(0.2)
        recent = [at for at in calls if clock.since(at) < 60]
        if len(recent) >= 12:
            shelf.troubles.append((429, headers))
            refused.append(clock.now)
        else:
            calls.append(clock.now)

    shelf.before_answer = count
    persist(hub, clock, "people")
    assert scalar(hub, "SELECT count(*) FROM raw") == 160
    assert len(refused) < len(calls) * 0.3, f"{len(refused)} in vain beside {len(calls)}"
    assert clock.since(NOON) < 60 * len(calls) / 12 * 1.5, "and hardly later than it bears"


def test_the_daily_budget_is_kept_for_open_requests(
    open_with: Open, shelf: Shelf, clock: Clock
) -> None:
    limits = {"requests_per_day": 20}
    hub = open_with({"shelf": {"adapter": "shelf", "page_size": 100, **limits}})
    for n in range(20):
        shelf.put("people", f"P{n:02d}")
    shelf.put("cases", "C1", person="P13", status="open")
    shelf.put("cases", "C2", person="P07", status="closed")
    pull(hub, "shelf", "people", "cases")
    while len(shelf.asked) < 16:
        pull(hub, "shelf", "people")
    with pytest.raises(RetryableError, match="open requests"):
        pull(hub, "shelf", "people")
    assert len(shelf.asked) == 16
    for id_ in ("P07", "P13"):
        shelf.put("people", id_, name="changed")
    id_ = resync.begin(hub, "shelf", "people", Part(ids=("P07", "P13")), actor="test")
    with hub.database.write() as conn:
        leases.ensure(conn, [jobs.lease_name(id_)])
    with leased(hub, jobs.lease_name(id_)) as lane:
        assert lane
        with pytest.raises(RetryableError):
            jobs.run(hub, lane, id_)
    assert [path for path, _ in shelf.asked[16:]] == ["/people/P13"], "whose case is open"
    assert scalar(hub, "SELECT count(*) FROM history") == 1


@pytest.mark.parametrize("given", [{"requests_per_s": 0}, {"requests_per_day": "many"}])
def test_a_limit_that_is_none_is_refused(open_with: Open, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        open_with({"crm": {"adapter": "demo", **given}})


def test_status_and_doctor_tell_of_it(
    own_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path / "state"))
    own_settings.write_text(
        '[connections.crm]\nadapter = "demo"\nrequests_per_s = 2\nrequests_per_day = 10\n'
    )

    def run(*arguments: str) -> Any:
        settings.cache_clear()
        done = CliRunner().invoke(cli, arguments)
        return json.loads(done.output) if "--json" in arguments else done

    run("apply")
    database = Database(f"sqlite:///{tmp_path}/state/hub.db")
    spend(Budget(database, "crm", Limits(per_day=10)))
    database.close()
    [row] = run("status", "--json")["budgets"]
    assert (row["calls_per_s"], row["spent_today"], row["per_day"]) == (2, 8, 10)
    assert {"what": "crm: 2 of today's 10 calls are left", "ok": False} in [
        {"what": found["what"], "ok": found["ok"]} for found in run("doctor", "--json")
    ]
