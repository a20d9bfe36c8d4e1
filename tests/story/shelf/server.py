"""The vendor's side of the shelf, behind the doubled HTTP boundary."""

from __future__ import annotations

import json
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import responses

from hub.registry import manifests

Answer = tuple[int, dict[str, str], str]
BEGIN = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Shelf:
    """Rows with the instant of their change, and the instant from which a search shows them.

    Attributes:
        now: its clock, which it tells with every answer.
        asked: the path and parameters of every request.
        troubles: what the next requests get instead of an answer.
        circle: the cursors the stream "rounds" gives in turn; "" is the end.
    """

    def __init__(self, *, cap: int = 10_000) -> None:
        self.now, self.cap = BEGIN, cap
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.troubles: deque[tuple[int, dict[str, str]]] = deque()
        self.circle: list[str] = []
        self.before_answer: Callable[[], None] = lambda: None
        self._rows: dict[str, dict[str, tuple[datetime, Mapping[str, Any]]]] = defaultdict(dict)

    def put(
        self, stream: str, id_: str, *, at: datetime | None = None, lag_s: float = 0, **fields: Any
    ) -> None:
        """Create or change a row; it is shown ``lag_s`` later than it is stamped."""
        at = at or self.now
        row = {"id": id_, "changed_at": at.isoformat(), "name": f"名{id_}", "member_no": id_}
        shown_at = self.now + timedelta(seconds=lag_s)
        self._rows[stream][id_] = (shown_at, {**row, **fields})

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def answer(self, request: requests.PreparedRequest) -> Answer:
        parts = urlsplit(str(request.url))
        asked = dict(parse_qsl(parts.query))
        self.asked.append((parts.path, asked))
        self.before_answer()
        date = {"Date": format_datetime(self.now, usegmt=True)}
        if self.troubles:
            status, headers = self.troubles.popleft()
            return status, {**date, **headers}, ""
        stream, _, id_ = parts.path.strip("/").partition("/")
        if id_:
            body: Any = self._rows[stream].get(id_, (None, None))[1]
        elif stream == "rounds":
            body = self._round()
        else:
            body = (self._by_time if stream == "parts" else self._by_id)(stream, asked)
        return 200, {**date, "Content-Type": "application/json"}, json.dumps(body)

    def _shown(self, stream: str, since: str) -> list[Mapping[str, Any]]:
        rows = (row for shown_at, row in self._rows[stream].values() if shown_at <= self.now)
        return [row for row in rows if row["changed_at"] >= since]

    def _by_id(self, stream: str, asked: Mapping[str, str]) -> dict[str, Any]:
        rows = sorted(self._shown(stream, asked.get("since", "")), key=lambda row: row["id"])
        found = [row for row in rows if row["id"] > asked.get("position", "")]
        page = found[: int(asked["limit"])]
        return {"rows": page, "next": page[-1]["id"] if len(found) > len(page) else None}

    def _by_time(self, stream: str, asked: Mapping[str, str]) -> dict[str, Any]:
        """By page number, and silent beyond the cap: as if there were no more."""
        found = self._shown(stream, asked.get("since", ""))
        rows = sorted(found, key=lambda row: (row["changed_at"], row["id"]))[: self.cap]
        first, limit = int(asked.get("position") or 0), int(asked["limit"])
        more = first + limit < len(rows)
        return {"rows": rows[first : first + limit], "next": str(first + limit) if more else None}

    def _round(self) -> dict[str, Any]:
        n = sum(path == "/rounds" for path, _ in self.asked)
        cursor = self.circle[(n - 1) % len(self.circle)]
        row = {
            "id": f"R{n}",
            "changed_at": self.now.isoformat(),
            "name": "圈",
            "member_no": f"R{n}",
        }
        return {"rows": [row], "cursor": cursor, "over": not cursor}


@contextmanager
def registered(folder: Path) -> Iterator[None]:
    """Within the block the shelf is an installed adapter like any other."""
    place = folder / "shelf-1.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf\nVersion: 1\n")
    (place / "entry_points.txt").write_text("[hub.adapters]\nshelf = tests.story.shelf\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        manifests.cache_clear()
        yield
    manifests.cache_clear()


@contextmanager
def answering(shelf: Shelf) -> Iterator[None]:
    """Within the block every request reaches this shelf."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        everywhere = re.compile(re.escape("https://shelf.example.com/"))
        mock.add_callback("GET", everywhere, callback=shelf.answer)
        yield
