"""The people of the demo: one list, and what each system knows of them.

The list itself is ``people.toml``: one ``[[person]]`` is one human being or one company, whom the
systems know under different names, numbers and spellings, or not at all. What happened between
them and the demo company so far stands in ``history.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Party:
    """A person or company as Tryton knows it."""

    code: str
    name: str
    mobile: str = ""
    phone: str = ""
    email: str = ""
    tax_code: str = ""
    street: str = ""
    city: str = ""


@dataclass(frozen=True)
class Customer:
    """A customer as Roundup knows it: there, a user who may open issues."""

    login: str
    name: str
    phone: str = ""
    email: str = ""
    company: str = ""


@dataclass(frozen=True)
class Writer:
    """A customer as the mailbox knows it: what stands in the ``From`` line."""

    name: str
    email: str


@dataclass(frozen=True)
class Person:
    """One human being or company, and the three systems' views of it."""

    id: str
    note: str = ""
    tryton: Party | None = None
    roundup: Customer | None = None
    mail: Writer | None = None


@dataclass(frozen=True)
class Product:
    """Something the demo company sells."""

    code: str
    name: str
    price: Decimal
    service: bool = False


@dataclass(frozen=True)
class Order:
    """A sales order of a Tryton party; ``items`` maps product codes to quantities.

    States: draft, quotation, confirmed, delivered, invoiced, paid, cancelled; each but the last
    includes the ones before it.
    """

    reference: str
    who: str
    days_ago: int
    state: str
    items: Mapping[str, int]


@dataclass(frozen=True)
class Issue:
    """A Roundup issue; what is said in it starts with ``agent:`` when an agent says it."""

    title: str
    who: str
    priority: str
    status: str
    says: tuple[str, ...]


@dataclass(frozen=True)
class Letter:
    """A mail from a customer to the support mailbox."""

    id: str
    who: str
    subject: str
    text: str
    hours_ago: int
    answers: str = ""
    attachment: str = ""
    automatic: bool = False


@dataclass(frozen=True)
class People:
    """Everything in the list."""

    persons: tuple[Person, ...]
    products: tuple[Product, ...]
    orders: tuple[Order, ...]
    issues: tuple[Issue, ...]
    letters: tuple[Letter, ...]

    def __getitem__(self, person_id: str) -> Person:
        """The person with this id."""
        return next(person for person in self.persons if person.id == person_id)


def load() -> People:
    """Read the list and the history."""
    known, past = _read("people.toml"), _read("history.toml")
    return People(
        persons=tuple(_person(row) for row in known["person"]),
        products=tuple(_product(row) for row in known["product"]),
        orders=tuple(Order(**row) for row in past["orders"]),
        issues=tuple(Issue(**{**row, "says": tuple(row["says"])}) for row in past["issues"]),
        letters=tuple(Letter(**row) for row in past["letters"]),
    )


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))


def _product(row: Mapping[str, Any]) -> Product:
    return Product(**{**row, "price": Decimal(row["price"])})


def _person(row: Mapping[str, Any]) -> Person:
    """One person; a system that is not mentioned does not know them."""
    return Person(
        id=row["id"],
        note=row.get("note", ""),
        tryton=Party(**row["tryton"]) if "tryton" in row else None,
        roundup=Customer(**row["roundup"]) if "roundup" in row else None,
        mail=Writer(**row["mail"]) if "mail" in row else None,
    )
