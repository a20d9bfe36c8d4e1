"""What truly happened at a vendor: every row as it is, every write with who did it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from demo.city.faults import Faults

HUB = "hub"
Clock = Callable[[], datetime]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One write.

    Attributes:
        who: ``hub``, or whoever else.
        verb: create, update or delete.
        key: our idempotency key or reference, as far as one came along.
    """

    seq: int
    at: datetime
    who: str
    verb: str
    stream: str
    id: str
    values: Mapping[str, Any]
    key: str = ""


@dataclass
class Ledger:
    """The rows of one vendor. ``lag_s`` and ``backdate_s`` say how bad those faults are."""

    clock: Clock
    faults: Faults
    lag_s: float = 900.0
    backdate_s: float = 1800.0
    entries: list[Entry] = field(default_factory=list)
    _rows: dict[str, dict[str, Row]] = field(default_factory=lambda: defaultdict(dict))
    _shown: dict[str, dict[str, list[tuple[datetime, Row | None]]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    _ids: Counter[str] = field(default_factory=Counter)

    def save(
        self,
        stream: str,
        values: Mapping[str, Any],
        *,
        id_: str = "",
        who: str = "somebody",
        key: str = "",
    ) -> Row:
        """Create a row, or change what ``values`` name of one; the row as it is now."""
        now = self.clock()
        before = self._rows[stream].get(id_) or {"version": 0, "created_at": stamp(now)}
        id_ = id_ or self._new_id(stream)
        row = {
            **before,
            **values,
            "id": id_,
            "version": before["version"] + 1,
            "changed_at": self._stamp(now, before),
        }
        self._rows[stream][id_] = row
        self._show(stream, id_, row, now)
        verb = "update" if before["version"] else "create"
        self._note(who, verb, stream, id_, values, key)
        return row

    def remove(self, stream: str, id_: str, *, who: str = "somebody") -> None:
        """Delete a row."""
        del self._rows[stream][id_]
        self._show(stream, id_, None, self.clock())
        self._note(who, "delete", stream, id_, {}, "")

    def row(self, stream: str, id_: str) -> Row | None:
        """One row as it is."""
        return self._rows[stream].get(id_)

    def rows(self, stream: str) -> list[Row]:
        """Every row as it is, in order of the ids."""
        return [row for _, row in sorted(self._rows[stream].items())]

    def find(self, stream: str, name: str, value: Any) -> list[Row]:
        """The rows that have this value, as they are."""
        return [row for row in self.rows(stream) if row.get(name) == value]

    def search(self, stream: str) -> list[Row]:
        """What the search index shows now, in order of the last change."""
        now = self.clock()
        shown = (_newest(copies, now) for copies in self._shown[stream].values())
        return sorted((row for row in shown if row), key=lambda row: (row["changed_at"], row["id"]))

    def deletions(self, after: int) -> Iterator[Entry]:
        """What was deleted after that entry of the ledger."""
        return (e for e in self.entries[after:] if e.verb == "delete")

    def twice(self) -> list[str]:
        """What the hub created more than once: references and keys of which there is one too many.

        A creation without any of them counts as well: nobody could find it again. What somebody
        deleted before it was made again does not: no look-up could find that either.
        """
        there: dict[tuple[str, str], set[str]] = defaultdict(set)
        found = []
        for entry in self.entries:
            place = entry.stream, entry.key
            if entry.verb == "delete":
                for (stream, _), ids in there.items():
                    ids -= {entry.id} if stream == entry.stream else set()
            elif entry.who == HUB and entry.verb == "create":
                if there[place] or not entry.key:
                    found.append(f"{entry.stream} {entry.key}")
                there[place].add(entry.id)
        return found

    def _stamp(self, now: datetime, before: Row) -> str:
        """The instant of the change, as the vendor writes it: whole seconds, never going back."""
        if self.faults.strikes("backdated"):
            now -= timedelta(seconds=self.backdate_s)
        return max(stamp(now), str(before.get("changed_at", "")))

    def _show(self, stream: str, id_: str, row: Row | None, now: datetime) -> None:
        late = self.lag_s if self.faults.strikes("lag") else 0.0
        copies = self._shown[stream].setdefault(id_, [])
        copies.append((now + timedelta(seconds=late), row))
        while len(copies) > 1 and copies[1][0] <= now:  # hidden for good by a newer one
            del copies[0]

    def _note(
        self, who: str, verb: str, stream: str, id_: str, values: Mapping[str, Any], key: str
    ) -> None:
        seq = len(self.entries) + 1
        self.entries.append(Entry(seq, self.clock(), who, verb, stream, id_, dict(values), key))

    def _new_id(self, stream: str) -> str:
        self._ids[stream] += 1
        return f"{stream[0].upper()}{self._ids[stream]:05d}"


def stamp(at: datetime) -> str:
    """An instant in whole seconds."""
    return at.isoformat(timespec="seconds")


def _newest(copies: list[tuple[datetime, Row | None]], now: datetime) -> Row | None:
    visible = [row for at, row in copies if at <= now]
    return visible[-1] if visible else None
