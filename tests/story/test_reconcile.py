"""What a source has and the hub lacks is found and mended; what is certified is true."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import event, text

from adapters.demo.account import Account
from adapters.demo.account import account as demo_account
from adapters.demo.adapter import DemoAdapter
from hub.errors import LeaseLostError, RejectedError, RetryableError
from hub.pipeline import due, jobs
from hub.pipeline.lane import Lane, leased
from hub.registry import Hub
from hub.sdk import Adapter, Page, RecordRef, Sighting, Stream, Survey, Tally, Window, tally_digest
from hub.settings import settings
from hub.store import alerts, certificates, checkpoints, leases
from hub.store import jobs as store_jobs
from hub.store.certificates import Certificate, StreamState
from tests.story.helpers import account, demo, pull, reconcile, scalar
from tests.story.test_cli import Cli

Open = Callable[..., Hub]
DAYS = 24 * 3600


def filled(hub: Hub, n: int = 30) -> Account:
    """An account with this many customers, all of them in the hub."""
    vendor = account(hub, "crm")
    vendor.fill(("customers", customer(n)) for n in range(n))
    pull(hub, "crm", "customers")
    return vendor


def customer(n: int) -> dict[str, str]:
    day = date(2026, 1, 1) + timedelta(days=n % 5)
    return {"id": f"C{n:03d}", "name": f"客户{n}", "created_at": f"{day}T08:00:00Z"}


def as_(hub: Hub, class_: type[DemoAdapter]) -> None:
    """From here on the vendor offers only what this adapter does."""
    live = hub.registry.get("crm")
    live.__dict__["adapter"] = class_(live.adapter.config)


def unseen(hub: Hub) -> None:
    """The pull is behind whatever comes now: its search lags, its webhook was lost."""
    with hub.database.write() as conn:
        checkpoints.advance(conn, "crm", "customers", "999999999999:", 0)


def start(hub: Hub, **argument: Any) -> int:
    with hub.database.write() as conn:
        id_ = store_jobs.add(conn, "reconcile", "crm", "customers", argument)
        leases.ensure(conn, [jobs.lease_name(id_)])
    return id_


def run(hub: Hub, id_: int) -> bool:
    with leased(hub, jobs.lease_name(id_)) as lane:
        assert lane is not None
        return jobs.run(hub, lane, id_)


def reconciled(hub: Hub, **argument: Any) -> Certificate:
    return reconcile(hub, "crm", "customers", **argument)


def newest(hub: Hub) -> Certificate:
    with hub.database.read() as conn:
        return certificates.newest(conn)["crm", "customers"]


def state(hub: Hub) -> StreamState:
    with hub.database.read() as conn:
        return next(s for s in certificates.streams(conn) if s.stream == "customers")


def figures(found: Certificate) -> tuple[int, int, int, int, int, int, bool]:
    """source, hub, missing, stale, extra, repaired, complete."""
    counts = (found.source_count, found.hub_count, found.missing, found.stale, found.extra)
    return (*counts, found.repaired, found.complete)


def alive(hub: Hub) -> set[str]:
    with hub.database.read() as conn:
        rows = conn.execute(text("SELECT ref FROM raw WHERE deleted_at IS NULL")).scalars()
        return {ref.rpartition("/")[2] for ref in rows}


def name(hub: Hub, id_: str) -> str:
    sql = "SELECT document FROM record WHERE ref = :ref"
    return str(json.loads(scalar(hub, sql, ref=f"crm/customers/{id_}"))["name"])


@pytest.fixture
def hub(open_with: Open) -> Hub:
    return open_with({"crm": demo(page_size=7)})


# Other vendors: what the demo vendor would be with fewer verbs


class Scanned(DemoAdapter):
    """It can only be read from beginning to end."""

    survey = Adapter.survey
    fetch = Adapter.fetch


class Unfetched(DemoAdapter):
    """It tells what exists, but gives no single record."""

    fetch = Adapter.fetch


class Counted(DemoAdapter):
    """It counts by day and gives the records of a day."""

    survey = Adapter.survey
    fetch = Adapter.fetch
    read: list[date]

    def tally(self, stream: Stream) -> Iterator[Tally]:
        days = defaultdict(list)
        for version, id_, row in self.account.changes(stream.name):
            if row is not None:
                day = datetime.fromisoformat(row["created_at"]).date()
                days[day].append(Sighting(id_, version))
        for day, rows in days.items():
            yield Tally(day, len(rows), tally_digest(rows))

    def history(self, stream: Stream, window: Window, cursor: str | None) -> Iterator[Page]:
        self.__dict__.setdefault("read", []).append(window.since and window.since.date())
        for page in self.pull(stream, cursor):
            rows = [
                row
                for row in page.records
                if window.since <= datetime.fromisoformat(row["created_at"]) < window.until
            ]
            yield Page(rows, page.cursor)


# What is found


def test_nothing_to_mend_is_certified(hub: Hub) -> None:
    filled(hub)
    assert figures(reconciled(hub)) == (30, 30, 0, 0, 0, 0, True)
    assert state(hub).status == "green"


def test_a_lost_webhook_is_found_and_fetched(hub: Hub) -> None:
    vendor = filled(hub)
    unseen(hub)
    vendor.put("customers", {"id": "C003", "name": "新名"})
    assert figures(reconciled(hub)) == (30, 30, 0, 0, 0, 1, True)
    assert name(hub, "C003") == "新名"


def test_a_row_missed_by_a_lagging_search_is_found(hub: Hub) -> None:
    vendor = filled(hub)
    unseen(hub)
    vendor.put("customers", {"id": "C100", "name": "迟到"})
    pull(hub, "crm", "customers")
    assert "C100" not in alive(hub)
    found = reconciled(hub)
    assert figures(found) == (31, 31, 0, 0, 0, 1, True)
    assert found.method == "survey"
    assert name(hub, "C100") == "迟到"


def test_a_deleted_row_is_found_by_a_completed_survey_only(hub: Hub) -> None:
    vendor = filled(hub)
    unseen(hub)
    vendor.remove("customers", "C003")
    found = reconciled(hub)
    assert figures(found) == (29, 29, 0, 0, 0, 1, True)
    assert "C003" not in alive(hub)


def test_a_row_deleted_in_the_hub_alone_comes_back(hub: Hub) -> None:
    filled(hub)
    with hub.database.write() as conn:
        gone = {"at": 1, "ref": "crm/customers/C003"}
        conn.execute(text("UPDATE raw SET deleted_at = :at WHERE ref = :ref"), gone)
    assert figures(reconciled(hub)) == (30, 30, 0, 0, 0, 1, True)
    assert "C003" in alive(hub)


# What must not be deleted


class Breaking(DemoAdapter):
    """Its survey ends in the middle, once in an error and once as if that were all."""

    fetch = Adapter.fetch
    broke = 0

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        for n, page in enumerate(super().survey(stream, cursor)):
            if n == 2 and self.broke < 2:
                self.broke += 1
                if self.broke == 1:
                    raise RetryableError("gone away")
                return
            yield page


def test_a_survey_that_breaks_off_deletes_nothing(hub: Hub) -> None:
    vendor = filled(hub, 40)
    as_(hub, Breaking)
    unseen(hub)
    vendor.remove("customers", "C003")
    id_ = start(hub)
    for fault in ("gone away", "broke off"):
        with pytest.raises(RetryableError, match=fault):
            run(hub, id_)
        assert "C003" in alive(hub)
        assert (state(hub).status, state(hub).certificate) == ("red", None)
        hasten(hub)
    assert run(hub, id_)
    assert figures(newest(hub)) == (39, 39, 0, 0, 0, 1, True)
    assert state(hub).status == "green"


def hasten(hub: Hub) -> None:
    free(hub)
    with hub.database.write() as conn:
        conn.execute(text("UPDATE job SET due_at = 0"))


@pytest.mark.parametrize("class_", [DemoAdapter, Unfetched, Scanned])
def test_a_count_drop_deletes_nothing_and_alarms(hub: Hub, class_: type[DemoAdapter]) -> None:
    vendor = filled(hub, 100)
    as_(hub, class_)
    for n in range(50):
        vendor.remove("customers", f"C{n:03d}")
    if class_ is Scanned:
        forget_deletions(vendor)
    found = reconciled(hub)
    assert figures(found) == (50, 100, 0, 0, 50, 0, False)
    assert len(alive(hub)) == 100
    assert alarms(hub) == ["count-drop"]
    assert state(hub).status == "red"
    assert figures(reconciled(hub, accept_drop=True)) == (50, 50, 0, 0, 0, 50, True)
    assert alarms(hub) == []
    assert state(hub).status == "green"


def alarms(hub: Hub) -> list[str]:
    with hub.database.read() as conn:
        return [row["kind"] for row in alerts.every(conn)]


def forget_deletions(vendor: Account) -> None:
    """A vendor that tells nobody of what it deleted."""
    vendor._gone.clear()


class Busy(DemoAdapter):
    """While it is surveyed, its people and the hub's pull go on."""

    hub: Hub

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        for n, page in enumerate(super().survey(stream, cursor)):
            if n == 1:
                self.account.put("customers", {"id": "A-new", "name": "新来"})
                self.account.put("customers", {"id": "C000", "name": "新名"})
                self.account.remove("customers", "C001")
                pull(self.hub, "crm", "customers")
            yield page


