"""A stored profile as it is read: what depends on the day is worked out for that day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from hub.profiles.build import Document
from hub.profiles.catalogue import Catalogue, Group
from hub.profiles.tally import day_of
from hub.profiles.traits import values

COMPANY_FACTS = 5
"""How many requests and orders of a company are shown on the profile of who acts for it."""

_VALUES = ("name", "organization", "title", "tier", "owner", "language")
_KEPT = frozenset({"bases", "due"})


def shown(
    document: Mapping[str, Any],
    catalogue: Catalogue,
    now: datetime,
    *,
    companies: Mapping[str, Document] | None = None,
    people: Iterable[Document] = (),
) -> Document:
    """The profile as somebody reads it at an instant, without what is empty.

    Args:
        companies: stored profiles of the companies a person acts for, by the record referred to.
        people: stored profiles of those who act for the organisation.
    """
    traits, facts = _asked(document, catalogue, now)
    found = {name: value for name, value in document.items() if name not in _KEPT}
    found["companies"] = [_company(c, companies or {}) for c in document.get("companies", ())]
    found["people"] = [_colleague(p, document) for p in people]
    found["traits"] = traits
    found["signals"] = _labelled(catalogue.signals, facts["signals"])
    found["segments"] = _labelled(catalogue.segments, facts["segments"])
    found["service"] = _service(document, now)
    return {name: value for name, value in found.items() if value}


def brief(document: Mapping[str, Any], catalogue: Catalogue, now: datetime) -> Document:
    """What rules may ask of a customer, and templates fill in."""
    contacts = document.get("contacts", ())
    first = {c["type"]: c["value"] for c in reversed(contacts)}
    _, facts = _asked(document, catalogue, now)
    told = {"id": document["id"], "email": first.get("email", ""), "phone": first.get("phone", "")}
    return {**facts, **told}


def _asked(
    document: Mapping[str, Any], catalogue: Catalogue, now: datetime
) -> tuple[dict[str, Document], Document]:
    """The traits, and all that conditions may ask: see ``catalogue.FIELDS``."""
    traits = values(catalogue, document.get("bases", {}), day_of(now))
    facts: Document = {
        "kind": document["kind"],
        **{name: document.get(name, {}).get("value", "") for name in _VALUES},
        "tags": document.get("tags", []),
        "overdue": _service(document, now).get("overdue", 0),
        "traits": {id_: trait["value"] for id_, trait in traits.items()},
        "signals": [],
        "segments": [],
    }
    for section, groups in (("signals", catalogue.signals), ("segments", catalogue.segments)):
        for id_, group in groups.items():
            if group.holds(facts):
                facts[section].append(id_)
    return traits, facts


def _labelled(groups: Mapping[str, Group], ids: Iterable[str]) -> list[Document]:
    return [{"id": id_, "label": groups[id_].label.model_dump()} for id_ in ids]


def _service(document: Mapping[str, Any], now: datetime) -> Document:
    """Whether open requests are past their time; nothing when none has one."""
    due = sorted(map(_instant, document.get("due", ())))
    if not due:
        return {}
    late = sum(at < now for at in due)
    upcoming = {"next_due_at": _text(due[late])} if late < len(due) else {}
    return {**({"overdue": late} if late else {}), **upcoming}


def _company(company: Document, profiles: Mapping[str, Document]) -> Document:
    """The company with what its own profile says; without, as the person's record names it."""
    profile = profiles.get(company.get("ref", ""))
    if profile is None:
        return company
    found = {
        **company,
        "name": profile.get("name", {}).get("value", "") or company.get("name", ""),
        "customer_id": profile["id"],
        "tier": profile.get("tier", {}).get("value", ""),
        "open_requests": profile.get("open_requests", [])[:COMPANY_FACTS],
        "orders": profile.get("orders", [])[:COMPANY_FACTS],
    }
    return {name: value for name, value in found.items() if value}


def _colleague(person: Document, organization: Mapping[str, Any]) -> Document:
    """The person, with the title they have at this company."""
    ours = {member["source"]["ref"] for member in organization["members"]}
    here = (c for c in person.get("companies", ()) if c.get("ref") in ours)
    title = next((c["title"] for c in here if c.get("title")), "")
    found = {
        "customer_id": person["id"],
        "name": person.get("name", {}).get("value", ""),
        "title": title,
        "open_requests": len(person.get("open_requests", ())),
    }
    return {name: value for name, value in found.items() if value or name == "name"}


def _instant(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _text(at: datetime) -> str:
    written: str = orjson.loads(orjson.dumps(at.astimezone(UTC), option=orjson.OPT_UTC_Z))
    return written
