"""No change is lost between scans, however late it becomes visible and wherever a scan stops."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import RemoteError, RetryableError
from hub.sdk.polling import Circle, scan
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


# In order of change, with page numbers and a cap


class Listing(Table):
    """A vendor that gives rows in order of change, by page number, and is silent beyond a cap."""

    CAP = 9

    def turn(self, since: datetime | None, position: str) -> tuple[Sequence[Raw], str | None]:
        self.asked += 1
        stamped = [
            (stamp, id_, c) for id_, (stamp, seen, c) in self.rows.items() if seen <= self.now
        ]
        shown = sorted(row for row in stamped if since is None or self.at(row[0]) >= since)
        first = int(position or 0)
        page = [{"id": i, "content": c, "at": self.at(s)} for s, i, c in shown[: self.CAP]]
        after = first + SIZE
        return page[first:after], str(after) if after < min(len(shown), self.CAP) else None

    @staticmethod
    def at(stamp: float) -> datetime:
        return EPOCH + timedelta(seconds=stamp)


def turned(table: Listing, cursor: str | None) -> Iterator[Page]:
    stamp = lambda row: row["at"]  # noqa: E731
    given: dict[str, Any] = {"now": table.clock, "overlap_s": OVERLAP_S, "cap": table.CAP}
    return scan(table.turn, cursor, stamp=stamp, **given)


@given(st.lists(STEP, max_size=60), st.lists(st.integers(0, 12), max_size=30))
def test_in_order_of_change_everything_is_seen_too(
    steps: list[tuple[str, int, int]], moves: list[int]
) -> None:
    """Rows move to the end between any two pages; at most one is changed in any instant."""
    table, seen, cursor, moving = Listing(), {}, None, iter(enumerate(moves, start=1000))
    for number, (what, value, lag) in enumerate(steps):
        if what == "write" and table.rows.get(value, (0, 0, 0))[1] <= table.now:
            table.now += 1
            table.write(value, lag, number)
        elif what == "wait":
            table.now += value
        elif what == "scan":
            for page in itertools.islice(turned(table, cursor), value):
                seen.update({row["id"]: row["content"] for row in page.records})
                cursor = page.cursor
                table.now += 1
                if move := next(moving, None):
                    table.write(move[1], 0, move[0])
    table.now += OVERLAP_S
    for _ in range(2):
        for page in turned(table, cursor):
            seen.update({row["id"]: row["content"] for row in page.records})
            cursor = page.cursor
    assert seen == {id_: content for id_, (_, _, content) in table.rows.items()}


def test_more_than_the_cap_in_one_instant_is_told() -> None:
    table = Listing()
    for id_ in range(Listing.CAP + 1):
        table.write(id_, 0, id_)
    with pytest.raises(RemoteError, match="one instant"):
        list(turned(table, None))


def test_rows_in_another_order_than_said_are_an_error() -> None:
    rows = [{"at": EPOCH + timedelta(seconds=1)}, {"at": EPOCH}]
    with pytest.raises(RemoteError, match="order"):
        list(scan(lambda *_: (rows, None), None, now=Table().clock, stamp=lambda row: row["at"]))


# What does not advance


@pytest.mark.parametrize("positions", [["a"], ["a", "b"], ["a", "b", "c", "b", "c"]])
def test_a_position_that_comes_back_is_an_error(positions: list[str]) -> None:
    turns = itertools.cycle(positions)
    pages = scan(lambda *_: ([{"id": 1}], next(turns)), None, now=Table().clock)
    with pytest.raises(RetryableError, match="does not advance"):
        list(itertools.islice(pages, 100))


@given(st.integers(0, 50), st.integers(1, 50))
def test_every_circle_is_found_before_long(way: int, round_: int) -> None:
    circle, steps = Circle("it"), itertools.count(1)

    def walk() -> None:
        for place in itertools.chain(range(way), itertools.cycle(range(way, way + round_))):
            next(steps)
            circle.check(str(place))

    with pytest.raises(RetryableError):
        walk()
    assert way + round_ < next(steps) - 1 <= 3 * (way + round_) + 1


def test_what_advances_is_never_taken_for_a_circle() -> None:
    circle = Circle("it")
    for place in range(10_000):
        circle.check(str(place))
