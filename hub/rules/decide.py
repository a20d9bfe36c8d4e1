"""Rules as data: when a record appears or changes, if it looks so, then write there.

A rule in settings.toml::

    [[rules]]
    id = "mail-to-ticket"
    when = "Message created"
    if = [{field = "direction", is = "in"}, {field = "in_reply_to", empty = true}]
    then = {write = "desk/issues", fields = {subject = "{subject}", requester = "{party}"}}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson
from pydantic import ConfigDict, Field, ValidationError, field_validator

from hub.errors import ConfigError
from hub.models import BY_HAND, KINDS, Model
from hub.models.conditions import Condition, look_up

_PLACEHOLDER = re.compile(r"\{([a-z0-9_.]+)\}")


class Action(Model):
    """What to write: canonical fields, with ``{field}`` filled in from the record.

    Beside the record's own fields there are ``ref``, ``connection``, ``party``, ``origin`` and what
    is known of the customer: ``customer.name``, ``customer.email``, ``customer.phone``,
    ``customer.tier``, ``customer.traits.orders_90d``, ``customer.segments`` … and for a field over
    there ``customer.summary``, one line without names, and ``customer.card_url``, which wants a
    sign-in.
    """

    write: str = Field(pattern=r"^[^/]+/[^/]+$", description="connection/stream")
    fields: dict[str, Any]
    subject: str = Field(
        default="{ref}", description="whose copy is written: {ref}, or what it refers to"
    )
    keep: bool = Field(
        default=False,
        description="keep it so: only records that exist there, and only values that are news",
    )


class Rule(Model):
    """When, if, then."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    when: str
    if_: tuple[Condition, ...] = Field(default=(), alias="if")
    then: Action

    @property
    def kind(self) -> str:
        """The kind of record it looks at."""
        return self.when.partition(" ")[0]

    @field_validator("when")
    @classmethod
    def _known(cls, value: str) -> str:
        kind, _, event = value.partition(" ")
        if kind not in KINDS or event not in ("created", "changed"):
            raise ValueError('must be a kind and "created" or "changed", such as "Ticket changed"')
        return value


@dataclass(frozen=True, slots=True)
class Seen:
    """A record that was written.

    Attributes:
        change: names this change; the same state may be reached twice.
        after, before: its document now and as it was; a new record was not.
        party: the party record it belongs to.
        origin: what it was made from, when it is a copy the hub made.
        customer: what conditions and templates may ask of the customer.
    """

    ref: str
    kind: str
    change: str
    after: Mapping[str, Any]
    before: Mapping[str, Any] | None = None
    party: str | None = None
    origin: str | None = None
    customer: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """One write to be made.

    Attributes:
        key: the same cause gives the same key, so it is queued once.
        subject: the record whose copy is written.
        cause: the rule, sync or person, and the record behind it.
        sync: it writes what that sync has agreed on when it is sent.
        keep: it is written to records that exist, and not when it was queued last already.
    """

    key: str
    connection: str
    stream: str
    subject: str
    fields: Mapping[str, Any]
    cause: Mapping[str, str]
    sync: str | None = None
    keep: bool = False


def read_rules(given: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """The rules of settings.toml.

    Raises:
        ConfigError: one of them is wrong; says which and why.
    """
    try:
        return tuple(Rule.model_validate(rule) for rule in given)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        name = first.get("input")
        raise ConfigError(
            f"a rule is wrong at {where}: {first['msg']}", hint=f"It says {name!r}."
        ) from exc


def decide(rules: Iterable[Rule], changes: Iterable[Seen]) -> list[Intent]:
    """The writes these changes call for, in the order of the changes.

    A copy the hub made itself creates nothing: a rule must not set off on its own work. What a
    person had it make is as new as anything.
    """
    by_event: dict[str, list[Rule]] = {}
    for rule in rules:
        by_event.setdefault(rule.when, []).append(rule)
    return [
        _intent(rule, seen)
        for seen in changes
        for event in _events(seen)
        for rule in by_event.get(f"{seen.kind} {event}", ())
        if all(condition.holds(_document(seen), seen.before) for condition in rule.if_)
    ]


def _events(seen: Seen) -> tuple[str, ...]:
    if seen.before is None:
        is_ours = seen.origin is not None and not seen.origin.startswith(f"{BY_HAND}/")
        return () if is_ours else ("created", "changed")
    return ("changed",)


def _document(seen: Seen) -> dict[str, Any]:
    connection = seen.ref.partition("/")[0]
    return {
        **seen.after,
        "ref": _ref_of(seen.ref),
        "connection": connection,
        "party": _ref_of(seen.party),
        "origin": _ref_of(seen.origin),
        "customer": seen.customer,
    }


def _ref_of(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    connection, stream, id_ = text.split("/", 2)
    return {"connection": connection, "stream": stream, "id": id_}


def _intent(rule: Rule, seen: Seen) -> Intent:
    document = _document(seen)
    connection, _, stream = rule.then.write.partition("/")
    fields = {name: _fill(value, document) for name, value in rule.then.fields.items()}
    subject = _as_text(_fill(rule.then.subject, document))
    what: list[Any] = [rule.id, seen.ref]
    if rule.when.endswith("changed"):  # each change is a cause of its own, also one back to before
        what.append(seen.change)
    digest = blake2b(orjson.dumps(what, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
    return Intent(
        key=digest,
        connection=connection,
        stream=stream,
        subject=subject or seen.ref,
        fields={name: value for name, value in fields.items() if value not in (None, "")},
        cause={"rule": rule.id, "record": seen.ref},
        keep=rule.then.keep,
    )


def _fill(template: Any, document: Mapping[str, Any]) -> Any:
    if isinstance(template, Mapping):
        return {name: _fill(value, document) for name, value in template.items()}
    if isinstance(template, list):
        return [_fill(value, document) for value in template]
    if not isinstance(template, str):
        return template
    if whole := _PLACEHOLDER.fullmatch(template):
        return look_up(document, whole.group(1))
    return _PLACEHOLDER.sub(lambda m: _as_text(look_up(document, m.group(1))), template)


def _as_text(value: Any) -> str:
    if isinstance(value, Mapping) and value.keys() == {"connection", "stream", "id"}:
        return f"{value['connection']}/{value['stream']}/{value['id']}"
    return "" if value is None else str(value)
