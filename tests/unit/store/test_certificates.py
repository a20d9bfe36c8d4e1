"""When a stream is green; what days and gaps are, on both databases."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text

from hub.sdk import Sighting, tally_digest
from hub.store import certificates, schema
from hub.store.certificates import AMBER, GREEN, RED, Certificate, Figures, Round, status
from hub.store.db import Database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROUND = Round(7, "crm", "things", NOW)
GOOD = Certificate(
    connection="crm", stream="things", method="survey", source_count=3, hub_count=3, missing=0,
    stale=0, extra=0, repaired=0, complete=True, note="", began_at=NOW, checked_at=NOW,
    valid_until=NOW + timedelta(hours=1),
)  # fmt: skip
WELL: dict[str, Any] = {
    "connection": "ok", "loaded": True, "error": "", "dropped": False, "certificate": GOOD,
    "now": NOW,
}  # fmt: skip


def but(**values: Any) -> Certificate:
    return Certificate(**{**{n: getattr(GOOD, n) for n in GOOD.__dataclass_fields__}, **values})


@pytest.mark.parametrize(
    ("changed", "colour", "why"),
    [
        ({}, GREEN, ""),
        ({"connection": "new"}, GREEN, ""),
        ({"connection": "degraded"}, GREEN, ""),  # another stream failed; this one did not
        ({"connection": "auth_failed"}, RED, "refused"),
        ({"dropped": True}, RED, "far fewer"),
        ({"error": "busy"}, RED, "busy"),
        ({"error": "busy", "loaded": False}, RED, "busy"),
        ({"connection": "paused"}, AMBER, "paused"),
        ({"loaded": False}, AMBER, "first load"),
        ({"certificate": None}, AMBER, "not reconciled"),
        ({"now": NOW + timedelta(hours=1)}, GREEN, ""),
        ({"now": NOW + timedelta(hours=1, seconds=1)}, AMBER, "too old"),
        ({"certificate": but(complete=False)}, AMBER, "not everything"),
        ({"certificate": but(complete=False, note="2 rows held")}, AMBER, "2 rows held"),
    ],
)
def test_only_a_valid_complete_certificate_without_a_failure_is_green(
    changed: dict[str, Any], colour: str, why: str
) -> None:
    found, reason = status(**{**WELL, **changed})
    assert found == colour
    assert why in reason


def raw(id_: str, version: str = "", *, seen: int = -1, gone: bool = False) -> dict[str, Any]:
    """A row that was seen that many minutes after the round began."""
    return {
        "ref": f"crm/things/{id_}",
        "payload": "{}",
        "hash": b"",
        "version": version,
        "seen_at": NOW + timedelta(minutes=seen),
        "deleted_at": NOW if gone else None,
    }


@pytest.mark.parametrize(
    ("stored", "sighted", "fetched", "expected"),
    [
        ([raw("1", "5")], ["1:5"], False, Figures(1, 0, 0, 0)),
        ([], ["1:5"], False, Figures(0, 1, 0, 0)),
        ([], ["1:5"], True, Figures(0, 0, 0, 0, held=1)),
        ([raw("1", "4")], ["1:5"], False, Figures(1, 0, 1, 0)),
        ([raw("1", "4")], ["1:5"], True, Figures(1, 0, 0, 0)),
        ([raw("1", "6")], ["1:5"], False, Figures(1, 0, 0, 0)),  # overtaken meanwhile
        ([raw("1", "4")], ["1:"], False, Figures(1, 0, 0, 0)),  # the source tells no version
        ([raw("1", "b")], ["1:B"], False, Figures(1, 0, 0, 0)),  # bytes, not words of a language
        ([raw("1", gone=True)], ["1:5"], False, Figures(0, 1, 0, 0)),
        ([raw("1", gone=True, seen=1)], ["1:5"], False, Figures(0, 0, 0, 0)),
        ([raw("1")], [], False, Figures(1, 0, 0, 1)),
        ([raw("1", seen=1)], [], False, Figures(1, 0, 0, 0)),
        ([raw("1", gone=True)], [], False, Figures(0, 0, 0, 0)),
    ],
)
def test_what_is_missing_stale_and_extra(
    database_url: str,
    stored: list[dict[str, Any]],
    sighted: list[str],
    fetched: bool,
    expected: Figures,
) -> None:
    database = Database(database_url)
    other = {**raw("1"), "ref": "crm/things2/1"}
    with database.write() as conn:
        conn.execute(insert(schema.raw), [*stored, other])
        seen = [Sighting(*one.split(":")) for one in sighted]
        certificates.sight(conn, ROUND, seen, fetched=fetched)
        certificates.sight(conn, Round(8, "crm", "things", NOW), [Sighting("9")])
        found = certificates.figures(conn, ROUND)
        gaps = certificates.gaps(conn, ROUND, "", 10, urgent=False)
        extras = certificates.extras(conn, ROUND, "", 10)
    database.close()
    assert found == expected
    assert len(gaps) == expected.missing + expected.stale
    assert len(extras) == expected.extra


def test_days_are_counted_and_digested_also_before_1970(database_url: str) -> None:
    database = Database(database_url)
    first = datetime(1970, 1, 1, tzinfo=UTC)
    days = {"1": first - timedelta(seconds=1), "2": first, "3": NOW, "4": NOW}
    record = {"kind": "Thing", "document": "{}", "is_open": False, "mapping_version": ""}
    with database.write() as conn:
        for id_, day in days.items():
            row = raw(id_, "v")
            conn.execute(insert(schema.raw), row)
            at = {"occurred_at": day, "saved_at": NOW, "parent": row["ref"]}
            conn.execute(insert(schema.record), {**record, **at, "ref": row["ref"]})
        found = certificates.by_day(conn, ROUND, digests=True)
        counts = certificates.by_day(conn, ROUND, digests=False)
        extras = certificates.extras(conn, ROUND, "", 10, [date(1969, 12, 31).toordinal()])
    database.close()
    assert {day: n for day, (n, _) in found.items()} == {
        date(1969, 12, 31): 1,
        date(1970, 1, 1): 1,
        NOW.date(): 2,
    }
    assert counts == {day: (n, "") for day, (n, _) in found.items()}
    assert found[NOW.date()][1] == tally_digest([Sighting("4", "v"), Sighting("3", "v")])
    assert extras == ["crm/things/1"]


def test_sightings_are_kept_while_their_round_goes_on(database_url: str) -> None:
    database = Database(database_url)
    job = {"kind": "reconcile", "connection": "crm", "stream": "things", "argument": "{}"}
    more = {"actor": "hub", "due_at": NOW, "created_at": NOW}
    with database.write() as conn:
        for id_, state in ((7, "open"), (8, "failed")):
            conn.execute(insert(schema.job), {**job, **more, "id": id_, "state": state})
            seen = [Sighting(str(n)) for n in range(3)]
            certificates.sight(conn, Round(id_, "crm", "things", NOW), seen)
        went = [certificates.forget_sightings(conn, limit=2) for _ in range(3)]
        left = conn.execute(text("SELECT DISTINCT job_id FROM sighting")).scalars().all()
    database.close()
    assert went == [2, 1, 0]
    assert left == [7]
