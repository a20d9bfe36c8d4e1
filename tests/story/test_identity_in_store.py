"""One changed record at a time, by index look-ups only, leads to what a full run would say."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.identity.resolve import HOLDERS_MAX, Evidence, partition
from hub.models import Level
from hub.pipeline.absorb import settle
from hub.store import customers, read
from hub.store.db import Database

step = st.builds(
    Evidence,
    ref=st.sampled_from([f"crm/people/{n}" for n in range(7)]),
    kind=st.sampled_from(["Person", "Organization"]),
    name_key=st.sampled_from(["", "li na", "wang qiang"]),
    keys=st.dictionaries(
        st.tuples(
            st.sampled_from(["phone", "email", "unionid"]), st.sampled_from(["v1x", "v2x", "v3x"])
        ),
        st.sampled_from(list(Level)),
        max_size=3,
    ),
)


@given(steps=st.lists(step, min_size=1, max_size=12))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_arrival_order_of_any_changes(
    steps: list[Evidence], sqlite_template: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"{uuid.uuid4().hex}.db"
    shutil.copy(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    now: dict[str, Evidence] = {}
    with database.write() as conn:
        for item in steps:
            now[item.ref] = item
            settle(conn, [item], [], actor="test")
        links = customers.links(conn, now)
    database.close()
    by_customer: dict[str, set[str]] = {}
    for ref, id_ in links.items():
        by_customer.setdefault(id_, set()).add(ref)
    expected = {frozenset(part.refs) for part in partition(now.values())}
    assert {frozenset(refs) for refs in by_customer.values()} == expected


@pytest.mark.parametrize("batch", [1, 7])
def test_a_value_that_too_many_come_to_hold_parts_its_holders_again(
    database_url: str, batch: int
) -> None:
    database = Database(database_url)
    key = {("phone", "+8613912345670"): Level.RECORDED}
    people = [
        Evidence(f"crm/people/{n:03}", "Person", "li na", key) for n in range(HOLDERS_MAX + 5)
    ]
    with database.write() as conn:
        for at in range(0, len(people), batch):
            settle(conn, people[at : at + batch], [], actor="test")
        links = customers.links(conn, [p.ref for p in people])
    database.close()
    assert len(set(links.values())) == len(people)


def test_a_merged_id_redirects_to_its_survivor_for_ever(database_url: str) -> None:
    database = Database(database_url)
    phone, mail = ("phone", "+8613912345670"), ("email", "li@na.cn")
    a = Evidence("crm/people/a", "Person", "li na", {phone: Level.RECORDED})
    b = Evidence("crm/people/b", "Person", "li na", {mail: Level.RECORDED})
    with database.write() as conn:
        settle(conn, [a], [], actor="test")
        settle(conn, [b], [], actor="test")
        before = customers.links(conn, [a.ref, b.ref])
        both = Evidence(
            "crm/people/c", "Person", "li na", {phone: Level.RECORDED, mail: Level.RECORDED}
        )
        settle(conn, [both], [], actor="test")
        (survivor,) = set(customers.links(conn, [a.ref, b.ref, both.ref]).values())
        assert {read.current_id(conn, id_) for id_ in before.values()} == {survivor}
        settle(conn, [], [both.ref], actor="test")
        after = customers.links(conn, [a.ref, b.ref])
    database.close()
    assert len(set(after.values())) == 2
    assert survivor in after.values()
