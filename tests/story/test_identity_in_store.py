"""One changed record at a time, by index look-ups only, leads to what a full run would say."""

from __future__ import annotations

import random
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from bench.people import people
from hub.identity import keys, matching
from hub.identity.cluster import Verdict
from hub.identity.keys import CONTACT_HOLDERS_MAX
from hub.identity.matching import MemoryIndex, Settled
from hub.identity.resolve import Evidence, evidence_of
from hub.identity.traits import name_of, ref_of
from hub.identity.weights import shipped
from hub.models import ContactPoint, Level, Organization, Person, Ref
from hub.pipeline.absorb import settle
from hub.store import bulk, customers, evidence, read, schema
from hub.store.db import Database

NAMES = ["", "李娜", "Li Na", "王强", "王总"]


def known(
    ref: str,
    name: str,
    *points: tuple[str, str],
    level: Level = Level.RECORDED,
    kind: str = "Person",
) -> Evidence:
    told = [ContactPoint(type=type_, value=value, level=level) for type_, value in points]
    return mixed(ref, name, told, kind)


def mixed(ref: str, name: str, points: Iterable[ContactPoint], kind: str = "Person") -> Evidence:
    cls = Person if kind == "Person" else Organization
    connection, stream, id_ = ref.split("/")
    at = Ref(connection=connection, stream=stream, id=id_)
    return evidence_of(cls(ref=at, name=name, contact_points=tuple(points)), "CN")


point = st.builds(
    ContactPoint,
    type=st.just("phone"),
    value=st.sampled_from(["13912345671", "13998765432"]),
    level=st.sampled_from(list(Level)),
) | st.builds(
    ContactPoint,
    type=st.sampled_from(["email", "unionid"]),
    value=st.sampled_from(["na.li@acme.cn", "qiang@beta.cn"]),
    level=st.sampled_from(list(Level)),
)
step = st.builds(
    mixed,
    ref=st.sampled_from([f"crm/people/{n}" for n in range(7)]),
    name=st.sampled_from(NAMES),
    points=st.lists(point, max_size=3),
    kind=st.sampled_from(["Person", "Organization"]),
)


def all_at_once(items: Iterable[Evidence], said: Iterable[Verdict] = ()) -> set[frozenset[str]]:
    index = MemoryIndex()
    index.said = list(said)
    changes = [index.put(item.traits) for item in items]
    groups = matching.settle(index, changes, shipped()).groups
    return {frozenset(map(name_of, group.refs)) for group in groups}


def linked(conn: Connection, refs: Iterable[str]) -> set[frozenset[str]]:
    by_customer: dict[str, set[str]] = {}
    for ref, id_ in customers.links(conn, refs).items():
        by_customer.setdefault(id_, set()).add(ref)
    return {frozenset(refs) for refs in by_customer.values()}


word = st.tuples(
    st.sampled_from(["confirm", "reject", "gone"]),
    st.integers(min_value=0),
    st.integers(min_value=0),
)


