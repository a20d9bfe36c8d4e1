"""What rules keep written in other systems: aimed at the records there, and only what is news."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import orjson
from sqlalchemy import Connection, select

from hub.rules.decide import Intent
from hub.store import bulk
from hub.store.schema import kept, link


def aim(conn: Connection, intents: Sequence[Intent]) -> list[Intent]:
    """The intents; those that keep something, once for each record there that does not say it yet.

    Where the customer has no record there, none is made for it. What was queued last is not queued
    again, so that the echo of a write, however the vendor rewrote it, causes nothing.
    """
    places = {(i.connection, i.stream) for i in intents if i.keep}
    if not places:
        return list(intents)
    there = {place: _there(conn, place, intents) for place in sorted(places)}
    aimed: list[Intent] = []
    for i in intents:
        targets = there[i.connection, i.stream].get(i.subject, []) if i.keep else [i.subject]
        aimed += [replace(i, subject=target) for target in targets]
    return _news(conn, aimed)


def _there(
    conn: Connection, place: tuple[str, str], intents: Sequence[Intent]
) -> dict[str, list[str]]:
    """The records of a stream that each subject is, or that are the same customer's."""
    prefix = f"{place[0]}/{place[1]}/"
    subjects = {i.subject for i in intents if i.keep and (i.connection, i.stream) == place}
    found = {subject: [subject] for subject in subjects if subject.startswith(prefix)}
    mine, theirs = link.alias(), link.alias()
    same = select(mine.c.ref, theirs.c.ref).join(theirs, theirs.c.customer_id == mine.c.customer_id)
    for chunk in bulk.chunks(sorted(subjects - found.keys())):
        wanted = bulk.among(mine.c.ref, chunk), theirs.c.ref.startswith(prefix, autoescape=True)
        for subject, target in conn.execute(same.where(*wanted).order_by(theirs.c.ref)):
            found.setdefault(subject, []).append(target)
    return found


def _news(conn: Connection, intents: Sequence[Intent]) -> list[Intent]:
    known = _known(conn, [intent.subject for intent in intents if intent.keep])
    fresh: list[Intent] = []
    changed: dict[tuple[str, str], str] = {}
    for intent in intents:
        if not intent.keep:
            fresh.append(intent)
            continue
        name = (intent.subject, _paths(intent.fields))
        before, now = known.get(name, ""), _digest(intent.fields)
        if before != now:
            # The key tells one change of the values from the next, and one record from another.
            fresh.append(replace(intent, key=_digest([intent.key, *name, before, now])))
            known[name] = changed[name] = now
    rows = [{"target": t, "fields": f, "digest": d} for (t, f), d in sorted(changed.items())]
    bulk.upsert(conn, kept, rows)
    return fresh


def _known(conn: Connection, targets: Sequence[str]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for chunk in bulk.chunks(targets):
        rows = conn.execute(select(kept).where(bulk.among(kept.c.target, chunk)))
        found.update({(row.target, row.fields): row.digest for row in rows})
    return found


def _paths(fields: Mapping[str, Any]) -> str:
    """What is written, whichever rule does: two that keep the same fields are one to an echo."""
    inner = [
        f"{name}.{_paths(value)}" if isinstance(value, Mapping) else name
        for name, value in sorted(fields.items())
    ]
    return " ".join(inner)


def _digest(value: object) -> str:
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
