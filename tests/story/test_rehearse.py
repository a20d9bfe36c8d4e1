"""A draft mapping looked at in a shadow, then switched to and back, with nothing lost between."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from hub import pipeline
from hub.errors import ConfigError
from hub.mapping import load
from hub.pipeline import jobs
from hub.pipeline.lane import leased
from hub.pipeline.rehearse import refuse_unsound, rehearse
from hub.registry import ROOT, Hub, open_hub
from hub.settings import settings_path
from hub.store import jobs as store_jobs
from hub.store import leases
from hub.store.schema import metadata
from tests.story.helpers import account, customer, demo, pull, scalar
from tests.story.test_cli import Cli

Open = Callable[..., Hub]
TICKETS = (ROOT / "mappings/demo/tickets.yaml").read_text("utf-8")
CUSTOMERS = (ROOT / "mappings/demo/customers.yaml").read_text("utf-8")


def draft(*changes: tuple[str, str], text: str = CUSTOMERS) -> Any:
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return load(text, name="draft.yaml")


KEY_ACCOUNTS = (
    "  owner: owner\n  tags: tags\n  language",
    "  owner: {value: Key Accounts}\n  tags: tags\n  language",
)


class Clock:
    """The hub's clock, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = timedelta()
        real = leases.now
        monkeypatch.setattr(leases, "now", lambda: real() + self.ahead)

    def pass_by(self, **span: float) -> None:
        self.ahead += timedelta(**span)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def slice_of(hub: Hub, id_: int) -> bool:
    """One slice of a job, as the task runs it."""
    name = jobs.lease_name(id_)
    with hub.database.write() as conn:
        leases.ensure(conn, [name])
    with leased(hub, name) as lane:
        assert lane is not None
        return jobs.run(hub, lane, id_)


def work_off(hub: Hub, clock: Clock, id_: int) -> None:
    """Run a job to its end."""
    for _ in range(10):
        clock.pass_by(seconds=5)
        if slice_of(hub, id_):
            return
    pytest.fail("the job does not end")


def versions(hub: Hub, stream: str = "customers") -> set[str]:
    with hub.database.read() as conn:
        found = conn.exec_driver_sql(
            f"SELECT DISTINCT mapping_version FROM record WHERE ref LIKE 'crm/{stream}/%%'"
            if not hub.database.is_sqlite
            else f"SELECT DISTINCT mapping_version FROM record WHERE ref LIKE 'crm/{stream}/%'"
        )
        return set(found.scalars())


def owner_of(hub: Hub, n: int = 1) -> str:
    value = customer(hub, "phone", f"+861381234{n:04d}").owner
    return value.value if value else ""


def test_a_chosen_mapping_is_in_use_everywhere_and_what_is_stored_follows(
    open_with: Open, clock: Clock
) -> None:
    hub = open_with({"crm": demo(sample=3)})
    pull(hub, "crm")
    elsewhere = open_hub(hub.settings)
    before = elsewhere.registry.get("crm").mapping("customers").version
    spec = draft(KEY_ACCOUNTS)
    id_ = pipeline.switch(hub, "crm", "customers", spec, "lina")
    assert owner_of(hub) == "客服一号"  # the rows follow in the background
    work_off(hub, clock, id_)
    assert owner_of(hub) == "Key Accounts"
    assert versions(hub) == {spec.version}
    elsewhere.registry._read_at = float("-inf")  # a second has passed
    assert elsewhere.registry.get("crm").mapping("customers").version == spec.version != before
    elsewhere.close()


def test_a_job_tells_how_far_it_came(open_with: Open, clock: Clock) -> None:
    hub = open_with({"crm": demo(sample=3)})
    pull(hub, "crm")
    id_ = pipeline.switch(hub, "crm", "customers", draft(KEY_ACCOUNTS), "lina")
    work_off(hub, clock, id_)
    with hub.database.read() as conn:
        job = store_jobs.get(conn, id_)
    assert job is not None
    assert (job.state, job.done, job.total) == ("done", 3, 3)


def test_rolling_back_leads_to_the_files_and_doing_it_again_leads_forth(
    open_with: Open, clock: Clock
) -> None:
    hub = open_with({"crm": demo(sample=3)})
    pull(hub, "crm")
    shipped = versions(hub)
    spec = draft(KEY_ACCOUNTS)
    work_off(hub, clock, pipeline.switch(hub, "crm", "customers", spec, "lina"))
    version, id_ = pipeline.roll_back(hub, "crm", "customers", "lina")
    work_off(hub, clock, id_)
    assert version is None
    assert versions(hub) == shipped
    assert owner_of(hub) == "客服一号"
    version, id_ = pipeline.roll_back(hub, "crm", "customers", "lina")
    work_off(hub, clock, id_)
    assert version == spec.version
    assert owner_of(hub) == "Key Accounts"