@pytest.mark.parametrize("holders_max", [CONTACT_HOLDERS_MAX, 2])
@given(
    steps=st.lists(st.lists(step, min_size=1, max_size=4) | word, min_size=1, max_size=10),
    seed=st.randoms(use_true_random=False),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_arrival_order_and_batch_size_of_any_changes_and_words(
    steps: list[list[Evidence] | tuple[str, int, int]],
    seed: random.Random,
    holders_max: int,
    sqlite_template: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / f"{uuid.uuid4().hex}.db"
    shutil.copy(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    with few_are_many(holders_max), database.write() as conn:
        now, said = live(conn, steps)
        found = linked(conn, now)
        assert evidence.stored(conn, now) == {ref: item.traits for ref, item in now.items()}
        told = list(now.values())
        seed.shuffle(told)
        assert found == all_at_once(told, said)
    database.close()


@contextmanager
def few_are_many(most: int) -> Iterator[None]:
    """So many holders of a contact key are compared, so that small worlds have floods too."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (keys, matching, evidence):
            patch.setattr(module, "CONTACT_HOLDERS_MAX", most)
        yield


def live(
    conn: Connection, steps: Iterable[list[Evidence] | tuple[str, int, int]]
) -> tuple[dict[str, Evidence], list[Verdict]]:
    """Batches arrive, and people say that two records of those there are one customer or not."""
    now: dict[str, Evidence] = {}
    said: list[Verdict] = []
    for told in steps:
        if isinstance(told, list):
            newest = {item.ref: item for item in told}
            now |= newest
            settle(conn, list(newest.values()), [], actor="test")
        elif len(now) > 1:
            verb, one, other = told
            a, b = sorted(now)[one % len(now)], sorted(now)[other % len(now)]
            if verb == "gone":
                del now[a]
                settle(conn, [], [a], actor="test")
            elif a != b:
                customers.say(conn, verb, [(a, b)], actor="test", why="")
                said.append(Verdict(verb, ref_of(a), ref_of(b), len(said)))
                settle(conn, [now[a], now[b]], [], actor="test")
    return now, said


def test_words_between_batches_on_each_database(database_url: str) -> None:
    chance = random.Random(9)
    told = [_party(made.record) for made in people(15, seed=5)]
    steps: list[list[Evidence] | tuple[str, int, int]] = []
    for at in range(0, len(told), 5):
        steps.append(told[at : at + 5])
        verb = chance.choice(["confirm", "reject"])
        steps.append((verb, chance.randrange(100), chance.randrange(100)))
    database = Database(database_url)
    with database.write() as conn:
        now, said = live(conn, steps)
        found = linked(conn, now)
    database.close()
    assert said
    assert found == all_at_once(told, said)


@pytest.mark.parametrize(("seed", "batch"), [(1, 1), (2, 7), (3, 200)])
def test_a_company_of_customers_in_any_order(database_url: str, seed: int, batch: int) -> None:
    chance = random.Random(seed)
    told = [_party(made.record) for made in people(40, seed=3)]
    chance.shuffle(told)
    database = Database(database_url)
    with database.write() as conn:
        for at in range(0, len(told), batch):
            settle(conn, told[at : at + batch], [], actor="test")
        gone = [item.ref for item in told[:20]]
        settle(conn, [], gone, actor="test")
        found = linked(conn, [item.ref for item in told])
    database.close()
    assert found == all_at_once(told[20:])


def _party(row: dict[str, object]) -> Evidence:
    points = [ContactPoint(type="phone", value=value) for value in row["phones"]]  # type: ignore[attr-defined]
    points += [ContactPoint(type="email", value=value) for value in row["emails"]]  # type: ignore[attr-defined]
    kind = "Organization" if row["kind"] == "org" else "Person"
    return mixed(f"{row['source']}/people/{row['source_id']}", str(row["name"] or ""), points, kind)


@pytest.mark.parametrize("batch", [1, 7])
def test_a_value_that_too_many_come_to_hold_parts_its_holders_again(
    database_url: str, batch: int
) -> None:
    database = Database(database_url)
    many = [
        known(f"crm/people/{n:03}", "", ("phone", "13912345671"))
        for n in range(CONTACT_HOLDERS_MAX + 5)
    ]
    with database.write() as conn:
        for at in range(0, len(many), batch):
            settle(conn, many[at : at + batch], [], actor="test")
        found = linked(conn, [p.ref for p in many])
        settle(conn, [], [p.ref for p in many[:10]], actor="test")
        rest = linked(conn, [p.ref for p in many])
    database.close()
    assert len(found) == len(many)
    assert len(rest) == 1


def test_500_behind_one_switchboard_stay_500(database_url: str) -> None:
    names = [
        f"{a}{b}{c}"
        for a in "王李张刘陈杨黄赵"
        for b in "伟芳娜敏静丽强磊"
        for c in "军洋勇艳杰娟涛明"
    ]
    staff = [
        known(f"crm/people/{n}", names[n], ("phone", "021-62307083"), ("email", f"p{n}@a.cn"))
        for n in range(500)
    ]
    database = Database(database_url)
    with database.write() as conn:
        for at in range(0, 500, 40):
            settle(conn, staff[at : at + 40], [], actor="test")
        found = linked(conn, [p.ref for p in staff])
    database.close()
    assert len(found) == 500


def test_a_recycled_number_does_not_join_its_owners(database_url: str) -> None:
    number = ("phone", "13912345671")
    before = known("crm/people/1", "李娜", number, ("member_no", "M1001"))
    after = known("shop/people/2", "李娜", number, ("member_no", "M2002"))
    nameless = known("hotline/people/3", "", number)
    database = Database(database_url)
    with database.write() as conn:
        for item in (before, nameless, after):
            settle(conn, [item], [], actor="test")
        whose = customers.links(conn, [before.ref, after.ref])
    database.close()
    assert len(set(whose.values())) == 2


def test_a_chain_of_look_alikes_does_not_collapse(database_url: str) -> None:
    names = ["周敏", "吴强", "郑丽", "王军", "冯娟", "陈涛"]
    phones = [("phone", f"1390000{n:02}11") for n in range(7)]
    mails = [("email", f"{n}{n}{n}@acme.cn") for n in "abcdef"]
    chain = [
        known(f"crm/people/{n}", names[n], phones[n], phones[n + 1], mails[n]) for n in range(6)
    ]
    database = Database(database_url)
    with database.write() as conn:
        for item in chain:
            settle(conn, [item], [], actor="test")
        found = linked(conn, [item.ref for item in chain])
    database.close()
    assert len(found) == len(chain)


def test_what_a_web_form_claims_never_merges_anybody(database_url: str) -> None:
    phone, mail = ("phone", "13912345671"), ("email", "qiang@beta.cn")
    a = known("crm/people/a", "李娜", phone)
    b = known("crm/people/b", "王强", mail)
    database = Database(database_url)
    with database.write() as conn:
        settle(conn, [a, b], [], actor="test")
        for n in range(CONTACT_HOLDERS_MAX + 5):  # nor do many of them part anybody
            form = known(f"web/forms/{n}", "李娜", phone, mail, level=Level.CLAIMED)
            settle(conn, [form], [], actor="test")
        c = known("erp/people/c", "李娜", phone)
        settle(conn, [c], [], actor="test")
        forms = {f"web/forms/{n}" for n in range(CONTACT_HOLDERS_MAX + 5)}
        found = linked(conn, [a.ref, b.ref, c.ref, *forms])
    database.close()
    alone = {frozenset({ref}) for ref in forms}
    assert found == {frozenset({a.ref, c.ref}), frozenset({b.ref})} | alone


@pytest.mark.parametrize("batch", [1, 7, 100])
@pytest.mark.parametrize("when", ["first", "between", "last"])
def test_whoever_sends_many_forms_keeps_them_all(database_url: str, when: str, batch: int) -> None:
    phone, mail = ("phone", "13912345671"), ("email", "na.li@acme.cn")
    owner = known("crm/people/a", "李娜", phone, mail)
    forms = [
        known(f"web/forms/{n}", "娜娜", (phone, mail)[n % 2], level=Level.CLAIMED)
        for n in range(2 * CONTACT_HOLDERS_MAX + 10)
    ]
    at = {"first": 0, "between": len(forms) // 2, "last": len(forms)}[when]
    told = [*forms[:at], owner, *forms[at:]]
    refs = [item.ref for item in told]
    database = Database(database_url)
    with database.write() as conn:
        for n in range(0, len(told), batch):
            settle(conn, told[n : n + batch], [], actor="test")
        kept = linked(conn, refs)
        number = ("phone", "13998765432")
        settle(conn, [known(owner.ref, "李娜", number)], [], actor="test")
        without = linked(conn, refs)
        settle(conn, [owner], [], actor="test")
        again = linked(conn, refs)
        settle(conn, [known(forms[0].ref, "娜娜", number, level=Level.CLAIMED)], [], actor="test")
        one_less = linked(conn, refs)
    database.close()
    assert kept == again == {frozenset(refs)}
    assert frozenset({owner.ref}) in without
    assert one_less == {frozenset(refs) - {forms[0].ref}, frozenset({forms[0].ref})}


@pytest.mark.parametrize("forms", [30, 60])
def test_one_more_form_looks_at_no_other(
    database_url: str, forms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = ("phone", "13912345671")
    told = [known(f"web/forms/{n}", "", phone, level=Level.CLAIMED) for n in range(forms)]
    looked_at: list[set[str]] = []
    settle_all = matching.settle

    def noted(*given: Any) -> Settled:
        found = settle_all(*given)
        looked_at.append({name_of(ref) for group in found.groups for ref in group.refs})
        return found

    monkeypatch.setattr(matching, "settle", noted)
    database = Database(database_url)
    with database.write() as conn:
        settle(conn, [known("crm/people/a", "李娜", phone), *told], [], actor="test")
        settle(conn, [known("web/forms/x", "", phone, level=Level.CLAIMED)], [], actor="test")
        found = linked(conn, ["crm/people/a", "web/forms/x", *(item.ref for item in told)])
    database.close()
    assert looked_at[1:] == [{"crm/people/a", "web/forms/x"}]
    assert len(found) == 1


def test_what_is_claimed_goes_to_its_one_owner_whoever_comes_first(database_url: str) -> None:
    phone = ("phone", "13912345671")
    form = known("web/forms/1", "娜娜", phone, level=Level.CLAIMED)
    owner = known("crm/people/a", "李娜", phone)
    database = Database(database_url)
    with database.write() as conn:
        settle(conn, [form], [], actor="test")
        settle(conn, [owner], [], actor="test")
        found = linked(conn, [form.ref, owner.ref])
        other = known("crm/people/b", "王强", phone)
        settle(conn, [other], [], actor="test")
        apart = linked(conn, [form.ref, owner.ref, other.ref])
    database.close()
    assert len(found) == 1
    assert len(apart) == 3


def test_a_member_number_is_certain_whatever_the_names(database_url: str) -> None:
    a = known("crm/people/a", "李娜", ("member_no", "M1027"))
    b = known("shop/people/b", "王强", ("member_no", "M1027"))
    other = known("shop/people/c", "李娜", ("member_no", "M9"), ("phone", "13912345671"))
    same = known("crm/people/d", "李娜", ("member_no", "M7"), ("phone", "13912345671"))
    database = Database(database_url)
    with database.write() as conn:
        settle(conn, [a, b, other, same], [], actor="test")
        found = linked(conn, [a.ref, b.ref, other.ref, same.ref])
    database.close()
    assert found == {frozenset({a.ref, b.ref}), frozenset({other.ref}), frozenset({same.ref})}


def test_a_number_said_twice_is_held_once(database_url: str) -> None:
    twice = ContactPoint(type="unionid", value="oAb3", level=Level.CLAIMED)
    a, b = (mixed(f"web/forms/{n}", "", [twice, twice]) for n in "ab")
    database = Database(database_url)
    with few_are_many(2), database.write() as conn:
        settle(conn, [a, b], [], actor="test")
        found = linked(conn, [a.ref, b.ref])
    database.close()
    assert found == {frozenset({a.ref, b.ref})}


def test_what_older_code_left_under_a_key_stops_nobody(database_url: str) -> None:
    a, b = (known(f"crm/people/{n}", "李娜", ("phone", "13912345671")) for n in "ab")
    form = known("web/forms/1", "", ("phone", "13912345671"), level=Level.CLAIMED)
    left = [
        {"key": key, "claimed": claimed, "ref": f"old/people/{ref}"}
        for key, _ in evidence.placed(a.traits)
        for claimed in (False, True)
        for ref in range(1 + claimed * CONTACT_HOLDERS_MAX)
    ]
    database = Database(database_url)
    with database.write() as conn:
        bulk.insert(conn, schema.holder, left)
        settle(conn, [a, form], [], actor="test")
        settle(conn, [b], [], actor="test")
        found = linked(conn, [a.ref, b.ref, form.ref])
    database.close()
    assert found == {frozenset({a.ref, b.ref, form.ref})}


def test_a_merged_id_redirects_to_its_survivor_for_ever(database_url: str) -> None:
    database = Database(database_url)
    phone, mail = ("phone", "13912345671"), ("email", "na.li@acme.cn")
    a = known("crm/people/a", "李娜", phone)
    b = known("crm/people/b", "李娜", mail)
    with database.write() as conn:
        settle(conn, [a], [], actor="test")
        settle(conn, [b], [], actor="test")
        before = customers.links(conn, [a.ref, b.ref])
        assert len(set(before.values())) == 2
        both = known("crm/people/c", "李娜", phone, mail)
        settle(conn, [both], [], actor="test")
        (survivor,) = set(customers.links(conn, [a.ref, b.ref, both.ref]).values())
        assert {read.current_id(conn, id_) for id_ in before.values()} == {survivor}
        settle(conn, [], [both.ref], actor="test")
        after = customers.links(conn, [a.ref, b.ref])
    database.close()
    assert len(set(after.values())) == 2
    assert survivor in after.values()
