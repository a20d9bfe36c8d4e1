"""Rows in pages: how each kind of paging goes on, and what ends it.

A wrong guess here would lose rows in silence, so the careful way is the default: an empty page ends
a read, a list that is not where the file says is an error, and a page that comes twice is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from adapters.rest.access import RefusedError
from adapters.rest.system import Cursor, Read, Streamed
from adapters.rest.template import shown, time_in
from hub.sdk import ConfigError, Raw, RemoteError, at, instant
from hub.sdk.signing import body_hash

Ask = Callable[[Read, Mapping[str, Any], str], tuple[Any, str]]
"""(what to ask, names of this page, an address to follow instead) → body and the next address of
the header ``Link``."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO = frozenset({"0", "false", "no", "n"})
"""Text by which a vendor says no."""


@dataclass(frozen=True)
class Place:
    """Where a read stands; written into cursors.

    Attributes:
        on: number, offset, cursor, key or address to go on with; None at the beginning.
        until: the end of the window this read asks for.
        read: how many rows it has given.
        mark: what the page before was like, by its ids.
        last: id of the last row, where it is asked for again.
        total: how many rows the vendor spoke of.
    """

    on: Any = None
    until: str = ""
    read: int = 0
    mark: str = ""
    last: str | None = None
    total: int | None = None

    @classmethod
    def told(cls, position: str) -> Place:
        return cls(*json.loads(position)) if position else cls()

    def __str__(self) -> str:
        return json.dumps([self.on, self.until, self.read, self.mark, self.last, self.total])


class Reader:
    """Reads one stream page by page; ``read`` is what ``scan`` asks for."""

    def __init__(
        self,
        stream: Streamed,
        read: Read,
        ask: Ask,
        *,
        now: Callable[[], datetime],
        zone: tzinfo,
        size: int | None,
    ) -> None:
        self.stream, self.how, self._ask, self._now, self._zone = stream, read, ask, now, zone
        self.pages = read.pages
        least = 2 if self.pages.kind == "offset" and self.pages.overlap else 1
        self.size = max(size or self.pages.size, least)
        self._resumed = True

    def read(self, since: datetime | None, position: str) -> tuple[Sequence[Raw], str | None]:
        """One page, and the position behind it; None = that was all."""
        place = Place.told(position)
        resumed, self._resumed = self._resumed and place.on is not None, False
        try:
            rows, after = self._page(since, place)
        except RefusedError:
            if not resumed or self.pages.kind not in ("cursor", "link"):
                raise
            rows, after = self._page(since, Place())  # it was forgotten: this query once more
        return rows, None if after is None else str(after)

    def stamp(self) -> Callable[[Raw], datetime]:
        """When rows were changed; one that does not tell goes with the one before it."""
        last = EPOCH
        field = self.stream.cursor.field if self.stream.cursor else "@"

        def stamp(row: Raw) -> datetime:
            nonlocal last
            last = moment(at(field, row), self._zone) or last
            return last

        return stamp

    def _page(self, since: datetime | None, place: Place) -> tuple[list[Raw], Place | None]:
        until = datetime.fromisoformat(place.until) if place.until else self._now()
        place = replace(place, until=until.isoformat())
        back = 1 if self._looks_back(place) else 0
        names = self._names(since, until, place, back)
        address = str(place.on) if self.pages.kind == "link" and place.on else ""
        body, link = self._ask(self.how, names, address)
        rows = rows_at(self.how.rows, body)
        if back:
            return self._checked(rows, body, place)
        return rows, self._after(rows, body, link, place, len(rows))

    def _names(
        self, since: datetime | None, until: datetime, place: Place, back: int
    ) -> dict[str, Any]:
        names: dict[str, Any] = {"size": self.size}
        match self.pages.kind:
            case "page":
                names["page"] = self.pages.first if place.on is None else place.on
            case "offset":
                names["offset"] = (place.on or 0) - back
            case "cursor" | "keyset":
                names["cursor"] = self.pages.start if place.on is None else place.on
        if cursor := self.stream.cursor:
            names |= _window(cursor, since or cursor.start, until, self._zone)
        return names

    # Offsets

    def _looks_back(self, place: Place) -> bool:
        pages = self.pages
        return pages.kind == "offset" and pages.overlap and bool(place.on) and bool(place.last)

    def _checked(self, rows: list[Raw], body: Any, place: Place) -> tuple[list[Raw], Place | None]:
        """What follows the row seen last; when it moved, the page before is read once more."""
        if rows and self._id(rows[0]) == place.last:
            return rows[1:], self._after(rows[1:], body, "", place, len(rows))
        before = max(0, int(place.on) - self.size)
        return rows, replace(place, on=before, read=before, mark="", last=None)

    # What comes next

    def _after(
        self, rows: list[Raw], body: Any, link: str, place: Place, given: int
    ) -> Place | None:
        """The place behind these rows; ``given`` counts one that was asked for again."""
        pages = self.pages
        if pages.kind == "none":
            return None
        mark = body_hash(json.dumps([self._id(row) for row in rows]).encode())[:16] if rows else ""
        total = self._total(body)
        after = replace(place, read=place.read + len(rows), mark=mark, total=total)
        if pages.kind in ("cursor", "link"):
            told = link if pages.next == "header:link" else at(pages.next, body)
            return None if _is_no(told) or self._says_over(body) else replace(after, on=told)
        if self._fell(place, total):
            read = max(0, place.read - self.size)  # too few only costs one more page
            return replace(after, on=max(pages.first, int(place.on) - 1), read=read, mark="")
        if not rows or self._is_over(given, body, after):
            return None
        if mark == place.mark:
            self._check_end()
            return None
        return replace(after, **self._onward(rows, place))

    def _onward(self, rows: list[Raw], place: Place) -> dict[str, Any]:
        pages = self.pages
        if pages.kind == "page":
            return {"on": (pages.first if place.on is None else int(place.on)) + 1}
        if pages.kind == "offset":
            return {"on": (place.on or 0) + len(rows), "last": self._id(rows[-1])}
        key = at(pages.field or self.stream.id, rows[-1])
        if key is None:
            raise RemoteError(
                f"the last row has nothing at {pages.field or self.stream.id} to go on from",
                hint="Correct pages.field, or id, of this stream.",
            )
        return {"on": key}

    def _is_over(self, given: int, body: Any, after: Place) -> bool:
        if self.pages.more:
            said = at(self.pages.more, body)
            return given < self.size if said is None else _is_no(said)
        if self.pages.total and after.total is not None:
            return after.read >= after.total
        return self.pages.stop == "short" and given < self.size

    def _says_over(self, body: Any) -> bool:
        said = at(self.pages.more, body) if self.pages.more else None
        return said is not None and _is_no(said)

    def _total(self, body: Any) -> int | None:
        if not self.pages.total:
            return None
        said = at(self.pages.total, body)
        try:
            return int(said)
        except (TypeError, ValueError):
            return None

    def _fell(self, place: Place, total: int | None) -> bool:
        """Whether rows left while page numbers were read: others moved to pages already read."""
        before = place.total
        numbered = self.pages.kind == "page" and place.on is not None
        return numbered and total is not None and before is not None and total < before

    def _check_end(self) -> None:
        """The same page twice: behind the last one some vendors give it again."""
        if self.pages.more or self.pages.total:
            raise RemoteError(
                "the vendor gives the same page again and again",
                hint="Correct `pages` of this stream: what is sent does not turn the page.",
            )

    def _id(self, row: Any) -> str:
        return shown(at(self.stream.id, row) or "")