def test_a_row_created_during_the_survey_is_not_extra(hub: Hub) -> None:
    filled(hub)
    Busy.hub = hub
    as_(hub, Busy)
    assert figures(reconciled(hub)) == (30, 30, 0, 0, 0, 0, True)
    assert {"A-new", "C000"} <= alive(hub)
    assert "C001" not in alive(hub)


class Lagging(DemoAdapter):
    """Its list of what exists does not show the newest rows yet."""

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        for page in super().survey(stream, cursor):
            yield Survey([s for s in page.sightings if s.id < "C025"], page.cursor)


def test_what_a_survey_does_not_show_is_asked_for_before_it_is_deleted(hub: Hub) -> None:
    filled(hub)
    as_(hub, Lagging)
    assert figures(reconciled(hub)) == (30, 30, 0, 0, 0, 0, True)


class Mailbox(DemoAdapter):
    """Things are moved away from it, and not lost by that."""

    streams = (Stream("customers", whole=False),)
    fetch = Adapter.fetch


def test_what_was_moved_away_from_a_mailbox_is_kept(hub: Hub) -> None:
    vendor = filled(hub)
    hub.registry.get("crm").__dict__["streams"] = {"customers": Mailbox.streams[0]}
    as_(hub, Mailbox)
    unseen(hub)
    vendor.remove("customers", "C003")
    found = reconciled(hub)
    assert figures(found) == (29, 30, 0, 0, 0, 0, True)
    assert found.note == "records the source no longer shows are kept"
    assert "C003" in alive(hub)


