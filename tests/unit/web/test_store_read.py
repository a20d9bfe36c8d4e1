from __future__ import annotations

from sqlalchemy import insert

from hub.store import read, schema
from hub.store.db import Database
from tests.unit.web.world import HONGDA, LI_NA, MAIL, OLD_LI_NA, PHONE, QUIET, SHARED, WANG


def test_a_profile_by_its_id_and_by_one_that_was_merged(everywhere: Database) -> None:
    with everywhere.read() as conn:
        now, before = read.profile_json(conn, LI_NA), read.profile_json(conn, OLD_LI_NA)
        assert now is not None
        assert now == before
        assert now.customer_id == LI_NA
        assert read.profile_json(conn, "nobody") is None
        assert read.current_id(conn, OLD_LI_NA) == LI_NA
        assert read.current_id(conn, "nobody") is None


def test_redirects_are_followed_to_the_end_and_a_circle_ends(everywhere: Database) -> None:
    at = schema.EPOCH
    chain = [f"hop{n}" for n in range(10)]
    onward = zip(chain, [*chain[1:], LI_NA], strict=True)
    rows = [{"id": a, "merged_into": b, "created_at": at} for a, b in onward]
    rows += [
        {"id": "round", "merged_into": "about", "created_at": at},
        {"id": "about", "merged_into": "round", "created_at": at},
    ]
    with everywhere.write() as conn:
        conn.execute(insert(schema.customer), rows)
    with everywhere.read() as conn:
        found = read.profile_json(conn, "hop0")
        assert found is not None
        assert found.customer_id == LI_NA
        assert read.profile_json(conn, "round") is None


def test_find_gives_the_surest_holders_first(everywhere: Database) -> None:
    claimed = {"type": "phone", "value": PHONE, "ref": "mailbox/addresses/hello@quiet.example",
               "level": "claimed"}  # fmt: skip
    with everywhere.write() as conn:
        conn.execute(insert(schema.identifier), [claimed])
    with everywhere.read() as conn:
        assert read.find(conn, "phone", PHONE) == [LI_NA, QUIET]
        assert read.find(conn, "email", MAIL) == [LI_NA]
        assert sorted(read.find(conn, "phone", SHARED)) == sorted([LI_NA, HONGDA, WANG])
        assert read.find(conn, "phone", "+8610") == []
        assert read.find(conn, "phone", "+8610", PHONE) == [LI_NA, QUIET]


def test_holders_come_in_pages(everywhere: Database) -> None:
    with everywhere.read() as conn:
        first = read.holders(conn, "phone", [SHARED], 2)
        rest = read.holders(conn, "phone", [SHARED], 2, first.next)
        found = [row.customer_id for row in (*first.items, *rest.items)]
        assert rest.next is None
        assert found == read.find(conn, "phone", SHARED)


def test_search_by_name_in_either_script(everywhere: Database) -> None:
    with everywhere.read() as conn:
        for typed in ("李娜", "李", "lina", "li na", "LI", "Na Li", "娜"):
            assert LI_NA in _ids(read.search(conn, typed)), typed
        assert _ids(read.search(conn, "宏達精密")) == [HONGDA]  # traditional for simplified
        assert _ids(read.search(conn, "hongda")) == [HONGDA]
        assert _ids(read.search(conn, "wangjianguo")) == [WANG]
        assert _ids(read.search(conn, "%")) == []
        assert _ids(read.search(conn, "_")) == []
        assert _ids(read.search(conn, "  ")) == []


def test_search_puts_names_that_begin_with_it_first_and_pages(everywhere: Database) -> None:
    with everywhere.read() as conn:
        everybody = _ids(read.search(conn, "n"))
        assert everybody[0] == LI_NA  # "na" begins nobody's first line, newest wins
        paged, after = [], None
        while True:
            page = read.search(conn, "n", 1, after)
            paged += _ids(page)
            after = page.next
            if after is None:
                break
        assert paged == everybody
        assert _ids(read.search(conn, "wang"))[0] == WANG


