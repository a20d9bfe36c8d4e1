"""What every canonical record shares.

A record is frozen, knows where it came from (``ref``), which copy it is (``version``) and when
what it tells happened (``occurred_at``); ``extra`` keeps every vendor field no other field holds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, ClassVar, get_args

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


def _to_utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""An aware instant, kept in UTC."""

ID_MAX = 1000
"""Bytes of an external id: two addresses must fit into one row of an index (2704 on PostgreSQL)."""


def is_short(text: str) -> bool:
    """Whether a text may be, or be part of, the name of a record."""
    return len(text) * 4 <= ID_MAX or len(text.encode()) <= ID_MAX


def _short(id_: str) -> str:
    if not is_short(id_):
        raise PydanticCustomError("too_long", "The id is too long")
    return id_


class Model(BaseModel):
    """Frozen and closed: an unknown field is an error, never a silent loss."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


BY_HAND = "@people"
"""Stands for the connection in the name of what a person made: no connection is called so."""


class Ref(Model):
    """The address of one external record: connection, stream and the vendor's id, always text."""

    connection: str = Field(min_length=1)
    stream: str = Field(min_length=1)
    id: Annotated[str, AfterValidator(_short)] = Field(min_length=1)

    def __str__(self) -> str:
        return f"{self.connection}/{self.stream}/{self.id}"

    @classmethod
    def parse(cls, text: str) -> Ref:
        """The ref written as ``connection/stream/id``; the id may itself hold slashes."""
        connection, stream, id_ = text.split("/", 2)
        return cls(connection=connection, stream=stream, id=id_)


class Money(Model):
    """An amount in the minor unit of its currency (分, cents).

    Source: ISO 4217 for the code and the number of minor digits.
    """

    amount_minor: int
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class Address(Model):
    """A postal address as the source wrote it; every part may be empty."""

    street: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = Field(default="", description="ISO 3166-1 alpha-2 where the source has a code")


class Record(Model):
    """One external record in the hub's own words.

    Attributes:
        kind: the model's name; what rules and the store call this sort of record.
        party_fields: fields that may name the customer this record belongs to, best first. A field
            that refers to another fact (a message's ticket) passes on that fact's customer.
        ref: where the record came from.
        version: text that grows with each change at the source (fixed-width instant or number);
            empty when the source has none, then arrival order decides.
        occurred_at: when what the record tells happened; not when it was changed or fetched.
        extra: the vendor's fields that no field above holds, as sent.
    """

    kind: ClassVar[str] = ""
    party_fields: ClassVar[tuple[str, ...]] = ()

    ref: Ref
    version: str = ""
    occurred_at: Instant | None = None
    extra: dict[str, Any] = Field(default_factory=dict)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = cls.__name__

    def refs(self) -> dict[str, Ref]:
        """The other records this one names, by field."""
        named = ((name, getattr(self, name)) for name in _ref_fields(type(self)))
        return {name: value for name, value in named if value is not None}


@cache
def _ref_fields(kind: type[Record]) -> tuple[str, ...]:
    """The fields that may name another record."""
    fields = ((name, field.annotation) for name, field in kind.model_fields.items())
    return tuple(
        n for n, type_ in fields if n != "ref" and (type_ is Ref or Ref in get_args(type_))
    )
