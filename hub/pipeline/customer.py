"""One customer, as somebody reads the profile now or would have read it then; pins on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection

from hub.errors import ConfigError, ContentionError
from hub.models import Organization
from hub.pipeline.absorb import rebuild
from hub.profiles.build import PINNABLE, Document
from hub.profiles.catalogue import Catalogue
from hub.profiles.view import shown
from hub.registry import Hub
from hub.store import audit, customers, earlier, leases, pins, read, relations, tallies

REBUILT_AT_ONCE = 200


def profile(
    conn: Connection, catalogue: Catalogue, customer_id: str, at: datetime | None = None
) -> Document | None:
    """The customer 360 an id, old or current, leads to; None when there is none, or was none then.

    What belongs to a company a person acts for is read from the company's own profile. Who acts for
    a company is told of today only.
    """
    if at is None:
        found = read.profile_json(conn, customer_id)
        text = found.document if found else None
    else:
        text = earlier.at(conn, customer_id, at)
    if text is None:
        return None
    document: Document = orjson.loads(text)
    refs = [company["ref"] for company in document.get("companies", ()) if "ref" in company]
    known = relations.companies(conn, refs, at) if refs else {}
    is_company = document["kind"] == Organization.kind and at is None
    members = [member["source"]["ref"] for member in document["members"]]
    people = relations.people(conn, members) if is_company else ()
    return shown(document, catalogue, at or leases.now(), companies=known, people=people)


def profiles(
    conn: Connection, catalogue: Catalogue, documents: Iterable[str]
) -> dict[str, Document]:
    """As ``profile`` shows them now, from many stored documents, by customer.

    Who acts for a company is left out: that is a question for each.
    """
    found: list[Document] = [orjson.loads(text) for text in documents]
    refs = {c["ref"] for one in found for c in one.get("companies", ()) if "ref" in c}
    known = relations.companies(conn, refs) if refs else {}
    now = leases.now()
    return {one["id"]: shown(one, catalogue, now, companies=known) for one in found}


def is_forgotten(at: datetime, history_days: int) -> bool:
    """Whether what was shown then is no longer kept."""
    return at < leases.now() - timedelta(days=history_days)


def pin(
    conn: Connection, hub: Hub, customer_id: str, field: str, value: str | None, actor: str
) -> None:
    """Say which value of a field is right, whatever records say; None takes that back.

    The pin stays with the record believed most, so it follows it through merges and splits.

    Raises:
        ConfigError: there is no such customer or field, or nothing to take back.
    """
    if field not in PINNABLE:
        raise ConfigError(f'"{field}" cannot be pinned', hint=f"Choose of: {', '.join(PINNABLE)}")
    if found := read.profile_json(conn, customer_id):
        customers.lock(conn, [found.customer_id])
        found = read.profile_json(conn, customer_id)  # a merge may have been quicker
    if found is None:
        raise ConfigError("there is no such customer", hint="Find them with: hub customer NAME")
    first = orjson.loads(found.document)["members"][0]["source"]["ref"]
    if value is not None:
        pins.put(conn, first, field, value, actor)
    elif not pins.remove(conn, customers.members(conn, found.customer_id), field):
        raise ConfigError(f"no {field} is pinned", hint=f"Look with: hub customer {customer_id}")
    verb = "unpin" if value is None else "pin"
    audit.note(conn, actor, f"{verb} {field}", f"customer:{found.customer_id}")
    rebuild(conn, hub, (), [first])


def rebuild_all(hub: Hub, *, after: str = "") -> tuple[int, int]:
    """Count every sum again and build every profile anew, a few at a time.

    Returns:
        How many customers there are, and of how many party records a sum was wrong.
    """
    done = wrong = 0
    while True:
        with hub.database.read() as conn:
            ids = customers.after(conn, after, REBUILT_AT_ONCE)
        if not ids:
            return done, wrong

        wrong += _rebuilt(hub, ids)
        done, after = done + len(ids), ids[-1]


def _rebuilt(hub: Hub, ids: Sequence[str]) -> int:
    """Of how many party records of these customers a sum was wrong."""

    def story(conn: Connection) -> int:
        members = [ref for id_ in ids for ref in customers.members(conn, id_)]
        wrong = tallies.mend(conn, members)  # sums before customers, as whoever saves a record
        rebuild(conn, hub, ids, told=False)
        return len(wrong)

    try:
        return hub.database.run(story)
    except ContentionError:
        if len(ids) < 2:
            raise
        middle = len(ids) // 2
        return _rebuilt(hub, ids[:middle]) + _rebuilt(hub, ids[middle:])
