"""What people say about who is who, weights learned from the hub's own records, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from hub.errors import ConfigError
from hub.identity import matching, train
from hub.identity.keys import contact_keys
from hub.identity.matching import Batch, Change, Scorer
from hub.identity.resolve import Resolution
from hub.identity.traits import Traits
from hub.identity.weights import Weights, shipped
from hub.models import Party, Record
from hub.pipeline import align, amends
from hub.pipeline.absorb import rebuild, settle
from hub.pipeline.amends import Offer
from hub.pipeline.lane import Lane
from hub.registry import Hub
from hub.store import (
    audit,
    customers,
    evidence,
    jobs,
    leases,
    outbox,
    read,
    records,
    reviews,
    tallies,
)
from hub.store import weights as stored_weights
from hub.store.db import identity_lock
from hub.store.jobs import Job
from hub.store.reviews import Review

RERUN = "rerun"
PAGE = 200
LEARNING_PAGE = 5000

Pairs = Sequence[tuple[str, str]]


class Outcome(NamedTuple):
    """What came of a person's word.

    Attributes:
        customers: the customers the records it named are of now, each once.
        writes: deliveries queued to bring copies in line.
        offers: values that could be written back; among ``writes`` where that was asked for.
    """

    customers: list[str]
    writes: list[int]
    offers: list[Offer]


def say(hub: Hub, verb: str, a: str, b: str, *, actor: str, why: str = "") -> Outcome:
    """A person's word on two party records, obeyed from now on: ``confirm`` or ``reject``.

    Raises:
        ConfigError: one of them is no party record of a customer.
    """
    return _decide(hub, verb, lambda _: [(a, b)], actor, why)


def merge(hub: Hub, customer: str, other: str, *, actor: str, why: str = "") -> Outcome:
    """All records of two customers are one customer's from now on; both ids lead there for ever.

    Raises:
        ConfigError: there is no such customer, or they are one already.
    """

    def pairs(conn: Connection) -> Pairs:
        mine, theirs = _members(conn, customer), _members(conn, other)
        if mine == theirs:
            raise ConfigError("they are one customer already")
        return [(mine[0], ref) for ref in (*mine[1:], *theirs)]

    return _decide(hub, "confirm", pairs, actor, why)


def split(
    hub: Hub,
    customer: str,
    refs: Sequence[str],
    *,
    actor: str,
    why: str = "",
    write_back: bool = False,
) -> Outcome:
    """These records, and the copies made of them, are of another customer from now on.

    Args:
        write_back: also write what is offered: values the parted records had of one another.

    Raises:
        ConfigError: they are not the customer's, or there is no rest.
    """

    def pairs(conn: Connection) -> Pairs:
        members = _members(conn, customer)
        if strange := sorted(set(refs).difference(members)):
            raise ConfigError(f"{strange[0]} is no record of this customer")
        copies = outbox.copies(conn, members)
        parted = {*refs, *(copy for copy, original in copies.items() if original in refs)}
        rest = [ref for ref in members if ref not in parted]
        if not rest:
            raise ConfigError("no record would be left with the customer")
        return [(ref, other) for ref in sorted(parted) for other in rest]

    return _decide(hub, "reject", pairs, actor, why, write_back=write_back)


def _members(conn: Connection, customer: str) -> list[str]:
    id_ = read.current_id(conn, customer)
    members = customers.members(conn, id_) if id_ else []
    if not members:
        raise ConfigError(f"there is no customer {customer!r}", hint="See: hub customer NAME")
    return members


def _decide(
    hub: Hub,
    verb: str,
    pairs: Callable[[Connection], Pairs],
    actor: str,
    why: str,
    *,
    write_back: bool = False,
) -> Outcome:
    def story(conn: Connection) -> Outcome:
        identity_lock(conn)
        begun = leases.now()
        told = pairs(conn)
        named = {ref for pair in told for ref in pair}
        _check(conn, told, named)
        customers.say(conn, verb, told, actor=actor, why=why)
        members = sorted(named.union(customers.companions(conn, named)))
        known = amends.sources(conn, hub, members)
        _anew(conn, hub, sorted(named), actor=actor)
        offers = amends.offers(conn, hub, members, known)
        if write_back:
            amends.write_back(conn, offers)
        ids = sorted(customers.customers_of(conn, named))
        audit.note(conn, actor, verb, f"customer:{ids[0]}")
        return Outcome(ids, outbox.queued_since(conn, members, begun), offers)

    return hub.database.run(story)


def _check(conn: Connection, told: Pairs, named: set[str]) -> None:
    if strange := sorted(named - customers.links(conn, named).keys()):
        raise ConfigError(
            f"{strange[0]} is no party record of a customer",
            hint="Write it connection/stream/id, as hub customer ID --json shows it.",
        )
    if any(a == b for a, b in told):
        raise ConfigError("a record is always the customer it is")


def _anew(conn: Connection, hub: Hub, names: Sequence[str], *, actor: str) -> Resolution:
    """Read these party records again and decide whose they are."""
    items = list(evidence.read(conn, names).values())
    found = settle(conn, items, (), actor=actor)
    rebuild(conn, hub, found.touched)
    align.align(conn, hub, found.links, found)
    return found


# ---- doubts


def doubts(conn: Connection, limit: int) -> list[dict[str, Any]]:
    """Pairs for a person to decide, nearest to a match first, with what speaks for and against."""
    page = reviews.page(conn, limit)
    names = {ref for found in page for ref in (found.a, found.b)}
    known, told = evidence.load(conn, names), records.load(conn, names)
    scorer = _scorer(conn, known.values(), stored_weights.current(conn))
    return [_doubt(found, known, told, scorer) for found in page]


def _doubt(
    found: Review, known: Mapping[str, Traits], told: Mapping[str, Record], scorer: Scorer
) -> dict[str, Any]:
    a, b = known.get(found.a), known.get(found.b)
    both = weighed(a, b, scorer) if a and b else {"evidence": [], "guards": []}
    return {
        "a": _side(found.a, found.customer_a, told),
        "b": _side(found.b, found.customer_b, told),
        "bits": found.bits,
        "weights": found.weights,
        "evidence": both["evidence"],
        "guards": both["guards"],
    }


def _side(ref: str, customer: str, told: Mapping[str, Record]) -> dict[str, Any]:
    record = told.get(ref)
    points = record.contact_points if isinstance(record, Party) else ()
    name = record.name if isinstance(record, Party) else ""
    return {"ref": ref, "customer": customer, "name": name, "known": [p.value for p in points]}


# ---- weights


def learn(hub: Hub, *, actor: str) -> tuple[str, int | None]:
    """Learn weights from the hub's own records, use them, and decide anew about everybody.

    Returns:
        Their version, and the job that decides anew; None when nothing new was learned.
    """
    with hub.database.read() as conn:
        records = [t for t in _all(conn) if not t.is_claim]
        before = stored_weights.current(conn).version
    learned = train.learn(Batch(records), shipped())
    if learned.version == before:
        return before, None
    with hub.database.write() as conn:
        identity_lock(conn)
        stored_weights.add(conn, learned, actor=actor)
        return learned.version, _queue(conn, actor=actor)


def _all(conn: Connection) -> list[Traits]:
    found: list[Traits] = []
    after = ""
    while page := evidence.page(conn, after, LEARNING_PAGE):
        found += page
        after = "/".join(page[-1].ref)
    return found


def rerun(hub: Hub, *, actor: str) -> int:
    """Have all party records read and decided on again in the background; the job's id."""
    with hub.database.write() as conn:
        return _queue(conn, actor=actor)