def test_switching_sets_off_no_rule(open_with: Open, clock: Clock) -> None:
    rule = {"id": "told", "when": "Person changed", "then": {"write": "desk/tickets", "fields": {}}}
    hub = open_with({"crm": demo(sample=3), "desk": demo()}, [rule])
    pull(hub, "crm")
    work_off(hub, clock, pipeline.switch(hub, "crm", "customers", draft(KEY_ACCOUNTS), "lina"))
    assert owner_of(hub) == "Key Accounts"
    assert scalar(hub, "SELECT count(*) FROM delivery") == 0


def test_who_read_the_mapping_before_and_commits_late_ends_under_the_new_one(
    open_with: Open, clock: Clock
) -> None:
    """A pull in another process began before the switch and stores its rows after the pass."""
    hub = open_with({"crm": demo(sample=3)})
    pull(hub, "crm")
    slow = open_hub(hub.settings)
    with leased(slow, pipeline.pull_lease("crm", "customers")) as lane:
        assert lane is not None
        slow.registry.get("crm")
        spec = draft(KEY_ACCOUNTS)
        id_ = pipeline.switch(hub, "crm", "customers", spec, "lina")
        clock.pass_by(seconds=5)
        assert not slice_of(hub, id_)
        assert versions(hub) == {spec.version}
        account(hub, "crm").put("customers", {"id": "C0001", "name": "张三"})
        slow.registry._read_at = float("inf")  # it does not look again
        pipeline.pull(slow, lane, "crm", "customers")
        assert len(versions(hub)) == 2
        clock.pass_by(seconds=5)
        assert not slice_of(hub, id_)  # it waits for whoever works
    work_off(hub, clock, id_)
    slow.close()
    assert versions(hub) == {spec.version}


def test_a_newer_choice_ends_the_work_of_the_one_before(open_with: Open, clock: Clock) -> None:
    hub = open_with({"crm": demo(sample=3)})
    pull(hub, "crm")
    first = pipeline.switch(hub, "crm", "customers", draft(KEY_ACCOUNTS), "lina")
    other = draft(("  tier: tier\n  owner: owner\n  tags", "  owner: tier\n  tags"))
    second = pipeline.switch(hub, "crm", "customers", other, "lina")
    assert slice_of(hub, first)
    work_off(hub, clock, second)
    assert versions(hub) == {other.version}


def test_rows_held_are_taken_in_by_the_mapping_that_can_read_them(
    open_with: Open, clock: Clock
) -> None:
    hub = open_with({"crm": demo()})
    account(hub, "crm").put("tickets", {"id": "1", "title": "坏了"})
    pull(hub, "crm", "tickets")
    assert scalar(hub, "SELECT count(*) FROM quarantine WHERE state = 'held'") == 1
    spec = draft(("  subject: subject\n", "  subject: title\n"), text=TICKETS)
    work_off(hub, clock, pipeline.switch(hub, "crm", "tickets", spec, "lina"))
    assert scalar(hub, "SELECT count(*) FROM quarantine WHERE state = 'held'") == 0
    assert versions(hub, "tickets") == {spec.version}


def test_a_rehearsal_tells_what_would_differ_and_writes_nothing(open_with: Open) -> None:
    rule = {"id": "told", "when": "Person changed", "then": {"write": "desk/tickets", "fields": {}}}
    hub = open_with({"crm": demo(sample=3), "desk": demo()}, [rule])
    pull(hub, "crm")
    before = _everything(hub)
    found = rehearse(hub, hub.registry.get("crm"), draft(KEY_ACCOUNTS), days=30)
    assert (found.rows, found.changed) == (3, 3)
    assert {name: group.count for name, group in found.fields.items()} == {
        "Person.extra.owner": 2,
        "Organization.extra.owner": 1,
        "Person.owner": 2,
        "Organization.owner": 1,
    }
    assert found.fields["Person.owner"].samples[0] == {
        "ref": "crm/customers/C0000",
        "before": "客服一号",
        "after": "Key Accounts",
    }
    assert found.profiles.count == 3
    assert found.profiles.samples[0]["changes"] == {"owner": ("客服一号", "Key Accounts")}
    assert {name: group.count for name, group in found.writes.items()} == {"told → desk/tickets": 2}
    assert _everything(hub) == before