def test_customers_come_newest_built_first_each_once(everywhere: Database) -> None:
    with everywhere.read() as conn:
        assert _ids(read.customers(conn)) == [LI_NA, HONGDA, WANG, QUIET]
        first = read.customers(conn, 3)
        assert _ids(first) == [LI_NA, HONGDA, WANG]
        last = read.customers(conn, 3, first.next)
        assert (_ids(last), last.next) == ([QUIET], None)


def test_timeline_pages_are_the_whole_history_in_one_order(everywhere: Database) -> None:
    with everywhere.read() as conn:
        whole = read.timeline(conn, LI_NA, limit=200)
        order = [
            (-(held.record.occurred_at or schema.EPOCH).timestamp(), held.source.ref)
            for held in whole.items
        ]
        assert order == sorted(order)
        assert len(whole.items) == 45
        paged, before = [], None
        while True:
            page = read.timeline(conn, LI_NA, before, 7)
            paged += page.items
            before = page.next
            if before is None:
                break
        assert paged == whole.items
        assert read.timeline(conn, QUIET).items == []


def test_timeline_goes_on_behind_what_the_profile_shows(everywhere: Database) -> None:
    with everywhere.read() as conn:
        whole = read.timeline(conn, LI_NA, limit=200).items
        last = whole[19]
        mark = read.mark_of(last.record.occurred_at, last.source.ref)
        assert read.timeline(conn, LI_NA, mark, 200).items == whole[20:]


def test_records_of_one_instant_are_not_lost_between_pages(everywhere: Database) -> None:
    at = schema.EPOCH
    party = "mailbox/addresses/hello@quiet.example"
    rows = [
        {"ref": f"erp/sales/s{n}", "kind": "Order", "document": _order(f"s{n}"),
         "occurred_at": at, "is_open": False, "mapping_version": "", "parent": f"erp/sales/s{n}",
         "party": party, "saved_at": at}
        for n in range(9)
    ]  # fmt: skip
    raws = [
        {"ref": r["ref"], "payload": "{}", "hash": b"", "version": "", "seen_at": at} for r in rows
    ]
    with everywhere.write() as conn:
        conn.execute(insert(schema.raw), raws)
        conn.execute(insert(schema.record), rows)
    with everywhere.read() as conn:
        refs, before = [], None
        for _ in range(5):
            page = read.timeline(conn, QUIET, before, 2)
            refs += [held.source.ref for held in page.items]
            before = page.next
        assert before is None
        assert refs == [f"erp/sales/s{n}" for n in range(9)]


def test_why_tells_members_identifiers_and_every_decision(everywhere: Database) -> None:
    with everywhere.read() as conn:
        found = read.why(conn, OLD_LI_NA)
        assert found is not None
        assert found.customer_id == LI_NA
        assert [d.verb for d in found.decisions] == ["new", "new", "merge", "match"]
        refs = ["desk/users/88", "erp/parties/1042", f"mailbox/addresses/{MAIL}"]
        assert [m.ref for m in found.members] == refs
        assert ("desk/users/88", "phone", PHONE, "recorded") in found.identifiers
        assert read.why(conn, "nobody") is None


def test_connections_with_their_streams(everywhere: Database) -> None:
    with everywhere.read() as conn:
        found = {c.name: c for c in read.connections(conn)}
        assert list(found) == ["chat", "desk", "erp", "mailbox"]
        assert [s.stream for s in found["erp"].streams] == ["parties", "sales"]
        assert read.connection_states(conn)["chat"] == "auth_failed"
        assert read.regions(conn) == ["CN"]


def test_backlog_counts_what_waits(everywhere: Database) -> None:
    with everywhere.read() as conn:
        found = read.backlog(conn)
    assert found.customers == 4
    assert found.inbox == {"received": 0, "retry": 0}
    assert found.deliveries == {"queued": 0, "retry": 0, "unknown": 0, "dead": 0}


def _ids(page: read.Page[read.Listed]) -> list[str]:
    return [row.customer_id for row in page.items]


def _order(id_: str) -> str:
    return f'{{"ref":{{"connection":"erp","stream":"sales","id":"{id_}"}}}}'
