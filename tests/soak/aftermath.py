"""After the unrest: waiting until nothing is left to be done, and what must hold then."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import func, select

from demo.city.ledger import HUB
from demo.city.life import disagreements, living
from demo.city.site import Site, shown, utc_now
from hub.errors import HubError
from hub.registry import Hub
from hub.sdk import Http
from hub.store import alerts, certificates, connections, credentials, leases, outbox, schema
from hub.store import jobs as store_jobs
from tests.soak.city import LAG_S, LOOPBACK, Town
from tests.story.processes import Installation

ENDED = ("confirmed", "skipped")
LOOK_S, CHECK_S = 2.0, 60.0
MOST = 10
CASE_STATES = {"working": "open", "on hold": "pending", "done": "solved"}
"""What the CRM calls the desk's states of a ticket; the others have the same name."""

OWNED = {
    ("crm", "contacts"): {"name", "owner"},
    ("erp", "parties"): {"tier"},
    ("desk", "tickets"): {"status"},
}
"""Fields that one system owns, as the mappings of the city say."""

MATTERS = ("desk/tickets/", "crm/cases/")


@dataclass
class Administrator:
    """Whoever looks after the hub: does what its hints say, and counts how often."""

    there: Installation
    hub: Hub
    town: Town
    done: Counter[str] = field(default_factory=Counter)
    _seen: set[int] = field(default_factory=set)

    def let_in(self) -> None:
        """Sign in again at the ERP when a renewal was lost between the two."""
        with self.hub.database.read() as conn:
            if connections.state(conn, "erp") != schema.REFUSED:
                return
        live = self.hub.registry.get("erp")
        with suppress(HubError):  # it has other troubles as well now; later then
            http = Http(live.config.url, allow_networks=[LOOPBACK])
            tokens = live.adapter.grants.renew(http, None)
            with self.hub.database.write() as conn:
                credentials.replace_all(conn, self.hub.registry.vault, "erp", tokens)
                connections.readmit(conn, "erp")
            self.done["signed in again"] += 1

    def check(self) -> None:
        """The outage is over: whatever waited for its next try is due now."""
        self.let_in()
        self.there.run("check")

    def resolve(self) -> None:
        """Decide on every write that waits for a person; each one gets one chance."""
        with self.hub.database.read() as conn:
            query = select(schema.delivery).where(schema.delivery.c.state.in_(("unknown", "dead")))
            stuck = [row for row in conn.execute(query) if row.id not in self._seen]
        for row in stuck:
            self._seen.add(row.id)
            self._resolve(row)

    def _resolve(self, row: Any) -> None:
        print(f"{row.state}: delivery {row.id} to {row.connection}: {row.error}")  # noqa: T201
        done = ["refetch", str(row.id)]
        if row.state == "unknown":
            keys = (row.key, f"hub-{row.key[:16]}")
            entries = self.town.site(row.connection).ledger.entries
            made = [e.id for e in entries if e.key in keys][:1]
            done = ["adopt", str(row.id), *made] if made else ["skip", str(row.id)]
        self.there.run("deliveries", *done)
        self.done[f"{row.state}, then {done[0]}"] += 1


def settle(admin: Administrator, since: datetime, patience_s: float) -> None:
    """Return when nothing is left to be done: no write for a while, and none waiting."""
    deadline, checked = time.monotonic() + patience_s, float("-inf")
    quiet, before = 0, -1
    while quiet < 2:
        if time.monotonic() - checked > CHECK_S:
            admin.check()
            checked = time.monotonic()
        admin.resolve()
        left = waiting(admin.hub, admin.town, since)
        assert time.monotonic() < deadline, f"not quiet: {left} {odd(admin.hub)}"
        rests = not left and admin.town.writes == before
        quiet, before = quiet + 1 if rests else 0, admin.town.writes
        time.sleep(LOOK_S)


