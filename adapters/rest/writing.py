"""Writes: made once, found again by our own marker, in the form the vendor wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from adapters.rest.config import Made
from adapters.rest.reading import rows_at
from adapters.rest.system import Codec, Request, Streamed, Write
from adapters.rest.template import ABSENT, Scope, fill, shown
from hub.sdk import Change, Raw, Receipt, RejectedError, UnknownOutcomeError, at


class Ask(Protocol):
    """Asks what the file describes."""

    def __call__(self, request: Request, names: Mapping[str, Any], *, again: bool) -> Any:
        """The decoded answer; ``again``: it may be sent again."""


def looks_up(part: Streamed) -> bool:
    """Whether a write whose outcome is unknown may simply be tried again."""
    if part.action:
        return part.action.idempotent
    made_once = part.create is None or part.create.idempotent or part.lookup is not None
    return made_once or not part.writable


def push(made: Made, change: Change, ask: Ask, scope: Scope) -> Receipt:
    """Write once, as the stream's part of the file says.

    Raises:
        RejectedError: there is no such write.
        UnknownOutcomeError: it was made, and the answer does not tell its id.
    """
    part, id_ = made.part, change.id
    names = {
        "id": id_,
        "key": change.key,
        "marker": change.marker or change.key,
        "version": change.version or None,
        "fields": dict(change.values),
        "values": coded(change.values, made.codec, scope),
    }
    if part.action:
        return _done(part, part.action, names, ask, again=part.action.idempotent)
    if id_ is not None:
        if not change.values:
            return Receipt(id_)
        if set_ := part.update or part.upsert:
            return _done(part, set_, names, ask, again=True)
        raise RejectedError(f"records of {made.name} cannot be changed")
    if part.create is None:
        if part.upsert:
            return _done(part, part.upsert, names, ask, again=True)
        raise RejectedError(f"records of {made.name} cannot be made")
    if part.lookup:
        rows = rows_at(part.lookup.rows, ask(part.lookup, names, again=True))
        if rows:
            return Receipt(shown(at(part.id, rows[0])))
    return _done(part, part.create, names, ask, again=part.create.idempotent)


def coded(values: Mapping[str, Any], codec: Codec | None, scope: Scope) -> Any:
    """The values in the form the vendor wants."""
    if codec is None:
        return dict(values)
    items = {n: fill(codec.item, scope.having(name=n, value=v)) for n, v in values.items()}
    kept = {name: item for name, item in items.items() if item is not ABSENT}
    return list(kept.values()) if codec.each == "list" else kept


def _done(
    part: Streamed, write: Write, names: Mapping[str, Any], ask: Ask, *, again: bool
) -> Receipt:
    body = ask(write, names, again=again)
    told = at(write.id, body) if write.id else None
    id_ = told if told is not None else names["id"]
    row: Raw | None = at(write.row, body) if write.row else None
    if id_ is None and row is not None:
        id_ = at(part.id, row)
    if id_ is None and (write is part.upsert or write is part.action):
        id_ = names["marker"]  # it is called as we call it
    if id_ is None:
        raise UnknownOutcomeError(
            f"a record was made, and the answer has no id at {write.id or 'create.id'}",
            hint="Correct `id` of [create] in the file of this system.",
        )
    return Receipt(shown(id_), row)