# Where less is offered


def test_a_scan_certifies_where_there_is_no_survey(hub: Hub) -> None:
    vendor = filled(hub, 40)
    as_(hub, Scanned)
    unseen(hub)
    vendor.put("customers", {"id": "C003", "name": "新名"})
    vendor.put("customers", {"id": "C100", "name": "迟到"})
    vendor.remove("customers", "C005")
    forget_deletions(vendor)
    found = reconciled(hub)
    assert figures(found) == (40, 40, 0, 0, 0, 3, True)
    assert found.method == "scan"
    assert name(hub, "C003") == "新名"
    assert alive(hub) >= {"C100"}
    assert "C005" not in alive(hub)
    with hub.database.read() as conn:
        assert checkpoints.get(conn, "crm", "customers")["cursor"] == "999999999999:"


def test_a_survey_without_fetch_is_mended_by_a_scan(hub: Hub) -> None:
    vendor = filled(hub)
    as_(hub, Unfetched)
    unseen(hub)
    vendor.put("customers", {"id": "C003", "name": "新名"})
    found = reconciled(hub)
    assert figures(found) == (30, 30, 0, 0, 0, 1, True)
    assert found.method == "scan"
    assert reconciled(hub).method == "survey"


def test_tallies_find_the_day(hub: Hub) -> None:
    vendor = filled(hub, 40)
    as_(hub, Counted)
    unseen(hub)
    vendor.put("customers", {**customer(41), "id": "C041"})
    vendor.put("customers", {"id": "C003", "name": "新名"})
    vendor.remove("customers", "C009")
    forget_deletions(vendor)
    found = reconciled(hub)
    assert figures(found) == (40, 40, 0, 0, 0, 3, True)
    assert found.method == "tally"
    assert hub.registry.get("crm").adapter.read == [
        date(2026, 1, 2),
        date(2026, 1, 4),
        date(2026, 1, 5),
    ]
    assert name(hub, "C003") == "新名"
    assert "C009" not in alive(hub)


