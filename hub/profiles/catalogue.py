"""Which traits, signals and segments there are: read from traits.toml, ours and an own one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from hub.errors import ConfigError
from hub.models import KINDS, Call, Direction, Message, Model
from hub.models.conditions import Condition
from hub.profiles.tally import MEASURES, Tally

SHIPPED = Path(__file__).with_name("traits.toml")
SECTIONS = ("traits", "signals", "segments")

_DAYS = Field(default=None, ge=1, le=3660)
M = TypeVar("M", bound=Model)


class Label(Model):
    """What people call it."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


class Trait(Model):
    """One figure worked out of the facts of a customer; see traits.toml."""

    label: Label
    kind: tuple[str, ...]
    aggregate: Literal["count", "sum", "average", "newest", "soonest"]
    field: str = ""
    status: tuple[str, ...] = ()
    unit: str = ""
    past_days: int | None = _DAYS
    next_days: int | None = _DAYS

    @field_validator("kind", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("kind")
    @classmethod
    def _counted(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - MEASURES.keys():
            raise ValueError(f"must be of {', '.join(MEASURES)}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Trait:
        for kind in self.kind:
            known = [name for name in MEASURES[kind] if name]
            if self.field and self.field not in known:
                raise ValueError(f'{kind} has no field "{self.field}", only {known or "none"}')
            if self.aggregate in ("sum", "average") and (
                not self._field_of(kind) or _is_day(kind, self.field)
            ):
                raise ValueError(f"nothing of {kind} can be summed there")
            if self.aggregate == "soonest" and not _is_day(kind, self.field):
                raise ValueError("soonest wants a field that holds a day")
            unknown = set(self.status) - _statuses(kind)
            if _statuses(kind) and unknown:
                raise ValueError(f"{kind} has no status {', '.join(sorted(unknown))}")
        if self.past_days and self.next_days:
            raise ValueError("past_days and next_days exclude one another")
        return self

    def takes(self, t: Tally) -> bool:
        """Whether the facts of this sum are among those it is about."""
        return (
            t.kind in self.kind
            and t.field == self._field_of(t.kind)
            and (not self.status or t.status in self.status)
            and (not self.unit or t.unit == self.unit)
        )

    def _field_of(self, kind: str) -> str:
        return self.field or MEASURES[kind][0]


class Group(Model):
    """A signal or a segment: who has it is decided by conditions."""

    label: Label
    all_: tuple[Condition, ...] = Field(default=(), alias="all")
    any_: tuple[Condition, ...] = Field(default=(), alias="any")

    @model_validator(mode="after")
    def _says_something(self) -> Group:
        given = (*self.all_, *self.any_)
        if not given:
            raise ValueError('needs "all" or "any", with conditions')
        if any("becomes" in condition.model_fields_set for condition in given):
            raise ValueError("becomes is for rules: a segment knows no before")
        return self

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether a customer of whom these facts are known is in it."""
        return all(c.holds(facts) for c in self.all_) and (
            not self.any_ or any(c.holds(facts) for c in self.any_)
        )


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All of them, by id, in the order they are told."""

    traits: Mapping[str, Trait]
    signals: Mapping[str, Group]
    segments: Mapping[str, Group]

    @property
    def past_days(self) -> int:
        """How far back some trait looks day by day."""
        return max((trait.past_days or 0 for trait in self.traits.values()), default=0)


def read_catalogue(own: Path | None = None) -> Catalogue:
    """The shipped traits with those of a file of one's own, where there is one.

    Raises:
        ConfigError: the file is wrong; says where and why.
    """
    sections = _read(SHIPPED)
    if own is not None and own.is_file():
        for name, entries in _read(own).items():
            sections[name] |= entries
    traits, signals, segments = sections["traits"], sections["signals"], sections["segments"]
    path = own if own is not None and own.is_file() else SHIPPED
    found = Catalogue(
        _checked(path, "traits", traits, Trait),
        _checked(path, "signals", signals, Group),
        _checked(path, "segments", segments, Group),
    )
    for section, groups in (("signals", found.signals), ("segments", found.segments)):
        for id_, group in groups.items():
            _refuse_unknown(path, f"{section}.{id_}", group, found)
    return found


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} is not valid TOML: {exc}", hint="Mend that line.") from exc
    for name, entries in given.items():
        if name not in SECTIONS or not isinstance(entries, dict):
            hint = f"It holds {', '.join(f'[{section}.…]' for section in SECTIONS)}."
            raise ConfigError(f"{path}: {name}: unknown", hint=hint)
    return {name: given.get(name, {}) for name in SECTIONS}


def _checked(path: Path, section: str, entries: Mapping[str, Any], model: type[M]) -> dict[str, M]:
    found: dict[str, M] = {}
    for id_, entry in entries.items():
        if entry is False:
            continue
        try:
            found[id_] = model.model_validate(entry)
        except ValidationError as exc:
            fault = exc.errors()[0]
            where = ".".join(map(str, (section, id_, *fault["loc"])))
            raise ConfigError(
                f"{path}: {where}: {fault['msg']}",
                hint=f"See the comments at the top of {SHIPPED.name} in hub/profiles.",
            ) from exc
    return found


def _refuse_unknown(path: Path, where: str, group: Group, known: Catalogue) -> None:
    for condition in (*group.all_, *group.any_):
        first, _, rest = condition.field.partition(".")
        wrong = first == "traits" and rest not in known.traits
        wrong = wrong or (first != "traits" and condition.field not in FIELDS)
        if wrong:
            names = (*FIELDS, *(f"traits.{id_}" for id_ in known.traits))
            raise ConfigError(
                f'{path}: {where}: there is no field "{condition.field}"',
                hint=f"Known: {', '.join(names)}",
            )


FIELDS = (
    "kind", "name", "organization", "title", "tier", "owner", "language", "tags", "overdue",
    "signals", "segments",
)  # fmt: skip
"""What conditions may ask of a customer, beside traits."""


def _is_day(kind: str, field: str) -> bool:
    """Whether a field holds a day, not an amount."""
    return bool(field) and date in get_args(KINDS[kind].model_fields[field].annotation)


def _statuses(kind: str) -> set[str]:
    """The statuses facts of a kind may have; none when they use the source's own words."""
    if KINDS[kind] in (Message, Call):
        return set(Direction)
    field = KINDS[kind].model_fields.get("status")
    type_ = field.annotation if field else None
    return set(type_) if isinstance(type_, type) and issubclass(type_, StrEnum) else set()
