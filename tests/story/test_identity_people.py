"""What people say about who is who is obeyed for ever; doubts are theirs; weights are learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from sqlalchemy import delete

from bench.people import people
from hub.errors import ConfigError
from hub.pipeline import identity, jobs
from hub.pipeline.absorb import settle
from hub.pipeline.lane import leased
from hub.registry import Hub
from hub.store import accounts, customers, evidence, leases, read, reviews, schema, tallies
from hub.store import weights as stored_weights
from hub.web import create_app
from hub.web.identity_api import ReviewPair
from tests.story.helpers import account, demo, pull, scalar
from tests.story.test_identity_in_store import linked
from tests.story.test_syncs import work
from tests.story.test_trace import statements

Open = Callable[..., Hub]


def put(hub: Hub, connection: str, id_: str, **row: Any) -> str:
    account(hub, connection).put("customers", {"id": id_, **row})
    pull(hub, connection, "customers")
    return f"{connection}/customers/{id_}"


def whose(hub: Hub, *refs: str) -> list[str]:
    with hub.database.read() as conn:
        found = customers.links(conn, refs)
    return [found[ref] for ref in refs]


def test_a_word_is_obeyed_whatever_comes_later(open_with: Open) -> None:
    hub = open_with({"crm": demo(), "desk": demo()})
    a = put(hub, "crm", "1", name="李娜", phone="13912345671")
    b = put(hub, "desk", "7", name="王敏", phone="13998765432")
    identity.say(hub, "confirm", a, b, actor="admin", why="same ID card")
    assert len(set(whose(hub, a, b))) == 1
    put(hub, "crm", "1", name="李娜", phone="13912345699")
    assert len(set(whose(hub, a, b))) == 1
    identity.say(hub, "reject", b, a, actor="admin")
    assert len(set(whose(hub, a, b))) == 2
    put(hub, "desk", "7", name="李娜", phone="13912345699")
    assert len(set(whose(hub, a, b))) == 2
    with hub.database.read() as conn:
        told = identity.explain(conn, a, b)
    assert told is not None
    said = [(d["verb"], d["actor"], d["why"]) for d in told["decisions"] if d["a"]]
    assert said == [("confirm", "admin", "same ID card"), ("reject", "admin", "")]
    assert told["verdict"] == "match"  # of the two alone
    assert {row["field"] for row in told["evidence"]} >= {"family", "given", "phone"}


def test_merge_then_work_then_split_gives_what_there_was_and_the_new_facts(open_with: Open) -> None:
    hub = open_with({"crm": demo(), "shop": demo()})
    a = put(hub, "crm", "1", name="李娜", phone="13912345671", member_no="M1001")
    b = put(hub, "shop", "2", name="王敏", phone="13998765432", member_no="M2002")
    before = whose(hub, a, b)
    identity.merge(hub, *before, actor="admin")
    (one,) = set(whose(hub, a, b))
    account(hub, "shop").put("orders", {"id": "O1", "number": "SO1", "customer_id": "2"})
    pull(hub, "shop", "orders")
    with hub.database.read() as conn:
        assert {read.current_id(conn, id_) for id_ in before} == {one}
        assert "SO1" in read.profile_json(conn, one).document  # type: ignore[union-attr]
    identity.split(hub, one, [b], actor="admin")
    mine, theirs = whose(hub, a, b)
    assert mine != theirs
    with hub.database.read() as conn:
        assert "SO1" not in read.profile_json(conn, mine).document  # type: ignore[union-attr]
        assert "SO1" in read.profile_json(conn, theirs).document  # type: ignore[union-attr]
        assert {read.current_id(conn, id_) for id_ in before} <= {mine, theirs}


SYNC = {
    "id": "customers",
    "streams": ["crm/customers", "shop/customers"],
    "create": [],
    "fields": ["name", "tier"],
}


def shown(hub: Hub, connection: str, id_: str) -> dict[str, Any]:
    return next(
        row
        for _, _, row in account(hub, connection).changes("customers")
        if row is not None and row["id"] == id_
    )


def test_a_split_offers_to_write_back_what_the_parted_had_of_one_another(open_with: Open) -> None:
    hub = open_with({"crm": demo(), "shop": demo()}, syncs=[SYNC])
    a = put(hub, "crm", "1", name="李娜", phone="13912345671", tier="gold")
    b = put(hub, "shop", "2", name="王敏", phone="13998765432", tier="silver")
    work(hub)
    merged = identity.merge(hub, *whose(hub, a, b), actor="admin")
    assert (len(merged.customers), len(merged.writes), merged.offers) == (1, 1, [])
    work(hub)
    assert shown(hub, "shop", "2")["name"] == "李娜"
    account(hub, "shop").put("customers", {"id": "2", "tier": "VIP"})  # work between the two
    work(hub)
    assert shown(hub, "crm", "1")["tier"] == "VIP"
    parted = identity.split(hub, merged.customers[0], [b], actor="admin", write_back=True)
    assert len(parted.customers) == 2
    assert {(o.ref, o.path, o.before) for o in parted.offers} == {
        (b, "name", "王敏"),
        (a, "tier", "gold"),
    }
    assert len(parted.writes) == 2
    work(hub)
    assert [shown(hub, "crm", "1")[k] for k in ("name", "tier")] == ["李娜", "gold"]
    assert [shown(hub, "shop", "2")[k] for k in ("name", "tier")] == ["王敏", "VIP"]


def test_the_api_tells_doubts_and_obeys(open_with: Open) -> None:
    hub = open_with({"crm": demo()})
    shared = {"name": "欧阳震华", "city": "上海"}
    a = put(hub, "crm", "1", phone="13912345671", email="ou1@acme.cn", **shared)
    b = put(hub, "crm", "2", phone="13912345672", email="ou2@acme.cn", **shared)
    with hub.database.write() as conn:
        tokens = {role: accounts.create_token(conn, role, role) for role in ("operator", "agent")}
    client = create_app(hub.settings, hub.database).test_client()

    def ask(method: str, path: str, role: str = "operator", **told: Any) -> Any:
        headers = {"Authorization": f"Bearer {tokens[role]}"}
        return client.open(f"/api/v1/{path}", method=method, headers=headers, json=told or None)

    (doubt,) = ask("GET", "reviews").get_json()["items"]
    assert (doubt["a"]["ref"], doubt["b"]["ref"]) == (a, b)
    assert doubt["evidence"]
    assert doubt.keys() == ReviewPair.model_fields.keys()
    assert ask("GET", "reviews", "agent").status_code == 403
    for bad in ({"a": f"{a}\0"}, {"b": f"{b}\0"}, {"why": "\0"}):
        told = {"verb": "confirm", "a": a, "b": b, **bad}
        assert ask("POST", "decisions", **told).status_code == 400
    (mine, _) = whose(hub, a, b)
    assert ask("POST", f"customers/{mine}/merge", other="\0").status_code == 400
    assert ask("POST", f"customers/{mine}/split", records=[f"{b}\0"]).status_code == 400
    for nobody in ("nobody", "%00", "x" * 65):
        assert ask("POST", f"customers/{nobody}/merge", other=mine).status_code == 404
        assert ask("POST", f"customers/{nobody}/split", records=[b]).status_code == 404
    said = ask("POST", "decisions", verb="confirm", a=a, b=b, why="called them").get_json()
    assert said["customers"] == sorted(set(whose(hub, a, b)))
    assert ask("GET", "reviews").get_json()["total"] == 0
    (one,) = said["customers"]
    assert ask("POST", f"customers/{one}/merge", other=one).status_code == 409
    parted = ask("POST", f"customers/{one}/split", records=[b]).get_json()
    assert sorted(parted["customers"]) == sorted(whose(hub, a, b))
    together = ask("POST", f"customers/{one}/merge", other=whose(hub, b)[0]).get_json()
    assert len(together["customers"]) == 1
    assert ask("POST", "decisions", "agent", verb="reject", a=a, b=b).status_code == 403
    assert scalar(hub, "SELECT count(*) FROM audit WHERE verb IN ('confirm', 'reject')") == 3


def test_words_that_name_nobody_are_refused(open_with: Open) -> None:
    hub = open_with({"crm": demo()})
    a = put(hub, "crm", "1", name="李娜", phone="13912345671")
    (id_,) = whose(hub, a)
    for said in (
        lambda: identity.say(hub, "confirm", a, "crm/customers/9", actor="admin"),
        lambda: identity.say(hub, "confirm", a, a, actor="admin"),
        lambda: identity.merge(hub, id_, id_, actor="admin"),
        lambda: identity.merge(hub, id_, "nobody", actor="admin"),
        lambda: identity.split(hub, id_, [a], actor="admin"),
        lambda: identity.split(hub, id_, ["crm/customers/9"], actor="admin"),
    ):
        with pytest.raises(ConfigError):
            said()
    assert scalar(hub, "SELECT count(*) FROM decision WHERE a IS NOT NULL") == 0


def test_what_lies_between_waits_for_a_person(open_with: Open) -> None:
    hub = open_with({"crm": demo()})
    shared = {"name": "欧阳震华", "city": "上海"}
    a = put(hub, "crm", "1", phone="13912345671", email="ou1@acme.cn", **shared)
    b = put(hub, "crm", "2", phone="13912345672", email="ou2@acme.cn", **shared)
    with hub.database.read() as conn:
        (found,) = reviews.page(conn)
    assert (found.a, found.b) == (a, b)
    assert [found.customer_a, found.customer_b] == whose(hub, a, b)
    put(hub, "crm", "3", phone="13912345674", email="ou4@acme.cn", **shared)
    with hub.database.read() as conn:
        with statements(hub) as few:
            (one,) = identity.doubts(conn, 1)
        with statements(hub) as more:
            assert len(identity.doubts(conn, 20)) == 3
        told = identity.explain(conn, one["a"]["ref"], one["b"]["ref"])
    assert len(few) == len(more)
    assert told is not None
    assert (one["evidence"], one["guards"]) == (told["evidence"], told["guards"])
    account(hub, "crm").remove("customers", "3")
    pull(hub, "crm", "customers")
    identity.say(hub, "reject", a, b, actor="admin")
    with hub.database.read() as conn:
        assert reviews.page(conn) == []
    put(hub, "crm", "2", phone="13912345673", email="ou3@acme.cn", **shared)
    with hub.database.read() as conn:
        assert reviews.page(conn) == []


def fill(hub: Hub) -> list[str]:
    """A few hundred records of made-up people and organisations."""
    rows: list[tuple[str, dict[str, Any]]] = []
    for made in people(150, seed=11):
        row: Any = made.record
        held = {"id": f"{row['source']}-{row['source_id']}", "version": "1", "name": row["name"]}
        held |= {"phone": row["phones"][:1] or None, "email": row["emails"][:1] or None}
        held = {k: v[0] if isinstance(v, list) else v for k, v in held.items() if v}
        kind = "organization" if row["kind"] == "org" else "person"
        rows.append(("customers", {**held, "kind": kind}))
    account(hub, "crm").fill(rows)
    pull(hub, "crm", "customers")
    return [f"crm/customers/{row['id']}" for _, row in rows]


def run(hub: Hub, id_: int) -> None:
    with hub.database.write() as conn:
        leases.ensure(conn, [jobs.lease_name(id_)])
    ended = False
    while not ended:
        with leased(hub, jobs.lease_name(id_)) as lane:
            assert lane is not None
            ended = jobs.run(hub, lane, id_)


def test_a_rerun_changes_nothing_and_stores_evidence_that_is_missing(open_with: Open) -> None:
    hub = open_with({"crm": demo()})
    refs = fill(hub)
    with hub.database.read() as conn:
        before, kept = linked(conn, refs), evidence.stored(conn, refs)
        ids = customers.links(conn, refs)
    assert 1 < len(before) < len(refs)
    with hub.database.write() as conn:  # as after the migration of an older hub
        for table in (schema.evidence, schema.holder, schema.review):
            conn.execute(delete(table))
    run(hub, identity.rerun(hub, actor="admin"))
    with hub.database.read() as conn:
        assert linked(conn, refs) == before
        assert customers.links(conn, refs) == ids
        assert evidence.stored(conn, refs) == kept


def test_the_walk_after_an_upgrade_counts_what_nobody_had_counted(open_with: Open) -> None:
    hub = open_with({"crm": demo()})
    ref = put(hub, "crm", "1", name="李娜", phone="13912345671")
    order = {"id": "O1", "number": "SO1", "customer_id": "1", "created_at": "2026-01-05T00:00:00Z"}
    account(hub, "crm").put("orders", order)
    pull(hub, "crm", "orders")
    (id_,) = whose(hub, ref)

    def sums() -> tuple[Any, bool]:
        with hub.database.write() as conn:  # for it holds them
            document = orjson.loads(read.profile_json(conn, id_).document)  # type: ignore[union-attr]
            return document.get("bases"), tallies.stored(conn, [ref]) == tallies.count_again(
                conn, [ref]
            )

    before = sums()
    with hub.database.write() as conn:  # as after the migration of an older hub
        for table in (schema.evidence, schema.holder, schema.tally):
            conn.execute(delete(table))
    put(hub, "crm", "1", name="李娜娜", phone="13912345671")  # so there is evidence of it
    assert sums() != before
    run(hub, identity.rerun(hub, actor="hub"))
    assert sums() == before
    assert before[1]


def test_weights_are_in_use_only_with_the_job_that_decides_anew(
    open_with: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = open_with({"crm": demo()})
    fill(hub)

    def killed(*_: Any, **__: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hub.store.jobs.add", killed)
        with pytest.raises(KeyboardInterrupt):
            identity.learn(hub, actor="admin")
    _, job = identity.learn(hub, actor="admin")
    assert job is not None


def test_weights_are_told_though_another_thread_drops_them(
    open_with: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dropped(dict[str, Any]):
        def __setitem__(self, *_: Any) -> None:
            """Another thread was quicker to forget it."""

    hub = open_with({"crm": demo()})
    fill(hub)
    version, _ = identity.learn(hub, actor="admin")
    monkeypatch.setattr(stored_weights, "_LOADED", Dropped())
    with hub.database.read() as conn:
        assert stored_weights.current(conn).version == version


def test_learned_weights_are_used_and_everybody_is_decided_on_anew(open_with: Open) -> None:
    hub = open_with({"crm": demo()})
    refs = fill(hub)
    version, job = identity.learn(hub, actor="admin")
    assert job is not None
    run(hub, job)
    with hub.database.read() as conn:
        weights = stored_weights.current(conn)
        known = evidence.stored(conn, refs)
        found = linked(conn, refs)
    assert weights.version == version
    with hub.database.write() as conn:  # as if all had arrived under these weights
        conn.execute(delete(schema.link))
        for table in (schema.evidence, schema.holder, schema.identifier):
            conn.execute(delete(table))
        settle(conn, list(evidence.read(conn, known).values()), [], actor="test")
        assert linked(conn, refs) == found
    assert identity.learn(hub, actor="admin") == (version, None)