def test_equal_tallies_read_nothing_again(hub: Hub) -> None:
    filled(hub, 40)
    as_(hub, Counted)
    assert figures(reconciled(hub)) == (40, 40, 0, 0, 0, 0, True)
    assert "read" not in hub.registry.get("crm").adapter.__dict__


def test_a_vendor_that_stops_answering_loses_nothing_that_came(hub: Hub) -> None:
    vendor = filled(hub)
    unseen(hub)
    for n in range(4):
        vendor.put("customers", {"id": f"C00{n}", "name": "新名"})
    vendor.plan("fetch", RetryableError("busy"))
    id_ = start(hub)
    with pytest.raises(RetryableError):
        run(hub, id_)
    as_(hub, Noting)
    Noting.stops_at = "C002"
    hasten(hub)
    with pytest.raises(RetryableError):
        run(hub, id_)
    assert [name(hub, f"C00{n}") for n in range(4)] == ["新名", "新名", "客户2", "客户3"]
    Noting.stops_at = ""
    hasten(hub)
    assert run(hub, id_)
    assert figures(newest(hub)) == (30, 30, 0, 0, 0, 4, True)
    assert hub.registry.get("crm").adapter.asked == ["C000", "C001", "C002", "C002", "C002", "C003"]


def test_a_record_the_vendor_refuses_to_give_stays_a_gap(hub: Hub) -> None:
    vendor = filled(hub)
    unseen(hub)
    for id_ in ("C003", "C007"):
        vendor.put("customers", {"id": id_, "name": "新名"})
    vendor.plan("fetch", RejectedError("not for you"))
    assert figures(reconciled(hub)) == (30, 30, 0, 1, 0, 1, False)
    assert figures(reconciled(hub)) == (30, 30, 0, 0, 0, 1, True)


# What cannot be used, who comes first, what a kill leaves


def test_quarantine_makes_a_stream_incomplete(hub: Hub) -> None:
    vendor = filled(hub)
    unseen(hub)
    vendor.put("customers", {"id": "C100", "name": ["no", "name"], "tags": {"a": 1}, "kind": "?"})
    found = reconciled(hub)
    assert figures(found) == (31, 30, 0, 0, 0, 0, False)
    assert found.note == "1 rows held in quarantine"
    assert (state(hub).status, state(hub).reason) == ("amber", found.note)
    vendor.put("customers", {"id": "C100", "name": "好", "tags": [], "kind": "person"})
    with hub.database.write() as conn:
        conn.execute(text("UPDATE quarantine SET state = 'skipped'"))
    assert figures(reconciled(hub)) == (31, 31, 0, 0, 0, 1, True)


