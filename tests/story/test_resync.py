"""A part of a stream read once more, beside the live pull."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from hub.cli import cli
from hub.errors import ConfigError, CursorExpiredError, RetryableError
from hub.pipeline import due, jobs, resync
from hub.pipeline.lane import leased
from hub.pipeline.resync import Part
from hub.registry import Hub
from hub.settings import settings
from hub.store import checkpoints, leases, schema
from hub.store import jobs as store
from hub.store.jobs import Job
from tests.story.helpers import account, demo, pull, scalar
from tests.story.shelf.server import BEGIN, Shelf, answering, registered

Open = Callable[..., Hub]


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    found = Shelf()
    with registered(tmp_path / "packages"), answering(found):
        yield found


@pytest.fixture
def hub(open_with: Open, shelf: Shelf) -> Hub:
    """Fifty people, pulled."""
    hub = open_with({"shelf": {"adapter": "shelf", "page_size": 10}})
    for n in range(50):
        shelf.put("people", f"P{n:02d}", at=BEGIN + timedelta(days=n))
    shelf.wait(50 * 86400)
    pull(hub, "shelf", "people")
    shelf.asked.clear()
    return hub


def begin(hub: Hub, connection: str = "shelf", stream: str = "people", **part: Any) -> int:
    return resync.begin(hub, connection, stream, Part(**part), actor="test")


def work(hub: Hub, id_: int, *, slices: int = 100) -> Job:
    """Run slices of a job until it ended; each but the last is as short as can be."""
    for n in range(slices):
        with leased_job(hub, id_) as lane:
            assert lane is not None
            if n < slices - 1:
                lane.ends_at = 0
            if jobs.run(hub, lane, id_):
                break
    return job(hub, id_)


def leased_job(hub: Hub, id_: int) -> Any:
    """Its lease, also when it rests after a failure."""
    with hub.database.write() as conn:
        leases.ensure(conn, [jobs.lease_name(id_)])
        conn.execute(schema.lease.update().values(until=schema.EPOCH))
    return leased(hub, jobs.lease_name(id_))


def job(hub: Hub, id_: int) -> Job:
    with hub.database.read() as conn:
        found = store.get(conn, id_)
    assert found is not None
    return found


def lose(hub: Hub, *ids: str) -> None:
    """The hub loses rows, as if they had never been seen."""
    with hub.database.write() as conn:
        for id_ in ids:
            conn.execute(text("DELETE FROM raw WHERE ref = :ref"), {"ref": f"shelf/people/{id_}"})


def has(hub: Hub, *ids: str) -> list[bool]:
    with hub.database.read() as conn:
        refs = set(conn.execute(text("SELECT ref FROM raw WHERE deleted_at IS NULL")).scalars())
    return [f"shelf/people/{id_}" in refs for id_ in ids]


def test_a_resync_does_not_disturb_the_live_cursor(hub: Hub, shelf: Shelf) -> None:
    lose(hub, "P07")
    with hub.database.read() as conn:
        before = checkpoints.get(conn, "shelf", "people")
    done = work(hub, begin(hub))
    with hub.database.read() as conn:
        assert checkpoints.get(conn, "shelf", "people") == before
    assert (done.state, done.done) == ("done", 50)
    assert has(hub, "P07") == [True]
    assert scalar(hub, "SELECT count(*) FROM history") == 0, "what did not change costs nothing"


def test_a_killed_resync_goes_on_from_its_row(hub: Hub, shelf: Shelf) -> None:
    """Killed while each of its pages is under way, it asks again for that page alone."""
    id_ = begin(hub)
    killed = 0

    def die() -> None:
        raise KeyboardInterrupt

    while job(hub, id_).state == "open":
        before = job(hub, id_)
        shelf.before_answer = die
        with pytest.raises(KeyboardInterrupt):
            work(hub, id_, slices=1)
        assert job(hub, id_) == before
        killed += 1
        shelf.before_answer = lambda: None
        with leased_job(hub, id_) as lane:
            lane.ends_at = 0  # a slice of one page
            jobs.run(hub, lane, id_)
    assert killed == 6, "five pages, and the look that finds no more"
    assert job(hub, id_).done == 50


def test_by_time_only_rows_of_that_time_are_taken(hub: Hub, shelf: Shelf) -> None:
    lose(hub, "P05", "P20", "P40")
    since, until = BEGIN + timedelta(days=10), BEGIN + timedelta(days=30)
    assert work(hub, begin(hub, since=since, until=until)).state == "done"
    assert has(hub, "P05", "P20", "P40") == [False, True, False]


def test_by_ids_only_those_are_asked_for_and_who_is_gone_is_gone(hub: Hub, shelf: Shelf) -> None:
    lose(hub, "P05", "P20", "P40")
    done = work(hub, begin(hub, ids=("P05", "P40", "P99")))
    assert (done.state, done.done, done.total) == ("done", 3, 3)
    assert has(hub, "P05", "P20", "P40", "P99") == [True, False, True, False]
    assert sorted(path for path, _ in shelf.asked) == ["/people/P05", "/people/P40", "/people/P99"]
    assert scalar(hub, "SELECT count(*) FROM raw WHERE deleted_at IS NOT NULL") == 1


def test_by_ids_what_came_before_a_failure_is_kept(
    hub: Hub, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(hub, "P05", "P40")
    id_ = begin(hub, ids=("P05", "P40"))

    def refuse_the_second() -> None:
        if len(shelf.asked) == 2:
            shelf.troubles.append((503, {"Retry-After": "600"}))

    shelf.before_answer = refuse_the_second
    with pytest.raises(RetryableError):
        work(hub, id_, slices=1)
    assert has(hub, "P05", "P40") == [True, False]
    assert id_ not in due.jobs(hub), "it goes on when the vendor said"
    later = leases.now() + timedelta(seconds=601)
    monkeypatch.setattr(leases, "now", lambda: later)
    assert id_ in due.jobs(hub)
    assert work(hub, id_).state == "done"
    assert [path for path, _ in shelf.asked] == ["/people/P05", "/people/P40", "/people/P40"]


def test_what_changed_is_news(open_with: Open) -> None:
    rule = {
        "id": "tell",
        "when": "Ticket changed",
        "then": {"write": "desk/messages", "fields": {"text": "{subject}"}},
    }
    hub = open_with({"crm": demo(sample=5), "desk": demo()}, [rule])
    pull(hub, "crm")
    account(hub, "crm").put("tickets", {"id": "T0003", "subject": "changed"})
    assert work(hub, begin(hub, "crm", "tickets", ids=("T0003",))).state == "done"
    assert scalar(hub, "SELECT count(*) FROM delivery") == 1


def test_before_the_first_load_is_complete_nothing_is_news(open_with: Open) -> None:
    rule = {
        "id": "tell",
        "when": "Ticket created",
        "then": {"write": "desk/messages", "fields": {"text": "{subject}"}},
    }
    hub = open_with({"crm": demo(sample=5), "desk": demo()}, [rule])
    assert work(hub, begin(hub, "crm", "tickets")).state == "done"
    assert scalar(hub, "SELECT count(*) FROM record") == 5
    assert scalar(hub, "SELECT count(*) FROM delivery") == 0


def test_its_own_cursor_may_expire(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=9, page_size=3)})
    id_ = begin(hub, "crm", "orders")
    with leased_job(hub, id_) as lane:
        lane.ends_at = 0
        assert not jobs.run(hub, lane, id_)
    account(hub, "crm").plan("pull", CursorExpiredError("gone"))
    assert work(hub, id_).state == "done"
    assert scalar(hub, "SELECT count(*) FROM record") == 9


@pytest.mark.parametrize(
    ("stream", "part"),
    [
        ("nothing", {}),
        ("people", {"where": "name=x"}),
        ("people", {"ids": ("P01",), "since": datetime(2026, 1, 1, tzinfo=UTC)}),
    ],
)
def test_what_cannot_be_read_is_refused_at_once(
    hub: Hub, stream: str, part: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        begin(hub, "shelf", stream, **part)
    assert scalar(hub, "SELECT count(*) FROM job") == 0


def test_the_same_asked_twice_is_one_job(hub: Hub) -> None:
    assert begin(hub, ids=("P01",)) == begin(hub, ids=("P01", "P01"))
    assert begin(hub) != begin(hub, ids=("P01",))


def test_a_cancelled_job_does_no_more(hub: Hub, shelf: Shelf) -> None:
    id_ = begin(hub)
    with hub.database.write() as conn:
        store.end(conn, id_, store.CANCELLED)
    assert work(hub, id_).state == "cancelled"
    assert shelf.asked == []


# The command line


@pytest.fixture
def run(own_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    own_settings.write_text('[connections.crm]\nadapter = "demo"\nsample = 5\n')

    def invoke(*arguments: str) -> str:
        settings.cache_clear()
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
        return done.output

    invoke("apply")
    return invoke


def test_asked_for_seen_and_cancelled_at_the_command_line(run: Callable[..., str]) -> None:
    assert '"job": 1' in run("resync", "crm", "tickets", "--since", "2026-03-01", "--json")
    run("resync", "crm", "tickets", "--ids", "T0001, T0002")
    assert "resync" in run("jobs", "list", "--state", "open")
    told = run("jobs", "show", "1", "--json")
    assert "2026-03-01T00:00:00+08:00" in told, "a day is one of the installation's time zone"
    assert "1 jobs cancelled" in run("jobs", "cancel", "1", "77")
    assert '"state": "cancelled"' in run("jobs", "show", "1", "--json")