def _everything(hub: Hub) -> dict[str, list[tuple[Any, ...]]]:
    with hub.database.read() as conn:
        return {
            table.name: [tuple(row) for row in conn.execute(select(table).order_by(*table.c))]
            for table in metadata.sorted_tables
        }


def test_the_mapping_in_use_rehearsed_against_itself_changes_nothing(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=5)})
    pull(hub, "crm")
    for stream, spec in hub.registry.get("crm").mappings.items():
        found = rehearse(hub, hub.registry.get("crm"), spec, days=30)
        assert found.rows == 5
        assert (found.changed, found.fields, found.unusable) == (0, {}, {}), stream
        assert (found.appearing.count, found.vanishing.count, found.profiles.count) == (0, 0, 0)


def test_rows_a_draft_cannot_read_and_those_it_mends(open_with: Open) -> None:
    hub = open_with({"crm": demo()})
    desk = account(hub, "crm")
    desk.put("tickets", {"id": "1", "subject": "坏了"})
    desk.put("tickets", {"id": "2", "title": "又坏了"})
    pull(hub, "crm", "tickets")
    desk.put("tickets", {"id": "1", "title": "坏了"})
    desk.put("tickets", {"id": "3", "subject": "还坏"})
    pull(hub, "crm", "tickets")
    spec = draft(("  subject: subject\n", "  subject: title\n"), text=TICKETS)
    found = rehearse(hub, hub.registry.get("crm"), spec, days=30)
    assert {path: group.count for path, group in found.unusable.items()} == {"title": 1}
    assert found.unusable["title"].samples[0]["ref"] == "crm/tickets/3"
    assert (found.held, found.mended.count) == (1, 1)
    assert (found.earlier, found.unusable_earlier["title"].count) == (1, 1)
    assert found.earlier_from is not None


def test_facts_that_would_come_to_a_customer_are_on_the_profile_rehearsed(open_with: Open) -> None:
    hub = open_with({"crm": demo()})
    crm = account(hub, "crm")
    crm.put("customers", {"id": "C1", "name": "李娜", "phone": "13912345670"})
    crm.put("customers", {"id": "C2", "name": "王伟", "phone": "13912345671"})
    crm.put("orders", {"id": "O1", "number": "SO1", "customer_id": "C1", "buyer": "C2"})
    pull(hub, "crm")
    text = (ROOT / "mappings/demo/orders.yaml").read_text("utf-8")
    change = ("customer: customer_id | ref customers", "customer: buyer | ref customers")
    spec = draft(change, text=text)
    found = rehearse(hub, hub.registry.get("crm"), spec, days=30)
    told = {p["name"]: p["changes"]["orders"] for p in found.profiles.samples}
    assert told == {"李娜": (["SO1 draft"], []), "王伟": ([], ["SO1 draft"])}


MEMBERS = ("- {type: member_no, path: member_no}", "- {type: member_no, path: card}")


def test_customers_who_would_be_merged_are_told_wherever_their_rows_stand(
    open_with: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = open_with({"crm": demo()})
    for n in range(7):
        row = {"id": f"C{n}", "name": f"客户{n}", "phone": f"1391234560{n}", "card": f"M{n % 6}"}
        account(hub, "crm").put("customers", row)
    pull(hub, "crm", "customers")
    monkeypatch.setattr("hub.pipeline.rehearse.BATCH_MAX", 2)
    found = rehearse(hub, hub.registry.get("crm"), draft(MEMBERS), days=30)
    assert found.evidence.count == 7
    assert (found.merged.count, found.split.count) == (1, 0)
    assert set(found.merged.samples[0]["parts"].values()) == {"客户0", "客户6"}
    assert scalar(hub, "SELECT count(DISTINCT customer_id) FROM link") == 7


def test_a_rehearsed_split_is_what_the_switch_then_does(open_with: Open, clock: Clock) -> None:
    hub = open_with({"crm": demo()})
    for n in range(2):
        row = {"id": f"C{n}", "name": "李娜", "member_no": "M1", "card": f"M{n}"}
        account(hub, "crm").put("customers", row)
    pull(hub, "crm", "customers")
    assert scalar(hub, "SELECT count(DISTINCT customer_id) FROM link") == 1
    found = rehearse(hub, hub.registry.get("crm"), draft(MEMBERS), days=30)
    assert (found.merged.count, found.split.count) == (0, 1)
    work_off(hub, clock, pipeline.switch(hub, "crm", "customers", draft(MEMBERS), "lina"))
    assert scalar(hub, "SELECT count(DISTINCT customer_id) FROM link") == 2


def test_a_draft_that_gives_rows_other_ids_is_not_switched_to(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=2)})
    pull(hub, "crm", "customers")
    found = rehearse(hub, hub.registry.get("crm"), draft(("key: id", "key: email")), days=30)
    assert found.rekeyed.count == 2
    with pytest.raises(ConfigError, match="another id"):
        refuse_unsound(found)