class Noting(DemoAdapter):
    """It remembers in what order records were asked for."""

    asked: list[str]
    stops_at = ""

    def fetch(self, ref: RecordRef) -> Any:
        self.__dict__.setdefault("asked", []).append(ref.id)
        if ref.id == self.stops_at:
            raise RetryableError("busy")
        return super().fetch(ref)


def test_customers_with_an_open_request_are_mended_first(hub: Hub) -> None:
    vendor = filled(hub)
    vendor.put("tickets", {"id": "T1", "customer_id": "C020", "subject": "坏了", "status": "open"})
    vendor.put(
        "tickets", {"id": "T2", "customer_id": "C010", "subject": "好了", "status": "closed"}
    )
    pull(hub, "crm", "tickets")
    as_(hub, Noting)
    unseen(hub)
    for id_ in ("C000", "C010", "C020"):
        vendor.put("customers", {"id": id_, "name": "新名"})
    reconciled(hub)
    assert hub.registry.get("crm").adapter.asked == ["C020", "C000", "C010"]


class Crash(BaseException):
    """The process ends here."""


def test_a_killed_reconciliation_goes_on_from_its_row(hub: Hub) -> None:
    """Killed before and right after each of its commits, it ends as if it had not been."""
    vendor = filled(hub, 60)
    ends: list[tuple[int, bool]] = [(-1, False)]
    passed = 0

    def commit(_: Any) -> None:
        nonlocal passed
        passed += 1
        at, after = ends[0]
        if passed == at + 1 and not after:
            raise Crash

    def next_contact(*_: Any) -> None:
        at, after = ends[0]
        if passed == at + 1 and after and at >= 0:
            raise Crash

    event.listen(hub.database.engine, "commit", commit)
    event.listen(hub.database.engine, "checkout", next_contact)
    told = 0
    while ends:
        break_up(hub, vendor, told)
        id_ = start(hub)
        passed = 0
        try:
            while not run(hub, id_):
                pass
        except Crash:
            assert ends[0][0] >= 0
        else:
            if told == 0:
                ends += [(n, after) for n in range(passed) for after in (False, True)]
        ends[0] = (-1, False)
        free(hub)
        while not run(hub, id_):
            pass
        assert figures(newest(hub)) == (60, 60, 0, 0, 0, 3, True)
        assert scalar(hub, "SELECT count(*) FROM certificate") == told + 1
        assert scalar(hub, "SELECT count(*) FROM record WHERE deleted_at IS NULL") == 60
        ends.pop(0)
        told += 1
    assert told > 20


def break_up(hub: Hub, vendor: Account, n: int) -> None:
    """A row that was missed, one that was changed unseen, one that vanished."""
    unseen(hub)
    vendor.put("customers", {"id": f"N{n:03d}", "name": "迟到"})
    vendor.put("customers", {"id": "C059", "name": f"第{n}"})
    vendor.remove("customers", f"C{n:03d}" if n < 50 else f"N{n - 50:03d}")


def free(hub: Hub) -> None:
    """The leases of the killed run out."""
    with hub.database.write() as conn:
        conn.execute(text("UPDATE lease SET until = 0"))


# Certificates get old


