"""Evidence in, customers out: guards, and the same answer for every order of arrival."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.identity.resolve import HOLDERS_MAX, Evidence, Verdict, assign, evidence_of, partition
from hub.models import ContactPoint, Level, Person, Ref

PHONE, MAIL, TAX = (
    ("phone", "+8613912345670"),
    ("email", "li@na.cn"),
    ("tax_id", "91350100M000100Y43"),
)


def known(
    ref: str,
    name: str = "",
    kind: str = "Person",
    level: Level = Level.RECORDED,
    *keys: tuple[str, str],
) -> Evidence:
    return Evidence(ref, kind, name, dict.fromkeys(keys, level))


def who(ref: str, name: str, *keys: tuple[str, str]) -> Evidence:
    return known(ref, name, "Person", Level.RECORDED, *keys)


def claim(ref: str, *keys: tuple[str, str]) -> Evidence:
    return known(ref, "", "Person", Level.CLAIMED, *keys)


def groups(evidence: Sequence[Evidence], verdicts: Sequence[Verdict] = ()) -> set[frozenset[str]]:
    return {frozenset(part.refs) for part in partition(evidence, verdicts)}


def parts(*texts: str) -> set[frozenset[str]]:
    return {frozenset(text.split()) for text in texts}


def test_the_same_phone_under_the_same_name_is_one_customer() -> None:
    assert groups([who("a", "li na", PHONE), who("b", "li na", PHONE)]) == parts("a b")


def test_a_switchboard_under_differing_names_merges_nobody() -> None:
    people = [who(f"p{n}", f"name {n}", PHONE) for n in range(40)]
    assert len(groups(people)) == 40


def test_a_nameless_record_joins_one_customer_and_never_bridges_two() -> None:
    nameless = who("n", "", PHONE)
    assert groups([who("a", "li na", PHONE), nameless]) == parts("a n")
    both = [who("a", "li na", PHONE), nameless, who("b", "wang qiang", PHONE)]
    assert groups(both) == parts("a", "b", "n")


def test_a_value_too_many_hold_leads_nowhere() -> None:
    people = [who(f"p{n:03}", "li na", PHONE) for n in range(HOLDERS_MAX + 1)]
    assert len(groups(people)) == HOLDERS_MAX + 1


def test_a_person_and_a_company_stay_two() -> None:
    company = known("c", "acme", "Organization", Level.RECORDED, MAIL)
    assert groups([who("p", "acme", MAIL), company]) == parts("p", "c")


def test_a_tax_number_joins_whatever_the_names() -> None:
    a, b = (known(r, r, "Organization", Level.RECORDED, TAX) for r in "ab")
    assert groups([a, b]) == parts("a b")


def test_contradicting_unique_identifiers_refuse_a_shared_phone() -> None:
    a = who("a", "li na", PHONE, ("unionid", "u1"))
    b = who("b", "li na", PHONE, ("unionid", "u2"))
    assert groups([a, b]) == parts("a", "b")


def test_a_claim_attaches_and_never_merges() -> None:
    assert groups([who("a", "li na", MAIL), claim("c", MAIL)]) == parts("a c")
    a, b = who("a", "li na", MAIL), who("b", "wang qiang", PHONE)
    assert groups([a, b, claim("c", MAIL, PHONE)]) == parts("a", "b", "c")


def test_strangers_with_the_same_claim_are_one_until_somebody_is_known() -> None:
    assert groups([claim("x", MAIL), claim("y", MAIL)]) == parts("x y")


def test_a_stranger_who_claims_two_strangers_values_does_not_make_them_one() -> None:
    alice, bob, both = claim("a", MAIL), claim("b", PHONE), claim("c", MAIL, PHONE)
    assert groups([alice, bob, both]) == parts("a c", "b")


def test_a_placeholder_number_joins_nobody() -> None:
    blocked = ("phone", "+8613800138000")
    assert groups([who("a", "li na", blocked), who("b", "li na", blocked)]) == parts("a", "b")


def test_a_persons_word_is_never_overridden() -> None:
    a, b = who("a", "li na", PHONE), who("b", "li na", PHONE)
    assert groups([a, b], [Verdict("reject", "b", "a")]) == parts("a", "b")
    c = who("c", "wang qiang", MAIL)
    assert groups([a, c], [Verdict("confirm", "a", "c")]) == parts("a c")


def test_the_id_stays_where_most_records_went() -> None:
    a, b, c = (who(r, "li na", PHONE) for r in "abc")
    found = assign(partition([a, b, c]), {"a": "one", "b": "two", "c": "two"})
    assert found.links == {"a": "two"}
    assert found.merged == {"one": "two"}
    assert found.touched == {"one", "two"}


def test_evidence_that_disappears_splits_and_the_larger_part_keeps_the_id() -> None:
    a, b, c = who("a", "li na", PHONE), who("b", "li na", PHONE), who("c", "li na", MAIL)
    found = assign(partition([a, b, c]), dict.fromkeys("abc", "one"), fresh=lambda: "new")
    assert found.links == {"c": "new"}
    assert [d["verb"] for d in found.decisions] == ["split"]


def test_evidence_is_read_from_a_party_with_its_region() -> None:
    points = (
        ContactPoint(type="phone", value="(415) 555-2671"),
        ContactPoint(type="email", value="A@B.CN", level=Level.CLAIMED),
        ContactPoint(type="email", value="nonsense"),
        ContactPoint(type="website", value="https://example.com"),
    )
    ref = Ref(connection="crm", stream="people", id="1")
    found = evidence_of(Person(ref=ref, name="Li Na", contact_points=points), "US")
    assert found.keys == {
        ("phone", "+14155552671"): Level.RECORDED,
        ("email", "a@b.cn"): Level.CLAIMED,
    }


records = st.lists(
    st.builds(
        Evidence,
        ref=st.sampled_from("abcdefghij"),
        kind=st.sampled_from(["Person", "Organization"]),
        name_key=st.sampled_from(["", "li na", "wang qiang"]),
        keys=st.dictionaries(
            st.tuples(
                st.sampled_from(["phone", "email", "unionid"]), st.sampled_from(["v1x", "v2x"])
            ),
            st.sampled_from(list(Level)),
            max_size=3,
        ),
    ),
    unique_by=lambda item: item.ref,
    max_size=6,
)


@given(records, st.randoms(use_true_random=False))
def test_order_does_not_matter(evidence: list[Evidence], random: object) -> None:
    shuffled = list(evidence)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert groups(evidence) == groups(shuffled)


@given(records)
@settings(max_examples=60)
def test_records_one_by_one_lead_to_the_same_customers_as_all_at_once(
    evidence: list[Evidence],
) -> None:
    counter = itertools.count()
    links: dict[str, str] = {}
    for n in range(1, len(evidence) + 1):
        found = assign(partition(evidence[:n]), links, fresh=lambda: f"c{next(counter)}")
        links |= found.links
        for gone, into in found.merged.items():
            assert gone not in links.values()
            assert into in links.values()
    by_customer: dict[str, set[str]] = {}
    for ref, id_ in links.items():
        by_customer.setdefault(id_, set()).add(ref)
    assert {frozenset(refs) for refs in by_customer.values()} == groups(evidence)
