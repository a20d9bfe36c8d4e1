"""What is agreed on among copies, and who must be told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.syncs.decide import Member, Outcome, Write, decide, differing, resembles
from hub.syncs.spec import Plan

PATHS = ("name", "tier")
CRM, ERP = "crm/contacts", "erp/parties"


def plan_with(**owners: str) -> Plan:
    return Plan(
        "s", (CRM, ERP), (CRM, ERP), PATHS, dict.fromkeys((CRM, ERP), frozenset(PATHS)), owners
    )


def crm(base: dict[str, Any] | None = None, **values: Any) -> Member:
    return Member(f"{CRM}/1", CRM, {"name": "", "tier": "", **values}, base)


def erp(base: dict[str, Any] | None = None, **values: Any) -> Member:
    return Member(f"{ERP}/1", ERP, {"name": "", "tier": "", **values}, base)


def test_to_begin_with_the_first_stream_that_has_a_value_wins() -> None:
    out = decide(plan_with(), [crm(name="A"), erp(name="B", tier="gold")], {})
    assert out.agreed == {"name": "A", "tier": "gold"}
    assert out.writes == [Write(CRM, f"{CRM}/1"), Write(ERP, f"{ERP}/1")]


def test_an_edit_is_news_and_the_other_copy_is_to_be_written() -> None:
    was = {"name": "A", "tier": "gold"}
    out = decide(plan_with(), [crm(was, **was), erp(was, name="A", tier="VIP")], was)
    assert (out.agreed["tier"], out.news) == ("VIP", {"tier": f"{ERP}/1"})
    assert out.writes == [Write(CRM, f"{CRM}/1")]


def test_an_echo_of_what_was_agreed_on_is_no_news() -> None:
    was, now = {"name": "A", "tier": ""}, {"name": "A", "tier": "gold"}
    out = decide(plan_with(), [crm(now, **now), erp(was, **now)], now)
    assert (out.news, out.writes) == ({}, [])
    assert out.bases == {f"{ERP}/1": now}


def test_what_the_vendor_makes_of_a_value_is_no_news() -> None:
    agreed = {"name": "A", "tier": "GOLD"}
    copy = replace(
        erp({"name": "A", "tier": ""}, name="A", tier="gold"),
        written={"tier": "GOLD"},
        shown={"tier": "gold"},
    )
    out = decide(plan_with(), [crm(agreed, **agreed), copy], agreed)
    assert (out.news, out.writes) == ({}, [])


def test_but_what_somebody_made_of_it_afterwards_is() -> None:
    agreed = {"name": "A", "tier": "GOLD"}
    copy = replace(
        erp({"name": "A", "tier": "gold"}, name="A", tier="silver"),
        written={"tier": "GOLD"},
        shown={"tier": "gold"},
    )
    out = decide(plan_with(), [crm(agreed, **agreed), copy], agreed)
    assert out.agreed["tier"] == "silver"


def test_of_two_edits_the_newest_wins() -> None:
    was = {"name": "A", "tier": "gold"}
    one = replace(crm(was, name="A", tier="one"), changed=2.0)
    two = replace(erp(was, name="A", tier="two"), changed=1.0)
    assert decide(plan_with(), [one, two], was).agreed["tier"] == "one"


def test_only_the_owner_changes_what_it_owns_and_nobody_writes_it_there() -> None:
    was = {"name": "A", "tier": "gold"}
    plan = plan_with(tier=ERP)
    edited = crm(was, name="A", tier="mine")
    out = decide(plan, [edited, erp(was, **was)], was)
    assert (out.agreed, out.news) == (was, {})
    assert out.writes == [Write(CRM, f"{CRM}/1")]
    assert differing(plan, erp(was, name="A", tier="other"), was) == []


def test_a_cleared_field_is_cleared_everywhere() -> None:
    was = {"name": "A", "tier": "gold"}
    out = decide(plan_with(), [crm(was, name="A"), erp(was, **was)], was)
    assert out.agreed["tier"] == ""
    assert differing(plan_with(), erp(was, **was), out.agreed) == ["tier"]


def test_who_joins_fills_gaps_and_overwrites_nothing() -> None:
    was = {"name": "A", "tier": ""}
    out = decide(plan_with(), [crm(was, **was), erp(name="B", tier="gold")], was)
    assert out.agreed == {"name": "A", "tier": "gold"}


def test_a_copy_to_which_a_write_is_under_way_is_judged_later() -> None:
    was = {"name": "A", "tier": "gold"}
    busy = replace(erp(was, name="A", tier="odd"), busy=True)
    out = decide(plan_with(), [crm(was, **was), busy], was)
    assert (out.news, out.writes, out.bases) == ({}, [], {})


def test_what_its_owner_is_just_being_told_is_still_its_owners() -> None:
    was = {"name": "A", "tier": "gold"}
    busy = replace(erp(was, **was), busy=True)
    out = decide(plan_with(tier=ERP), [crm(was, name="A", tier="mine"), busy], was)
    assert (out.agreed, out.news) == (was, {})


def test_what_was_agreed_on_under_another_plan_is_forgotten() -> None:
    new = {"name": "A", "tier": "new"}
    asked = {"name": "A"}
    out = decide(plan_with(), [crm(asked, **new), erp(asked, **new)], {"name": "A", "tier": "old"})
    assert (out.agreed, out.writes) == (new, [])


def test_what_was_deleted_is_neither_written_nor_made_again() -> None:
    was = {"name": "A", "tier": "gold"}
    gone = replace(erp(was), gone=True)
    out = decide(plan_with(), [crm(was, name="A", tier="VIP"), gone], was)
    assert out.agreed["tier"] == "VIP"
    assert out.writes == []


def test_the_last_copy_that_is_deleted_makes_nothing() -> None:
    assert decide(plan_with(), [replace(crm(), gone=True)], {"name": "A"}).writes == []


def applied(plan: Plan, members: list[Member], out: Outcome) -> list[Member]:
    """The members after the decision was stored and its writes arrived."""
    told = {write.ref for write in out.writes}
    after = []
    for m in members:
        base = out.bases.get(m.ref, m.base)
        paths = differing(plan, m, out.agreed) if m.ref in told else []
        new = {path: out.agreed[path] for path in paths}
        after.append(replace(m, values={**m.values, **new}, base=base))
    return after


words = st.sampled_from(["", "a", "b", "c"])
values = st.fixed_dictionaries({"name": words, "tier": words})
edits = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(PATHS), words), max_size=12)


@given(
    st.lists(values, min_size=3, max_size=3),
    edits,
    st.sampled_from([{}, {"tier": ERP}, {"name": CRM, "tier": ERP}]),
)
def test_whatever_is_edited_everybody_ends_up_alike_and_then_it_is_quiet(
    first: list[dict[str, str]],
    changes: list[tuple[int, str, str]],
    owners: dict[str, str],
) -> None:
    plan = plan_with(**owners)
    streams = (CRM, ERP, CRM)
    members = [
        Member(f"{s}/{n}", s, v) for n, (s, v) in enumerate(zip(streams, first, strict=True))
    ]
    agreed: dict[str, Any] = {}
    for at, (n, path, word) in enumerate([(0, "name", first[0]["name"]), *changes]):
        members[n] = replace(
            members[n], values={**members[n].values, path: word}, changed=float(at)
        )
        for _ in range(3):
            out = decide(plan, members, agreed)
            members, agreed = applied(plan, members, out), out.agreed
        assert out.writes == []
        assert out.news == {}
        for path in PATHS:
            assert len({m.values[path] for m in members if m.stream != owners.get(path)}) <= 1


def test_what_may_be_our_own_copy_is_told_by_its_content() -> None:
    written = {"name": "Tom  Smith", "tier": "", "number": 7}
    assert resembles(written, {"name": "TOM SMITH", "number": "7"})
    assert not resembles(written, {"name": "Tom Smyth", "number": 7})
    assert not resembles({"tier": ""}, {"tier": "gold"})
