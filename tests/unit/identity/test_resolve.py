"""Which id a customer keeps, and what a party record is evidence of."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from hub.identity.resolve import Part, assign, evidence_of
from hub.identity.traits import dumps, loads
from hub.models import Address, ContactPoint, Level, Person, Ref

REF = Ref(connection="crm", stream="people", id="1")


def parts(*texts: str) -> list[Part]:
    return [Part(set(text.split())) for text in texts]


def test_the_id_stays_where_most_records_went() -> None:
    found = assign(parts("a b c"), {"a": "one", "b": "two", "c": "two"})
    assert found.links == {"a": "two"}
    assert found.merged == {"one": "two"}
    assert found.touched == {"one", "two"}


def test_evidence_that_disappears_splits_and_the_larger_part_keeps_the_id() -> None:
    found = assign(parts("a b", "c"), dict.fromkeys("abc", "one"), fresh=lambda: "new")
    assert found.links == {"c": "new"}
    assert [d["verb"] for d in found.decisions] == ["split"]


@given(st.permutations(["a", "b", "c"]))
def test_where_all_parts_are_as_large_the_first_record_keeps_the_id(order: list[str]) -> None:
    found = assign(parts(*order), dict.fromkeys("abc", "one"), fresh=iter(("x", "y")).__next__)
    assert sorted(found.links) == ["b", "c"]


groupings = st.lists(st.integers(0, 3), min_size=5, max_size=5)


@given(st.lists(groupings, min_size=1, max_size=6))
def test_every_record_is_of_one_customer_and_no_id_is_lost(steps: list[list[int]]) -> None:
    counter = itertools.count()
    links: dict[str, str] = {}
    for grouping in steps:
        members: dict[int, set[str]] = {}
        for ref, n in zip("abcde", grouping, strict=True):
            members.setdefault(n, set()).add(ref)
        found = assign(
            [Part(refs) for refs in members.values()], links, fresh=lambda: f"c{next(counter)}"
        )
        before, links = set(links.values()), links | found.links
        assert before - set(links.values()) == set(found.merged)
        assert {frozenset(r for r in links if links[r] == id_) for id_ in links.values()} == {
            frozenset(refs) for refs in members.values()
        }


def test_evidence_is_read_from_a_party_with_its_region() -> None:
    points = (
        ContactPoint(type="phone", value="(415) 555-2671"),
        ContactPoint(type="email", value="A@B.CN", level=Level.CLAIMED),
        ContactPoint(type="email", value="nonsense"),
        ContactPoint(type="website", value="https://example.com"),
    )
    found = evidence_of(Person(ref=REF, name="Li Na", contact_points=points), "US")
    assert found.keys == {
        ("phone", "+14155552671"): Level.RECORDED,
        ("email", "a@b.cn"): Level.CLAIMED,
    }
    assert found.traits.emails == ("nonsense",)  # what is claimed beside what is sure tells nothing
    assert not found.traits.is_claim


def test_where_all_is_claimed_nothing_else_tells() -> None:
    form = Person(
        ref=REF,
        name="李娜",
        organization_name="瑞恒科技",
        contact_points=(ContactPoint(type="email", value="a@b.cn", level=Level.CLAIMED),),
    )
    traits = evidence_of(form, "CN").traits
    assert traits.is_claim
    assert (traits.name, traits.company, traits.emails) == (None, None, ("a@b.cn",))


def test_traits_come_back_from_what_is_stored() -> None:
    party = Person(
        ref=REF,
        name="李娜",
        organization_name="瑞恒科技有限公司天津分公司",
        contact_points=(
            ContactPoint(type="phone", value="021-62307083转8012"),
            ContactPoint(type="email", value="na.li@acme.cn"),
            ContactPoint(type="member_no", value="M1027"),
            ContactPoint(type="member_no", value="M9931"),
        ),
        addresses=(Address(street="建设二路115号26栋", city="济南市", postal_code="250000"),),
    )
    traits = evidence_of(party, "CN").traits
    assert traits.ids == (("member_no", "M1027"), ("member_no", "M9931"))
    assert traits.place is not None
    assert loads(traits.ref, dumps(traits)) == traits