def rows_at(where: str, body: Any) -> list[Any]:
    """The rows of an answer.

    Raises:
        RemoteError: there is no list; None is one only where the answer has it under that name.
    """
    found = at(where, body)
    if isinstance(found, list):
        return found
    parent, _, name = where.rpartition(".")
    around = at(parent, body) if parent else body
    if found is None and isinstance(around, Mapping) and name.strip('"') in around:
        return []
    raise RemoteError(
        f"the answer has no list at {where}",
        hint="Correct `rows` in the file of this system: compare it with an answer.",
    )


def row_at(where: str, body: Any) -> Any:
    """One record of an answer; of a list the first. None only where the answer says so itself.

    Raises:
        RemoteError: there is nothing under that name; taken for "gone", it would delete everything.
    """
    found = at(where, body)
    if isinstance(found, list):
        return found[0] if found else None
    parent, _, name = where.rpartition(".")
    around = at(parent, body) if parent else body
    if found is None and not (isinstance(around, Mapping) and name.strip('"') in around):
        raise RemoteError(
            f"the answer has no record at {where}",
            hint="Correct `row` in the file of this system: compare it with an answer.",
        )
    return found


def moment(value: Any, zone: tzinfo) -> datetime | None:
    """The instant a row tells; None when it tells none."""
    try:
        return None if value is None else instant(value, zone)
    except (ValueError, TypeError, ArithmeticError, LookupError):
        return None


def _window(
    cursor: Cursor, since: datetime | None, until: datetime, zone: tzinfo
) -> dict[str, Any]:
    told = {"until": time_in(until + timedelta(seconds=1), cursor.format, zone)}
    if since is not None:
        told["since"] = time_in(since, cursor.format, zone)
    return told


def _is_no(said: Any) -> bool:
    return not said or (isinstance(said, str) and said.strip().lower() in NO)


def followed(link: str, base: str, hidden: Sequence[str]) -> str:
    """The address a vendor gives for the next page, without the keys we add ourselves.

    Raises:
        ConfigError: it leads to another host.
    """
    address = urlsplit(urljoin(base.rstrip("/") + "/", link))
    here = urlsplit(base)
    if (address.scheme, address.netloc) != (here.scheme, here.netloc):
        raise ConfigError(
            f"the next page is at another address: {address.scheme}://{address.netloc}",
            hint="Set the address of this connection to where the system is now.",
        )
    pairs = [p for p in parse_qsl(address.query, keep_blank_values=True) if p[0] not in hidden]
    return urlunsplit(address._replace(query=urlencode(pairs), fragment=""))


def is_flagged(flag: str, row: Any) -> bool:
    """Whether a row says that it was deleted."""
    return bool(flag) and not _is_no(at(flag, row))
