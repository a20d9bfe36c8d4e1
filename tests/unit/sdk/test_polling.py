"""No change is lost between scans, however late it becomes visible and wherever a scan stops."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hub.sdk.polling import scan
from hub.sdk.types import Page, Raw

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
OVERLAP_S = 60
SIZE = 3


class Table:
    """A vendor's table whose rows become visible some time after their stamp."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rows: dict[int, tuple[float, float, int]] = {}  # stamp, visible from, content
        self.asked = 0

    def write(self, id_: int, lag: float, content: int) -> None:
        self.rows[id_] = (self.now, self.now + lag, content)

    def read(self, since: datetime | None, position: str) -> tuple[Sequence[Raw], str | None]:
        self.asked += 1
        after = int(position or -1)
        found = sorted(
            (id_, content)
            for id_, (stamp, visible, content) in self.rows.items()
            if visible <= self.now
            and id_ > after
            and (since is None or EPOCH + timedelta(seconds=stamp) >= since)
        )
        page = [{"id": id_, "content": content} for id_, content in found[:SIZE]]
        return page, str(page[-1]["id"]) if len(page) == SIZE else None

    def clock(self) -> datetime:
        return EPOCH + timedelta(seconds=self.now)


def pages(table: Table, cursor: str | None) -> list[Page]:
    return list(scan(table.read, cursor, now=table.clock, overlap_s=OVERLAP_S))


STEP = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 12), st.integers(0, OVERLAP_S - 5)),
    st.tuples(st.just("wait"), st.integers(1, 90), st.just(0)),
    st.tuples(st.just("scan"), st.integers(0, 4), st.just(0)),
)


@given(st.lists(STEP, max_size=40))
def test_everything_is_seen_in_the_end(steps: list[tuple[str, int, int]]) -> None:
    """Scans are broken off after any number of pages; writes fall between and during them."""
    table, seen, cursor = Table(), {}, None
    for number, (what, value, lag) in enumerate(steps):
        if what == "write" and table.rows.get(value, (0, 0, 0))[1] <= table.now:
            table.write(value, lag, number)
        elif what == "wait":
            table.now += value
        elif what == "scan":
            for page in pages(table, cursor)[:value]:
                seen.update({row["id"]: row["content"] for row in page.records})
                cursor = page.cursor
    table.now += OVERLAP_S
    for _ in range(2):  # what is left of a scan that was broken off, and one from the start
        for page in pages(table, cursor):
            seen.update({row["id"]: row["content"] for row in page.records})
            cursor = page.cursor
    assert seen == {id_: content for id_, (_, _, content) in table.rows.items()}


def test_nothing_new_is_no_page() -> None:
    table = Table()
    table.write(1, 0, 1)
    [page] = pages(table, None)
    table.now += OVERLAP_S + 5
    [overlapped] = pages(table, page.cursor)
    table.now += 3600
    assert pages(table, overlapped.cursor) == []
    asked = table.asked
    assert pages(table, overlapped.cursor) == []
    assert table.asked == asked + 1


def test_a_full_last_page_is_closed_by_an_empty_one() -> None:
    table = Table()
    for id_ in range(SIZE * 2):
        table.write(id_, 0, id_)
    found = pages(table, None)
    assert [len(page.records) for page in found] == [SIZE, SIZE, 0]
    assert len({page.cursor for page in found}) == 3


def test_a_scan_broken_off_goes_on_where_it_stopped_and_began_when_it_began() -> None:
    table = Table()
    for id_ in range(5):
        table.write(id_, 0, id_)
    first = pages(table, None)[0]
    table.now += 1000
    table.write(0, 0, 99)  # behind the position: must come with the next scan
    rest = pages(table, first.cursor)
    assert [row["id"] for page in rest for row in page.records] == [3, 4]
    again = pages(table, rest[-1].cursor)
    assert [row["content"] for page in again for row in page.records if row["id"] == 0] == [99]
