"""What a connection says: which system, and the values and secrets its file asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, model_validator

from adapters.rest.faults import did_you_mean
from adapters.rest.load import SYSTEMS, load, shipped
from adapters.rest.system import Codec, Pattern, Streamed, System, Variable, is_jmespath
from hub.sdk import ConfigError, ConnectionConfig, Described, SitePath, Stream

Value = str | int | bool

OWN = ("of", "id", "changed", "mapping")
"""What a stream made from a pattern may say, beside the pattern's values."""


def _shipped(given: object) -> object:
    """The file of a system that comes with the hub; any other is beside settings.toml."""
    return str(SYSTEMS / f"{given}.toml") if given in shipped() else given


@dataclass(frozen=True)
class Made:
    """A stream of this connection: of the file itself, or made from one of its patterns.

    Attributes:
        values: what the connection gave for this stream alone.
        codec: the form in which the vendor wants what is written.
        zone: of times in its rows and requests that name none.
    """

    name: str
    part: Streamed
    values: Mapping[str, Value] = field(default_factory=dict)
    codec: Codec | None = None
    zone: str = "UTC"


class RestConfig(ConnectionConfig):
    system: Annotated[SitePath, BeforeValidator(_shipped)] = Field(
        description="Name of a system that comes with the hub, or a TOML file beside settings.toml "
        "such as systems/helpdesk.toml (see docs/rest.md)",
        examples=["example"],
    )
    values: dict[str, Value] = Field(
        default={}, description="What the file asks for under `[values]`, such as an account"
    )
    secrets: dict[str, SecretStr] = Field(
        default={},
        description="What the file asks for under `[secrets]`",
        examples=[{"token": "rest-example-token-2718"}],
    )
    streams: dict[str, dict[str, Any]] = Field(
        default={},
        description="Streams made from patterns of the file: name = {of = pattern, … its values}; "
        "`id`, `changed` (when a row was changed) and `mapping` may be given as well",
    )
    only: tuple[str, ...] = Field(
        default=(), description="Streams of the file this connection uses; all, if not given"
    )
    webhook_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secrets or words that prove webhooks; two while one is rotated",
        examples=[["rest-example-hook-1618"]],
    )
    backfill_from: datetime | None = Field(
        default=None, description="Leave out what was last changed before this instant"
    )
    page_size: int | None = Field(
        default=None, ge=1, description="Rows per call, instead of what the file says"
    )

    _system: System = PrivateAttr()
    _made: dict[str, Made] = PrivateAttr()

    @model_validator(mode="after")
    def _complete(self) -> RestConfig:
        """Raises ConfigError, which names what is missing."""
        self._system = load(self.system)
        found = [*self._value_faults(), *self._secret_faults(), *self._stream_faults()]
        if found:
            hint = f"See [values] and [secrets] of {self.file}, and docs/rest.md."
            raise ConfigError("; ".join(found), hint=hint)
        self._made = {made.name: made for made in self._streams()}
        return self

    @property
    def described_system(self) -> System:
        """What the file says."""
        return self._system

    @property
    def made(self) -> Mapping[str, Made]:
        """The streams of this connection."""
        return self._made

    @property
    def file(self) -> str:
        """The file as a person knows it."""
        return f"{self.system.parent.name}/{self.system.name}"

    def names(self, made: Made | None = None) -> dict[str, Any]:
        """The values and secrets its templates may name; secrets in plain text."""
        given = {name: spec.default for name, spec in self._system.values.items()} | self.values
        if made and isinstance(made.part, Pattern):
            defaults = {name: spec.default for name, spec in made.part.values.items()}
            given |= {**defaults, **made.values}
        secrets = {name: secret.get_secret_value() for name, secret in self.secrets.items()}
        return {**given, "secrets": {name: text for name, text in secrets.items() if text}}

    def described(self) -> list[Described]:
        return [
            Described(_stream(made), _mapping(made), _without(made.part), self._place(made))
            for made in self._made.values()
        ]

    def pace_per_s(self) -> float | None:
        return self._system.limits.requests_per_s

    def _place(self, made: Made) -> str:
        """Where the mapping of a stream was written."""
        given = self.streams.get(made.name)
        if given is None:
            return f"{self.file} [streams.{made.name}.mapping]"
        if "mapping" in given:
            return f"streams.{made.name}.mapping"
        return f"{self.file} [patterns.{given['of']}.mapping]"

    def _streams(self) -> Iterator[Made]:
        for name, part in self._system.streams.items():
            if not self.only or name in self.only:
                yield self._make(name, part, {})
        for name, given in self.streams.items():
            pattern = _with_own(self._system.patterns[str(given["of"])], given)
            yield self._make(name, pattern, {k: v for k, v in given.items() if k not in OWN})

    def _make(self, name: str, part: Streamed, values: Mapping[str, Value]) -> Made:
        zone = (part.cursor.zone if part.cursor else "") or self._system.system.zone
        return Made(name, part, values, part.codec or self._system.codec, zone)

    def _value_faults(self) -> Iterator[str]:
        yield from _value_faults(
            f"{self.file} asks for", self._system.values, self.values, "values"
        )

    def _secret_faults(self) -> Iterator[str]:
        known = self._system.secrets
        for name, spec in known.items():
            if not spec.optional and not self.names()["secrets"].get(name):
                yield f"{self.file} asks for secrets.{name} ({spec.description}), which is missing"
        for name in self.secrets.keys() - known.keys():
            yield f"{self.file} knows no secrets.{name}{did_you_mean(name, known)}"

    def _stream_faults(self) -> Iterator[str]:
        known = self._system.patterns
        for name, given in self.streams.items():
            of = str(given.get("of", ""))
            rest = {key: value for key, value in given.items() if key not in OWN}
            if of not in known:
                near = did_you_mean(of, known)
                yield f'{self.file} has no pattern "{of}" for streams.{name}{near}'
            elif name in self._system.streams:
                yield f"streams.{name} has the name of a stream of {self.file}"
            else:
                asks = f"the pattern {of} of {self.file} asks for"
                yield from _value_faults(asks, known[of].values, rest, f"streams.{name}")
                if "changed" in given and known[of].cursor is None:
                    yield f"streams.{name}.changed: the pattern {of} does not ask what changed"
        for name in self.only:
            if name not in self._system.streams:
                near = did_you_mean(name, self._system.streams)
                yield f'{self.file} has no stream "{name}" for `only`{near}'


