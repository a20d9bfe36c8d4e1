"""What is particular to one call centre, as data: ``presets/<name>.toml``, and a call read by it.

A preset names by JMESPath where each part of a call is, tells the vendor's words in ours (``"*"``
for any other word), how its pushes are answered, and how its API lists calls, if it has one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import BaseModel, ConfigDict, field_validator

from hub.sdk import Answers, Raw, at, instant, zone_of
from hub.sdk.signing import Recipe

FOLDER = Path(__file__).parent / "presets"
CHINA = zone_of("Asia/Shanghai")
PARTS = {
    *("id", "direction", "customer", "hotline", "agent", "agent_id", "queue", "note"),
    *("started_at", "queued_at", "answered_at", "ended_at", "wait_s", "talk_s"),
    *("result", "hung_up_by", "recording", "satisfaction"),
}
"""What a path may be given for."""

ANSWERED, UNANSWERED = "answered", "unanswered"
_MOBILE_ABROAD = re.compile(r"(?:\+|00)?86(?=1[3-9]\d{9}$)|0(?=1[3-9]\d{9}$)")
"""What may stand before a Chinese mobile number: the country's code, or a 0 for long distance."""


class Api(BaseModel):
    """How calls are listed between two instants, in pages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    auth: Literal["tc3", "acs3"]
    service: str = ""
    url: str
    version: str
    action: str
    instance: str
    since: str
    until: str
    unit: Literal["s", "ms"]
    page: str
    first: int
    size: str
    most: int
    items: str
    answers: Answers


class Preset(BaseModel):
    """One call centre.

    Attributes:
        events: where a body has its event, or several; "" = it is the event.
        event_id: the header that names a push, as ``header:…``; otherwise its body does.
        body: what a push is answered with.
        recipe: how pushes are signed, where they are.
        recording_prefix: stands before a recording that is no address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    title_zh: str
    paths: Mapping[str, str]
    words: Mapping[str, Mapping[str, str]] = {}
    events: str = ""
    event_id: str = ""
    body: str = ""
    recipe: Recipe | None = None
    recording_prefix: str = ""
    api: Api | None = None

    @field_validator("paths")
    @classmethod
    def _are_paths(cls, paths: Mapping[str, str]) -> Mapping[str, str]:
        if unknown := paths.keys() - PARTS:
            raise ValueError(
                f"{min(unknown)!r} is no part of a call; known: {', '.join(sorted(PARTS))}"
            )
        for name, path in paths.items():
            try:
                jmespath.compile(path)
            except JMESPathError as exc:
                raise ValueError(f"{name}: {path!r} is no JMESPath") from exc
        return paths

    def call(self, event: Raw) -> Raw:
        """The vendor's fields, and beside them the parts of a call in our words.

        Where its word for the result is none we know, the times tell whether anybody answered.
        """
        found = {name: at(path, event) for name, path in self.paths.items()}
        told = {name: self._word(name, value) for name, value in found.items() if _is_told(value)}
        if number := told.get("customer"):
            told["customer"] = _MOBILE_ABROAD.sub("", str(number).replace(" ", ""), count=1)
        if file := told.get("recording"):
            told["recording"] = file if "://" in str(file) else f"{self.recording_prefix}{file}"
        if found.get("ended_at") and str(found.get("result")) not in self.words.get("result", {}):
            told["result"] = ANSWERED if _moment(found.get("answered_at")) else UNANSWERED
        return {**event, **told, **_durations(told)}

    def calls(self, events: Iterable[Raw]) -> Iterator[Raw]:
        """The calls among these events; those between colleagues are nobody's business."""
        found = map(self.call, events)
        return (call for call in found if call.get("direction") != "internal")

    def _word(self, name: str, value: Any) -> Any:
        table = self.words.get(name)
        if table is None:
            return value
        word = str(value)
        return table.get(word, table.get("*", word))


@cache
def preset(name: str) -> Preset:
    """The preset of that name."""
    return Preset.model_validate(tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8")))


def names() -> list[str]:
    """The names of all presets."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _is_told(value: Any) -> bool:
    return value is not None and value is not False and value not in ("", [], {})


def _durations(told: Raw) -> Raw:
    """How long it was waited and talked, where only the instants are told."""
    answered = _moment(told.get("answered_at"))
    ended = _moment(told.get("ended_at"))
    began = _moment(told.get("queued_at")) or _moment(told.get("started_at"))
    spans = {"wait_s": (began, answered or ended), "talk_s": (answered, ended)}
    return {
        name: max(0, round((until - since).total_seconds()))
        for name, (since, until) in spans.items()
        if since and until and name not in told
    }


def _moment(value: Any) -> datetime | None:
    """The instant; None when there is none, or none that can be read: the mapping tells that."""
    try:
        return instant(value, CHINA) if _is_told(value) else None
    except (ValueError, TypeError, ArithmeticError, LookupError):
        return None
