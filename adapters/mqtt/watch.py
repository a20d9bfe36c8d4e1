"""Which readings tell something: thresholds over what devices send, pure and without a clock.

A device's last words are kept only as far as they matter: what stands in alarm, and what is about
to. That fits into the listener's cursor and is stored with the events it led to, so that a reading
that comes again, a retained one or a restart raises no second alarm.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hub.sdk import JsonPath, at, instant

KEPT = timedelta(days=7)

UNSET, AHEAD_MAX = datetime(2001, 1, 1, tzinfo=UTC), timedelta(days=1)
"""A clock that shows an earlier time, or one that is further ahead, was never set: to believe it
once would be to hear nothing of that device until then."""

Priority = Literal["low", "normal", "high", "urgent"]


class Threshold(BaseModel):
    """When a reading is an alarm; one of ``below``, ``above``, ``equals`` or ``present``.

    Attributes:
        path: the value within the message (JMESPath).
        clear: for ``below`` and ``above``, where it is over again, so that a value that wavers
            about the limit raises one alarm; the limit itself when not given.
        for_s: how long it must have been so, by the device's own clock.
        title: what the ticket is called; ``{value}`` and ``{device}`` stand for themselves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    path: JsonPath
    below: float | None = None
    above: float | None = None
    equals: str | int | bool | None = None
    present: bool = False
    clear: float | None = None
    for_s: float = Field(default=0.0, ge=0)
    title: str = "{device}: {name} {value}"
    priority: Priority = "normal"

    @model_validator(mode="after")
    def _says_one_thing(self) -> Threshold:
        said = [self.below is not None, self.above is not None, self.equals is not None]
        if sum([*said, self.present]) != 1:
            raise ValueError("give one of below, above, equals, present")
        if self.clear is not None and not self._clears(self.clear):
            raise ValueError("clear is at or above `below`, at or below `above`")
        return self

    def _clears(self, clear: float) -> bool:
        if self.below is not None:
            return clear >= self.below
        return self.above is not None and clear <= self.above

    def crossed(self, value: Any, *, on: bool) -> bool | None:
        """Whether this value is an alarm, while it is one or not; None when it does not tell."""
        if self.present:
            return value not in (None, "", False, 0)
        if value is None:
            return None
        if self.equals is not None:
            return bool(value == self.equals)
        number = _number(value)
        if number is None:
            return None
        if self.below is not None:
            return number < (self._edge(self.below) if on else self.below)
        return number > (self._edge(self.above or 0.0) if on else (self.above or 0.0))

    def _edge(self, limit: float) -> float:
        return limit if self.clear is None else self.clear


@dataclass(frozen=True, slots=True)
class Reading:
    """What one device said at one instant."""

    device: str
    topic: str
    said_at: datetime
    body: Any


@dataclass(slots=True)
class Watch:
    """What stands in alarm, and since when; and what has begun to look like one."""

    on: dict[str, str] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)

    @classmethod
    def told(cls, cursor: str | None) -> Watch:
        """As it was stored."""
        known = json.loads(cursor) if cursor else {}
        return cls(known.get("on", {}), known.get("pending", {}), known.get("last", {}))

    def cursor(self) -> str:
        """To be stored with the events."""
        self._weed()
        told = {"on": self.on, "pending": self.pending, "last": self.last}
        return json.dumps({name: of for name, of in told.items() if of}, ensure_ascii=False)

    def alarms(self, reading: Reading, thresholds: Sequence[Threshold]) -> Iterator[dict[str, Any]]:
        """The alarms that begin or end with this reading."""
        for threshold in thresholds:
            # What lacks in a message of another topic is no sign that it is gone.
            of = reading.topic if threshold.present else reading.device
            key = f"{of}/{threshold.name}"
            value = at(threshold.path, reading.body)
            crossed = threshold.crossed(value, on=key in self.on)
            if crossed is None or self._is_older(key, reading.said_at):
                continue
            if crossed and key not in self.on:
                if self._has_lasted(key, threshold.for_s, reading.said_at):
                    self.on[key] = self._heard(key, reading.said_at)
                    yield _alarm(reading, threshold, value, self.on[key], "on")
            elif not crossed:
                self.pending.pop(key, None)
                if since := self.on.pop(key, None):
                    self._heard(key, reading.said_at)
                    yield _alarm(reading, threshold, value, since, "off")

    def _weed(self) -> None:
        """Forget what changed so long ago that no message of then comes again."""
        newest = max(self.last.values(), default="")
        if newest:
            oldest = (datetime.fromisoformat(newest) - KEPT).isoformat()
            self.last = {key: at for key, at in self.last.items() if at >= oldest}

    def _has_lasted(self, key: str, for_s: float, now: datetime) -> bool:
        began = self.pending.setdefault(key, now.isoformat()) if for_s else now.isoformat()
        if (now - datetime.fromisoformat(began)).total_seconds() < for_s:
            return False
        self.pending.pop(key, None)
        return True

    def _is_older(self, key: str, said_at: datetime) -> bool:
        """Whether a later reading changed this alarm already: messages may come again."""
        return key in self.last and said_at.isoformat() <= self.last[key]

    def _heard(self, key: str, said_at: datetime) -> str:
        self.last[key] = said_at.isoformat()
        return self.last[key]


def said_at(body: Any, path: str, received_at: datetime) -> datetime:
    """The device's own instant; ours where it tells none, or none that can be."""
    try:
        told = instant(at(path, body))
    except (ValueError, TypeError, ArithmeticError, LookupError):
        return received_at
    return told if told and UNSET < told < received_at + AHEAD_MAX else received_at


def _alarm(
    reading: Reading, threshold: Threshold, value: Any, since: str, state: str
) -> dict[str, Any]:
    words: Mapping[str, Any] = {
        "device": reading.device, "name": threshold.name, "value": value,
    }  # fmt: skip
    title = threshold.title
    for word, told in words.items():
        title = title.replace(f"{{{word}}}", str(told))
    return {
        "id": f"{reading.device}/{threshold.name}/{since}",
        **words,
        "title": title,
        "state": state,
        "priority": threshold.priority,
        "since": since,
        "at": reading.said_at.isoformat(),
        "reading": reading.body,
    }


def _number(value: Any) -> float | None:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number