def test_what_shipped_mappings_say_is_the_same_once_stored(open_with: Open) -> None:
    """A choice keeps the text; what it is compiled to must be the very same mapping."""
    for path in sorted(ROOT.glob("mappings/*/*.yaml")):
        spec = load(path.read_text("utf-8"), name=path.name)
        assert load(spec.text, name="stored").version == spec.version, path


class Crash(BaseException):
    """The process ends here."""


def test_a_kill_at_any_commit_loses_nothing_and_counts_nothing_twice(
    open_with: Open, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.pipeline.replay.BATCH_MAX", 2)
    hub = open_with({"crm": demo(sample=5)})
    pull(hub, "crm", "customers")
    spec = draft(KEY_ACCOUNTS)
    id_ = pipeline.switch(hub, "crm", "customers", spec, "lina")
    crashes, left = 0, 0

    def count_down(_: object) -> None:
        nonlocal left, crashes
        left -= 1
        if left == 0:
            crashes += 1
            raise Crash

    event.listen(hub.database.engine, "commit", count_down)
    done = False
    while not done:
        left += crashes + 2  # each time a little later
        clock.pass_by(seconds=300)  # the lease of the dead runs out
        with suppress(Crash):
            done = slice_of(hub, id_)
    assert crashes > 3
    assert versions(hub) == {spec.version}
    assert scalar(hub, "SELECT done FROM job") == 5


@pytest.fixture
def program(open_with: Open, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line on a database with a few customers."""
    hub = open_with({"crm": demo(sample=3), "shop": {"adapter": "webhook", "secrets": ["x" * 32]}})
    pull(hub, "crm")
    monkeypatch.setenv("HUB_DATABASE_URL", hub.settings.database)
    monkeypatch.setenv("HUB_SECRET_KEYS", json.dumps(hub.settings.secret_keys))
    monkeypatch.setenv("COLUMNS", "200")
    return Cli(settings_path())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "draft.yaml"
    path.write_text(CUSTOMERS.replace(*KEY_ACCOUNTS), "utf-8")
    return path


def test_in_a_terminal_a_draft_is_shown_switched_to_and_rolled_back(
    program: Cli, file: Path
) -> None:
    said = program("rehearse", "mapping", str(file)).stdout
    assert "Person.owner" in said
    assert "crm/customers/C0000: '客服一号' → 'Key Accounts'" in said
    assert "uses version" not in said
    found = json.loads(program("rehearse", "mapping", str(file), "--json", "--samples", "0").stdout)
    assert (found["changed"], found["job"], found["profiles"]["samples"]) == (3, None, [])
    said = program("rehearse", "mapping", str(file), "--activate").stdout
    assert f"crm/customers uses version {found['version']} from now on" in said
    assert "Key Accounts" in program("mapping", "show", "crm", "customers").stdout
    assert "hides the files" in program("mapping", "apply", "crm", "customers").stdout
    assert "uses the files from now on" in program("mapping", "rollback", "crm", "customers").stdout
    assert "hides" not in program("mapping", "apply", "crm", "customers").stdout
    program("mapping", "rollback", "crm", "customers")
    assert "the files count again" in program("mapping", "apply", "crm", "--files").stdout
    assert "Key Accounts" not in program("mapping", "show", "crm", "customers").stdout


def test_every_fault_of_a_draft_is_a_line_with_its_place(program: Cli, file: Path) -> None:
    file.write_text(file.read_text("utf-8").replace("  tier: tier", "  teir: tier", 1), "utf-8")
    file.write_text(file.read_text("utf-8").replace("match: [", "match: [cows, "), "utf-8")
    said = program.refuses("rehearse", "mapping", str(file))
    assert 'draft.yaml:7: unknown field "cows"' in said
    assert 'did you mean "tier"?' in said


def test_a_draft_of_no_connection_or_of_nothing_chosen_is_a_sentence(
    program: Cli, file: Path
) -> None:
    file.write_text(file.read_text("utf-8").replace("from: demo/", "from: acme/"), "utf-8")
    assert "no connection of the adapter acme" in program.refuses("rehearse", "mapping", str(file))
    assert "was ever chosen" in program.refuses("mapping", "rollback", "crm", "orders")