def _value_faults(
    asks: str, known: Mapping[str, Variable], given: Mapping[str, Value], where: str
) -> Iterator[str]:
    for name, spec in known.items():
        if spec.default is None and given.get(name) in (None, ""):
            yield f"{asks} {where}.{name} ({spec.description}), which is missing"
    for name in given.keys() - known.keys():
        yield f"{where}.{name}: there is no such value{did_you_mean(name, known)}"


def _with_own(pattern: Pattern, given: Mapping[str, Any]) -> Pattern:
    """The pattern with what a connection says of one stream itself."""
    own: dict[str, Any] = {}
    if "id" in given:
        own["id"] = is_jmespath(str(given["id"]))
    if "mapping" in given:
        own["mapping"] = given["mapping"]
    if "changed" in given and pattern.cursor:
        field = is_jmespath(str(given["changed"]))
        own["cursor"] = pattern.cursor.model_copy(update={"field": field})
    return pattern.model_copy(update=own)


def _stream(made: Made) -> Stream:
    part, rule = made.part, made.part.deleted.rule
    overlap_s = part.cursor.overlap_s if part.cursor else 0.0
    return Stream(
        made.name, part.writable, part.every_s, part.fresh_s, overlap_s, whole=rule != "none"
    )


def _without(part: Streamed) -> list[str]:
    """The verbs that do not work for it."""
    swept = part.deleted.rule == "sweep" or part.survey is not None
    there = {"pull": part.read, "fetch": part.one, "find": part.find, "survey": swept or None}
    return [verb for verb, of in there.items() if of is None]


def _mapping(made: Made) -> str:
    """The mapping as YAML; what the stream tells anyway need not be said twice."""
    part = made.part
    if part.mapping is None:
        return ""
    told: dict[str, Any] = {"from": f"rest/{made.name}", "key": part.id}
    if part.cursor:
        told["version"] = f"{part.cursor.field} | utc {made.zone}"
    if part.deleted.rule == "flag":
        told["gone"] = part.deleted.flag
    return yaml.safe_dump(told | _with_nulls(part.mapping), allow_unicode=True, sort_keys=False)


def _with_nulls(value: Any) -> Any:
    """TOML has no null; an empty table stands for it."""
    if value == {}:
        return None
    if isinstance(value, Mapping):
        tables = ("fields", "push", "values")  # these may be empty
        return {k: v if v == {} and k in tables else _with_nulls(v) for k, v in value.items()}
    return [_with_nulls(item) for item in value] if isinstance(value, list) else value
