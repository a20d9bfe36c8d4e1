"""What is agreed on among the copies of one thing, and who must be told.

Decided from state alone, so that it may be asked again at any time: a value that a copy shows and
that was not taken into account before is news, unless it is what was agreed on, or what the vendor
makes of that (it trims, rounds, lower-cases). News from whoever may change the field becomes what
is agreed on; all other copies that show something else are to be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.syncs.spec import Plan

Values = Mapping[str, Any]
"""Canonical path → value; a reference is given as the name of the thing it points to."""


@dataclass(frozen=True, slots=True)
class Member:
    """One copy.

    Attributes:
        ref: its name; stream: where it lives.
        values: what it shows now.
        base: what was taken into account last; None when it has just joined.
        written, shown: what was written last, and what the vendor made of it.
        changed: orders the members by when they last changed.
        gone: it was deleted there.
        busy: a write to it is under way, so what it shows is judged after that.
    """

    ref: str
    stream: str
    values: Values
    base: Values | None = None
    written: Values = field(default_factory=dict)
    shown: Values = field(default_factory=dict)
    changed: float = 0.0
    gone: bool = False
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """A copy to be brought in line; without ``ref``, one to be made in the stream."""

    stream: str
    ref: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided.

    Attributes:
        agreed: path → value, after it.
        news: path → the member whose value was taken.
        bases: ref → what is taken into account now, of members for whom that changed.
        writes: who must be told.
    """

    agreed: dict[str, Any]
    news: dict[str, str]
    bases: dict[str, dict[str, Any]]
    writes: list[Write]


def decide(plan: Plan, members: Sequence[Member], agreed: Values) -> Outcome:
    """The new state of one thing, and the writes that lead everybody there."""
    taken = {path for m in members for path in m.base or ()}
    # What no copy was ever asked about was agreed on under another plan, and is no longer true.
    now, news = {path: value for path, value in agreed.items() if path in taken}, {}
    there = [m for m in members if not m.gone]
    ready = [m for m in there if not m.busy]
    for path in plan.paths:
        said = _news(plan, path, there, now)
        if said is not None:
            now[path], news[path] = said.values.get(path), said.ref
    bases = {m.ref: dict(m.values) for m in ready if m.base is None or dict(m.base) != m.values}
    writes = [Write(m.stream, m.ref) for m in ready if differing(plan, m, now)]
    return Outcome(now, news, bases, writes + _creations(plan, members, now))


def differing(plan: Plan, member: Member, agreed: Values) -> list[str]:
    """The paths at which a copy must be written."""
    return [
        path
        for path in plan.paths
        if path in agreed
        and path in plan.writable[member.stream]
        and plan.owners.get(path) != member.stream
        and not _shows(member, path, agreed[path])
    ]


def same(one: Any, other: Any) -> bool:
    """Whether two values say the same; nothing is nothing, however it is written."""
    return bool(one == other) or (_empty(one) and _empty(other))


def _news(plan: Plan, path: str, members: Sequence[Member], agreed: Values) -> Member | None:
    """The member whose value replaces what was agreed on, if any.

    As long as an owner has no copy, everybody may change what it owns.
    """
    owners = [m for m in members if m.stream == plan.owners.get(path)]
    if any(m.busy for m in owners):
        return None
    members = [m for m in members if not m.busy]
    allowed = owners or members
    changed = [m for m in allowed if _is_news(m, path, agreed)]
    if changed:
        return max(changed, key=lambda m: (m.changed, m.ref))
    if owners:
        stands = path in agreed and any(_shows(m, path, agreed[path]) for m in owners)
        return None if stands else owners[0]
    if path not in agreed:
        return _first(plan, path, members)
    return (
        _first(plan, path, [m for m in members if m.base is None]) if _empty(agreed[path]) else None
    )


def _is_news(member: Member, path: str, agreed: Values) -> bool:
    value = member.values.get(path)
    if member.base is None or path not in member.base or same(value, member.base[path]):
        return False
    return path not in agreed or not _shows(member, path, agreed[path])


def _shows(member: Member, path: str, value: Any) -> bool:
    """Whether the copy shows this value, or what its vendor makes of it."""
    shown = member.values.get(path)
    if same(shown, value):
        return True
    made = path in member.written and path in member.shown
    return made and same(member.written[path], value) and same(member.shown[path], shown)


def _first(plan: Plan, path: str, members: Iterable[Member]) -> Member | None:
    """To begin with, the first stream that has a value."""
    order = {stream: n for n, stream in enumerate(plan.streams)}
    some = [m for m in members if not _empty(m.values.get(path))]
    return min(some, key=lambda m: (order[m.stream], m.ref), default=None)


def _creations(plan: Plan, members: Sequence[Member], agreed: Values) -> list[Write]:
    """Copies to be made where there never was one."""
    there = {m.stream for m in members}
    if not agreed or all(m.gone for m in members):
        return []
    return [Write(stream, None) for stream in plan.create if stream not in there]


def resembles(written: Values, shown: Values) -> bool:
    """Whether this may be what was written, whatever the vendor does to case, blanks and signs."""
    texts = [(_core(v), _core(shown.get(path))) for path, v in written.items() if _core(v)]
    return bool(texts) and all(one == other for one, other in texts)


def _core(value: Any) -> str:
    if not isinstance(value, str | int | float):
        return ""
    return "".join(c for c in str(value).casefold() if c.isalnum())


def _empty(value: Any) -> bool:
    return value is None or value in ("", [], {}, ())