def _queue(conn: Connection, *, actor: str) -> int:
    weights = stored_weights.current(conn).version
    id_ = jobs.add(conn, RERUN, "", "", {"weights": weights}, actor=actor)
    jobs.advance(conn, id_, None, total=2 * evidence.count(conn))
    return id_


def step(hub: Hub, lane: Lane, job: Job) -> bool:
    """A slice of the walk through all party records, each with all it hangs together with.

    Whoever was settled under other weights is settled under those in use when its turn comes, and
    what changes meanwhile sees the same weights; so the walk ends where any order of arrival does.
    """
    works = (_store_missing, _decide_anew)
    number, after = orjson.loads(job.cursor) if job.cursor else (0, "")
    while lane.has_time and number < len(works):
        with hub.database.read() as conn:
            names = evidence.parties(conn, after, PAGE)
        following = (number, names[-1]) if names else (number + 1, "")

        def story(
            conn: Connection,
            names: list[str] = names,
            work: Callable[[Connection, Hub, list[str]], object] = works[number],
            at: tuple[int, str] = following,
        ) -> None:
            identity_lock(conn)
            lane.hold(conn)
            work(conn, hub, names)
            jobs.advance(conn, job.id, orjson.dumps(at).decode(), len(names))

        hub.database.run(story)
        number, after = following
    return bool(number >= len(works))


