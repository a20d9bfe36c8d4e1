"""Guards, and the same customers for every order of arrival, all at once or one by one."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.people import people
from hub.identity import train, weights
from hub.identity.cluster import Verdict
from hub.identity.matching import Batch, MemoryIndex, Scorer, resolve, settle, spread, verdict
from hub.identity.traits import Ref, Traits, read_traits
from hub.identity.weights import Weights

PHONE, OTHER_PHONE, SWITCHBOARD = "13912345670", "13987654320", "021-62307083"


def who(id_: str, name: str | None = None, **more: Any) -> Traits:
    return read_traits({"source": "crm", "source_id": id_, "name": name, **more})


def firm(id_: str, name: str, **more: Any) -> Traits:
    return read_traits({"source": "erp", "source_id": id_, "kind": "org", "name": name, **more})


def customers(*records: Traits) -> set[frozenset[str]]:
    batch = Batch(records)
    return {frozenset(ref[1] for ref in group) for group in resolve(batch, weights.shipped())}


def test_one_phone_and_one_name_are_one_customer() -> None:
    found = customers(
        who("1", "李娜", phones=[PHONE]),
        who("2", "Na Li", phones=[f"+86 {PHONE}"]),
        who("3", "李女士", phones=[PHONE]),
        who("4", None, phones=[PHONE]),
    )
    assert found == {frozenset("1234")}


def test_500_people_behind_one_switchboard_stay_500() -> None:
    names = [
        f"{a}{b}{c}"
        for a in "王李张刘陈杨黄赵"
        for b in "伟芳娜敏静丽强磊"
        for c in "军洋勇艳杰娟涛明"
    ]
    records = [who(str(i), names[i], phones=[SWITCHBOARD]) for i in range(500)]
    assert len(customers(*records)) == 500


def test_a_surname_is_no_name_behind_a_shared_phone() -> None:
    found = customers(
        who("1", "王强", phones=[SWITCHBOARD]),
        who("2", "王敏", phones=[SWITCHBOARD]),
        who("3", "王总", phones=[SWITCHBOARD]),
        who("4", "王经理", phones=[SWITCHBOARD]),
    )
    assert frozenset("12") not in {group & frozenset("12") for group in found}


def test_a_namesake_is_somebody_else() -> None:
    found = customers(
        who("1", "欧阳震华", phones=[PHONE]), who("2", "欧阳震华", phones=[OTHER_PHONE])
    )
    assert found == {frozenset("1"), frozenset("2")}


def test_the_nameless_never_bridges_two() -> None:
    found = customers(
        who("1", "王强", phones=[PHONE]),
        who("2", "赵敏", phones=[OTHER_PHONE]),
        who("3", None, phones=[PHONE, OTHER_PHONE]),
    )
    assert not any({"1", "2"} <= group for group in found)


def test_two_unionids_refuse() -> None:
    one = who("1", "李娜", phones=[PHONE], identifiers={"unionid": "oAb3"})
    other = who("2", "李娜", phones=[PHONE], identifiers={"unionid": "oXy9"})
    assert customers(one, other) == {frozenset("1"), frozenset("2")}


def test_what_each_account_knows_a_person_by_joins_and_never_parts() -> None:
    found = customers(
        who("1", None, identifiers={"openid": "oAb3x"}),
        who("2", "小明", identifiers={"openid": "oAb3x", "unionid": "uAb3x"}),
        who("3", "小明", identifiers={"openid": "oXy9z", "unionid": "uAb3x"}),
        who("4", "李总", identifiers={"external_userid": "wmQ1r", "unionid": "uAb3x"}),
        who("5", "李总-备件", identifiers={"external_userid": "wmQ1r"}),
        who("6", "小明", identifiers={"openid": "oZz7y", "unionid": "uCd4y"}),
    )
    assert found == {frozenset("12345"), frozenset("6")}


def test_a_recycled_number_joins_neither_owner() -> None:
    found = customers(
        who("1", "张健", phones=[PHONE], updated_at="2022-01-01T00:00:00Z"),
        who("2", "张健", phones=[PHONE], updated_at="2022-02-01T00:00:00Z"),
        who("3", "谢玮玲", phones=[PHONE], updated_at="2025-01-01T00:00:00Z"),
    )
    assert found == {frozenset("12"), frozenset("3")}


def test_a_branch_is_not_its_parent() -> None:
    shared: dict[str, Any] = {"phones": [SWITCHBOARD], "emails": ["info@ruiheng.cn"]}
    found = customers(
        firm("1", "瑞恒科技有限公司", **shared),
        firm("2", "瑞恒科技有限公司天津分公司", **shared),
        firm("3", "瑞恒科技有限公司", **shared),
    )
    assert found == {frozenset("13"), frozenset("2")}


def test_differing_tax_ids_refuse() -> None:
    one = firm(
        "1", "瑞恒科技有限公司", phones=[SWITCHBOARD], identifiers={"tax_id": "91350100M000100Y43"}
    )
    other = firm(
        "2", "瑞恒科技有限公司", phones=[SWITCHBOARD], identifiers={"tax_id": "91330106MA045K836G"}
    )
    assert customers(one, other) == {frozenset("1"), frozenset("2")}


def test_a_chain_of_look_alikes_does_not_collapse() -> None:
    born = {"birth_date": "1990-01-01"}
    names = ["Jan Berg", "Jan Berger", "Jan Bergers", "Jon Burgers", "Jon Burgess", "Tom Burgess"]
    records = [who(str(i), name, attributes=born) for i, name in enumerate(names)]
    assert not any({"0", "5"} <= group for group in customers(*records))


def test_a_person_and_a_company_stay_two() -> None:
    found = customers(
        who("1", "李娜", phones=[PHONE]), firm("2", "李娜商贸有限公司", phones=[PHONE])
    )
    assert found == {frozenset("1"), frozenset("2")}


def test_the_verdict_names_its_guards() -> None:
    one = who("1", "李娜", phones=[PHONE], identifiers={"unionid": "oAb3"})
    other = who("2", "李娜", phones=[PHONE], identifiers={"unionid": "oXy9"})
    decided, guards = verdict(one, other, Scorer(weights.shipped(), {}))
    assert decided == "no match"
    assert "two values of unionid" in guards


def said(index: MemoryIndex, *records: Traits) -> set[frozenset[str]]:
    found = settle(index, [index.put(t) for t in records], weights.shipped())
    return {frozenset(ref[1] for ref in group.refs) for group in found.groups}


def test_a_persons_word_is_never_overridden_but_by_a_newer_one() -> None:
    a, b = who("1", "李娜", phones=[PHONE]), who("2", "李娜", phones=[PHONE])
    c = who("3", "赵敏", phones=[OTHER_PHONE])
    index = MemoryIndex()
    index.said = [Verdict("reject", b.ref, a.ref, 1), Verdict("confirm", a.ref, c.ref, 2)]
    assert said(index, a, b, c) == {frozenset("13"), frozenset("2")}
    index.said += [Verdict("reject", c.ref, a.ref, 3), Verdict("confirm", a.ref, b.ref, 4)]
    assert said(index, a, b, c) == {frozenset("12"), frozenset("3")}


def test_a_newer_rejection_parts_what_others_were_confirmed_to_be() -> None:
    a, b, c = (who(str(n), name) for n, name in enumerate(("李娜", "赵敏", "王强"), 1))
    index = MemoryIndex()
    index.said = [
        Verdict("confirm", a.ref, b.ref, 1),
        Verdict("confirm", b.ref, c.ref, 2),
        Verdict("reject", a.ref, c.ref, 3),
    ]
    assert said(index, a, b, c) == {frozenset("1"), frozenset("23")}


def test_member_numbers_in_a_row_are_no_slips() -> None:
    one = who("1", "李娜", phones=[PHONE], identifiers={"member_no": "M1001"})
    other = who("2", "李娜", phones=[PHONE], identifiers={"member_no": "M1002"})
    assert customers(one, other) == {frozenset("1"), frozenset("2")}


def test_numbers_and_mailboxes_in_a_row_join_no_namesakes() -> None:
    made = [
        who(
            str(n),
            "王伟",
            phones=[f"1391234567{n}"],
            emails=[f"wang0{n}@acme.cn"],
            attributes={"city": "上海"},
        )
        for n in range(1, 5)
    ]
    assert len(customers(*made)) == 4


def test_what_lies_between_is_for_a_person() -> None:
    made = [
        who(
            str(n),
            "欧阳震华",
            phones=[f"1391234567{n}"],
            emails=[f"ou{n}@acme.cn"],
            attributes={"city": "上海"},
        )
        for n in (1, 2)
    ]
    index = MemoryIndex()
    found = settle(index, [index.put(t) for t in made], weights.shipped())
    assert [(pair.a, pair.b) for pair in found.doubts] == [(made[0].ref, made[1].ref)]


# ---- order does not matter

SOME = [read_traits(made.record) for made in people(60, seed=3)]
LEARNED = train.learn(Batch(SOME), weights.shipped())


def as_batch(records: list[Traits], by: Weights) -> set[frozenset[Ref]]:
    return {frozenset(group) for group in resolve(Batch(records), by)}


def one_by_one(records: list[Traits], by: Weights) -> set[frozenset[Ref]]:
    index = MemoryIndex()
    of: dict[Ref, frozenset[Ref]] = {}
    for after in records:
        for group in settle(index, [index.put(after)], by).groups:
            of |= dict.fromkeys(group.refs, frozenset(group.refs))
    return set(of.values())


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_every_order_gives_the_same_customers(chance: random.Random) -> None:
    records = SOME[:]
    chance.shuffle(records)
    assert as_batch(records, LEARNED) == one_by_one(records, LEARNED) == as_batch(SOME, LEARNED)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_changes_and_removals_leave_what_a_full_run_finds(chance: random.Random) -> None:
    index = MemoryIndex()
    of: dict[Ref, frozenset[Ref]] = {}
    for after in SOME:
        settle_into(of, index, after)
    for t in chance.sample(SOME, 20):
        donor = chance.choice(SOME)
        settle_into(of, index, t._replace(phones=donor.phones, name=donor.name))
    for ref in chance.sample(sorted(of), 10):
        change = index.drop(ref)
        del of[ref]
        for group in settle(index, [change], LEARNED).groups:
            of |= dict.fromkeys(group.refs, frozenset(group.refs))
    assert set(of.values()) == as_batch(index.all(), LEARNED)


def settle_into(of: dict[Ref, frozenset[Ref]], index: MemoryIndex, after: Traits) -> None:
    for group in settle(index, [index.put(after)], LEARNED).groups:
        of |= dict.fromkeys(group.refs, frozenset(group.refs))


def test_a_popular_value_costs_no_more_than_its_limit() -> None:
    records = [who(str(i), None, phones=[SWITCHBOARD]) for i in range(2000)]
    assert len(Batch(records).candidates) == 0


def test_learning_finds_how_many_records_a_customer_has() -> None:
    records = [read_traits(made.record) for made in people(1500, seed=5)]
    learned = train.learn(Batch(records), weights.shipped())
    assert learned.per_customer["person"] == pytest.approx(3.7, abs=0.8)


def test_weights_come_back_from_their_document() -> None:
    again = weights.loads(weights.dumps(LEARNED))
    assert again.version == LEARNED.version


def test_the_document_of_weights_holds_no_birth_date_and_no_address() -> None:
    made = [
        who(str(n), "李娜", address="上海市南京路100号", attributes={"birth_date": "1987-03-09"})
        for n in range(30)
    ]
    learned = train.counted(made, weights.shipped())
    assert {*learned.counts} >= weights.PERSONAL
    again = weights.loads(weights.dumps(learned))
    assert again.counts.keys().isdisjoint(weights.PERSONAL)
    assert again.frequency("born", "19870309") == 1 / 30


@settings(max_examples=30, deadline=None)
@given(
    st.permutations(["王强", "Wang Qiang", "Qiang Wang", "王 蔷", "王蔷蔷", "汪强", "王总", None])
)
def test_how_many_stand_behind_a_number_does_not_depend_on_their_order(
    names: list[str | None],
) -> None:
    known = sorted(names, key=str)
    found = [who(str(known.index(name)), name, phones=[PHONE]) for name in names]
    assert spread(found) == spread(sorted(found, key=lambda t: t.ref))