def test_a_certificate_gets_old(open_with: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = open_with({"crm": demo(fresh_s=3600)})
    filled(hub)
    assert (state(hub).status, state(hub).reason) == ("amber", "not reconciled yet")
    found = reconciled(hub)
    due.sweep(hub)
    assert waiting(hub) == []
    monkeypatch.setattr(leases, "now", lambda: found.checked_at + timedelta(minutes=31))
    assert state(hub).status == "green"
    due.sweep(hub)
    due.sweep(hub)
    assert waiting(hub) == ["customers"]
    monkeypatch.setattr(leases, "now", lambda: found.checked_at + timedelta(minutes=61))
    assert (state(hub).status, state(hub).reason) == ("amber", "the certificate is too old")
    monkeypatch.setattr(leases, "now", lambda: found.checked_at + timedelta(days=91))
    due.sweep(hub)
    assert scalar(hub, "SELECT count(*) FROM certificate") == 0


def waiting(hub: Hub) -> list[str]:
    with hub.database.read() as conn:
        rows = conn.execute(text("SELECT stream FROM job WHERE state = 'open'"))
        return list(rows.scalars())


def test_nothing_is_reconciled_before_its_first_load_or_while_it_is_paused(hub: Hub) -> None:
    due.sweep(hub)
    assert waiting(hub) == []
    filled(hub)
    with hub.database.write() as conn:
        conn.execute(text("UPDATE connection SET state = 'paused'"))
    due.sweep(hub)
    assert waiting(hub) == []


def test_what_was_seen_is_forgotten_when_its_round_is_over(hub: Hub) -> None:
    filled(hub)
    reconciled(hub)
    assert scalar(hub, "SELECT count(*) FROM sighting") == 30
    due.sweep(hub)
    assert scalar(hub, "SELECT count(*) FROM sighting") == 0


def test_a_reconciliation_without_its_lease_writes_nothing(hub: Hub) -> None:
    filled(hub)
    id_ = start(hub)
    with hub.database.write() as conn:
        slept = leases.take(conn, [jobs.lease_name(id_)], "sleeper", -1)
        assert slept
        assert leases.take(conn, [jobs.lease_name(id_)], "other", 60)
    with pytest.raises(LeaseLostError):
        jobs.run(hub, Lane(slept), id_)
    assert scalar(hub, "SELECT count(*) FROM sighting") == 0


# In a terminal


@pytest.fixture
def cli(own_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    given = demo(sample=30)
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in given.items())
    own_settings.write_text(f"[connections.crm]\n{lines}\n")
    program = Cli(own_settings)
    program("apply")
    program.account = demo_account(given["account"])
    yield program
    settings.cache_clear()


def told(done: Result) -> dict[str, dict[str, Any]]:
    return {row["stream"]: row for row in json.loads(done.stdout)}


def test_a_person_reconciles_and_sees_what_is_green(cli: Cli) -> None:
    assert "first load" in cli.refuses("reconcile", "crm", "customers")
    cli("pull", "crm")
    found = cli("reconcile", "--json")
    assert found.exit_code == 0
    assert {name: row["status"] for name, row in told(found).items()} == dict.fromkeys(
        ("customers", "orders", "tickets", "messages"), "green"
    )
    status = json.loads(cli("status", "--json").stdout)
    assert {row["status"] for row in status["streams"]} == {"green"}
    assert "4 of 4 streams are certified" in cli("doctor").stdout
    assert "green" in cli("status").stdout


def test_a_person_decides_about_a_count_drop(cli: Cli) -> None:
    cli("pull", "crm")
    for n in range(25):
        cli.account.remove("orders", f"O{n:04d}")
    found = cli("reconcile", "crm", "orders", "--json")
    assert found.exit_code == 1
    assert (told(found)["orders"]["status"], told(found)["orders"]["extra"]) == ("red", 25)
    assert "--accept-drop" in cli("status").stdout
    assert "hub reconcile crm orders" in cli.refuses("doctor")
    accepted = cli("reconcile", "crm", "orders", "--accept-drop", "--json")
    assert (accepted.exit_code, told(accepted)["orders"]["repaired"]) == (0, 25)
    assert cli("doctor").exit_code == 0


def test_a_person_who_names_no_stream_or_a_wrong_one_is_told(cli: Cli) -> None:
    assert "Name the stream" in cli.refuses("reconcile", "crm", "--accept-drop")
    assert "Known: customers" in cli.refuses("reconcile", "crm", "things")