def _store_missing(conn: Connection, hub: Hub, names: list[str]) -> None:
    """What an older version did not keep, evidence and sums, before anybody is decided on without.

    Profiles that did not know it are built anew.
    """
    missing = set(names) - evidence.stored(conn, names).keys()
    items = list(evidence.read(conn, missing).values())
    evidence.save(conn, items, [Change(item.traits.ref, None, item.traits) for item in items])
    rebuild(conn, hub, (), missing | tallies.mend(conn, names), told=False)


def _decide_anew(conn: Connection, hub: Hub, names: list[str]) -> None:
    _anew(conn, hub, names, actor="hub")


# ---- why


def explain(conn: Connection, a: str, b: str) -> dict[str, Any] | None:
    """Why two party records are one customer or not; None when one of them is unknown.

    ``evidence`` is the table of fields with what each weighs in bits (log2 of the odds), ``guards``
    what forbids a match, ``customers`` whose they are now, ``decisions`` what was decided of both.
    """
    found = evidence.load(conn, (a, b))
    if len({a, b} & found.keys()) < 2:
        return None
    weights = stored_weights.current(conn)
    whose = customers.links(conn, (a, b))
    return {
        **weighed(found[a], found[b], _scorer(conn, found.values(), weights)),
        "weights": weights.version,
        "customers": {name: whose.get(name) for name in (a, b)},
        "decisions": customers.about(conn, a, b),
    }


def _scorer(conn: Connection, records: Iterable[Traits], weights: Weights) -> Scorer:
    keys = {key: None for t in records for key in contact_keys(t)}
    held = evidence.Holders(conn, ()).holders(list(keys))
    sure = {key: [t for t in found if not t.is_claim] for key, found in held.items()}
    return Scorer(weights, {key: matching.spread(found) for key, found in sure.items() if found})


def weighed(a: Traits, b: Traits, scorer: Scorer) -> dict[str, Any]:
    """The evidence table of two records, what it comes to, and the guards that speak."""
    guard = ""
    if a.is_claim or b.is_claim:
        guard = "what a stranger claims goes to whoever surely has it, and merges nobody"
    elif a.kind != b.kind:
        guard = "a person and an organisation are never one customer"
    if guard:
        nothing = {"evidence": [], "prior_bits": 0.0, "bits": 0.0}
        return {**nothing, "verdict": "no match", "guards": [guard]}
    decided, guards = matching.verdict(a, b, scorer)
    rows = [
        {"field": r.field, "level": r.level, "bits": round(r.bits, 2)} for r in scorer.rows(a, b)
    ]
    return {
        "evidence": rows,
        "prior_bits": round(-scorer.weights.prior_bits(a.kind), 2),
        "bits": round(scorer.bits(a, b), 2),
        "verdict": decided,
        "guards": guards,
    }