def waiting(hub: Hub, town: Town, since: datetime) -> dict[str, int]:
    """What is still to be done, counted by what it is.

    Args:
        since: streams that were not read to their end after it are unread.
    """
    point = schema.checkpoint.c
    unread = point.completed_at.is_(None) | (point.completed_at < since) | (point.failures > 0)
    queries = {
        "event": select(func.count()).select_from(schema.inbox).where(schema.inbox_pending),
        "write": select(func.count()).select_from(schema.delivery).where(schema.outbox_pending),
        "stream": select(func.count()).select_from(schema.checkpoint).where(unread),
        "lane": select(func.count())
        .select_from(schema.lease)
        .where(schema.lease.c.lane.is_not(None), schema.lease.c.until > leases.now()),
    }
    with hub.database.read() as conn:
        found = {name: conn.scalar(query) or 0 for name, query in queries.items()}
        found["job"] = len(store_jobs.page(conn, state="open"))
    found["webhook"] = sum(not postman.is_done for postman in town.postmen.values())
    return {name: n for name, n in found.items() if n}


def odd(hub: Hub) -> list[str]:
    """Jobs, streams and writes that are not over, as their rows tell it."""
    d = schema.delivery.c
    with hub.database.read() as conn:
        jobs = store_jobs.page(conn, state="open")
        query = select(d.id, d.connection, d.stream, d.subject, d.state, d.attempts, d.error)
        rows = conn.execute(query.where(d.state.not_in(ENDED))).all()
        points = conn.execute(select(schema.checkpoint)).mappings().all()
    found = [f"job {j['kind']} {j['connection']}/{j['stream']}: {j['error']}" for j in jobs]
    found += [f"write {' '.join(map(str, row))}" for row in rows]
    return found + [f"stream {p['connection']}/{p['stream']} {p['error']}" for p in points]


def reconcile(there: Installation) -> list[dict[str, Any]]:
    """One cycle: every stream is compared with its source; what each certificate says."""
    rows: list[dict[str, Any]] = json.loads(there.run("reconcile", "--json"))
    return rows


def faults(hub: Hub, town: Town) -> list[str]:
    """Whatever is not as it should be."""
    found = [*lost(hub, town), *disagreements(town.sites), *matters(hub, town)]
    for site in town.sites:
        found += [f"{site.name} got twice: {what}" for what in site.ledger.twice()]
    found += [*_overruled(town), *_unheard(hub, town), *_odd_rows(hub)]
    return found


def lost(hub: Hub, town: Town) -> Iterator[str]:
    """Rows of which the hub holds something else than their system."""
    with hub.database.read() as conn:
        held = {
            row.ref: orjson.loads(row.payload)
            for row in conn.execute(select(schema.raw).where(schema.raw.c.deleted_at.is_(None)))
        }
    true = {f"{site.name}/{stream}/{row['id']}": shown(row) for site, stream, row in _rows(town)}
    for ref in sorted(true.keys() | held.keys()):
        if ref not in held:
            yield f"{ref} is there and not in the hub"
        elif ref not in true:
            yield f"{ref} is gone, the hub has it"
        elif held[ref] != true[ref]:
            yield f"{ref} is not as the hub has it: {held[ref]} {true[ref]}"


def _rows(town: Town) -> Iterator[tuple[Site, str, dict[str, Any]]]:
    for name, stream in town.streams:
        site = town.site(name)
        yield from ((site, stream, row) for row in living(site, stream))


def matters(hub: Hub, town: Town) -> Iterator[str]:
    """Tickets and cases that say different things, or have no copy in the other system.

    Nobody may take the status of a ticket from its case: the desk owns it.
    """
    with hub.database.read() as conn:
        bound = conn.execute(select(schema.binding)).all()
    pairs = {(row.subject, f"{row.connection}/{row.stream}/{row.external_id}") for row in bound}
    both = dict(sorted(pair, reverse=True) for pair in pairs if pair[0].startswith(MATTERS))
    both_ways = both | {case: ticket for ticket, case in both.items()}
    there = {
        f"{site.name}/{stream}/{row['id']}": row
        for site, stream, row in _rows(town)
        if f"{site.name}/{stream}/" in MATTERS
    }
    yield from (f"{ref} has no copy" for ref in there if ref not in both_ways)
    for ticket, case in both.items():
        if ticket in there and case in there:
            one, other = _matter(town, there[ticket]), _matter(town, there[case])
            if one != other:
                yield f"{ticket} is {one}, {case} is {other}"


def _matter(town: Town, row: dict[str, Any]) -> tuple[str, ...]:
    """What a ticket or case says; whoever it is about is known by the mail address."""
    status = row["status"]
    who = town.desk.ledger.row("requesters", str(row.get("requester_id")))
    who = who or town.crm.ledger.row("contacts", str(row.get("contact_id"))) or {}
    told = (
        row["subject"],
        row.get("description"),
        CASE_STATES.get(status, status),
        who.get("email"),
    )
    return tuple(" ".join(str(value or "").split()) for value in told)


def _overruled(town: Town) -> Iterator[str]:
    """Writes of a field to the system that owns it."""
    for (name, stream), owned in OWNED.items():
        for entry in town.site(name).ledger.entries:
            ours = (entry.who, entry.verb, entry.stream) == (HUB, "update", stream)
            if ours and (taken := owned & entry.values.keys()):
                yield f"{name}/{stream}/{entry.id} owns {', '.join(sorted(taken))}"


def _unheard(hub: Hub, town: Town) -> Iterator[str]:
    """Webhooks that were acknowledged and not applied."""
    with hub.database.read() as conn:
        inbox = conn.execute(select(schema.inbox)).mappings().all()
    states = {(row["connection"], row["event_id"]): row["state"] for row in inbox}
    for name, postman in town.postmen.items():
        for event in postman.acknowledged:
            if states.get((name, event)) != "done":
                yield f"event {event} of {name} is {states.get((name, event), 'not there')}"
    if len(states) != len(inbox):
        yield "an event is in the inbox twice"


def _odd_rows(hub: Hub) -> Iterator[str]:
    """Alerts, quarantined rows, writes that are not over, streams without a certificate."""
    d, alert = schema.delivery.c, schema.alert.c
    with hub.database.read() as conn:
        for row in alerts.every(conn):
            yield f"alert {row['kind']} {row['subject']}: {row['message']}"
        for (subject,) in conn.execute(select(alert.subject).where(alert.kind == "loop")):
            yield f"loop alert {subject}"
        for (error,) in conn.execute(select(schema.quarantine.c.error)):
            yield f"quarantined: {error}"
        for row in conn.execute(select(d.id, d.state, d.error).where(d.state.not_in(ENDED))):
            yield f"write {row.id} is {row.state}: {row.error}"
        found = certificates.newest(conn)
    yield from (f"{'/'.join(name)}: incomplete" for name, c in found.items() if not c.complete)


def told(hub: Hub, town: Town) -> dict[str, Any]:
    """What the hub did and what is left of it, in figures."""
    attempt, certificate, alert = schema.attempt.c, schema.certificate.c, schema.alert.c
    with hub.database.read() as conn:
        deliveries = Counter[str]()
        for (_, state), n in outbox.counts(conn).items():
            deliveries[state] += n
        tries = select(attempt.outcome, func.count()).group_by(attempt.outcome)
        attempts = {row[0]: row[1] for row in conn.execute(tries)}
        count = func.count(), func.coalesce(func.sum(certificate.repaired), 0)
        written, repaired = conn.execute(select(*count)).one()
        loops = conn.scalar(select(func.count()).where(alert.kind == "loop"))
    return {
        "deliveries": dict(sorted(deliveries.items())),
        "attempts": dict(sorted(attempts.items())),
        "certificates": [written, int(repaired)],
        "rows": sum(1 for _ in _rows(town)),
        "lost": sum(1 for _ in lost(hub, town)),
        "doubled": sum(len(site.ledger.twice()) for site in town.sites),
        "loops": loops,
    }


def evidence(there: Installation, town: Town, found: list[str]) -> str:
    """The whole way of each record that what is wrong names, itself or by the mail address."""
    said = " ".join(found)
    names = {*re.findall(r"\b(?:crm|erp|desk)/\w+/\w+", said)}
    for site, stream, row in _rows(town):
        if row.get("email") and str(row["email"]) in said:
            names.add(f"{site.name}/{stream}/{row['id']}")
    return "\n".join(there.run("trace", name) for name in sorted(names)[:MOST])


def calm_since() -> datetime:
    """When what searches hid has come to light, if everything is calm from now on."""
    return utc_now() + timedelta(seconds=LAG_S)
