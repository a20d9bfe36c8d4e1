"""Tryton: pull parties, products, sales and customer invoices; create and change parties.

A row is a record with the fields listed below and those of its children, typed values written as
ISO text and decimals as text. Added are ``changed_at``, the newest change of the record or of a
child, and to products the ``currency`` of their prices, which is the company's.

Source: https://docs.tryton.org/8.2/server/ and a trytond 8.2.1 server (checked 2026-11)
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson
from pydantic import Field, SecretStr

from adapters.tryton.records import (
    MODELS,
    ONLY,
    changed_at,
    changed_since,
    dates_of,
    fields_of,
    plain,
)
from hub.sdk import (
    Adapter,
    Change,
    ConflictError,
    ConnectionConfig,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Sighting,
    Stream,
    Survey,
    scan,
)

CONTACTS = {
    "phone": "phone",
    "mobile": "mobile",
    "email": "email",
    "website": "website",
    "fax": "fax",
}


SURVEYED = 10
"""Pages of records that fit on one page of a survey."""


class TrytonConfig(ConnectionConfig):
    url: str = Field(
        pattern=r"^https?://[^/]+$",
        description="Address of the server, without the database",
        examples=["https://erp.example.org"],
    )
    database: str = Field(
        pattern=r"^[A-Za-z0-9_.-]+$", description="Name of the database", examples=["erp"]
    )
    api_key: SecretStr = Field(description='Key of a user application "rest" that was validated')
    company: int = Field(default=1, description="Id of the company whose sales and prices are read")
    backfill_from: datetime | None = Field(
        default=None, description="Leave out what was last changed before this instant"
    )
    page_size: int = Field(default=100, ge=1, description="Records per call")


class TrytonAdapter(Adapter[TrytonConfig]):
    """One company in one database."""

    looks_up = True
    streams = (
        Stream("parties", writable=True),
        Stream("products", every_s=600),
        Stream("sales"),
        Stream("invoices"),
    )

    def connect(self) -> Http:
        c = self.config
        context = {"company": c.company, "active_test": False}  # closed records are changes, too
        headers = {
            "Authorization": f"Bearer {c.api_key.get_secret_value()}",
            "X-Tryton-Context": _encoded(context),
        }
        # 409 is a warning that a person must confirm, so nobody's newer copy.
        return Http(c.url, headers=headers, conflicts=(423,))

    def check(self) -> None:
        version = {"id": 1, "method": "common.server.version", "params": []}
        self.http.json("POST", "/rpc/", json=version, repeatable=True)
        self._search("parties", [], size=1)

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        def read(since: datetime | None, position: str) -> tuple[list[Raw], str | None]:
            domain = [["id", ">", int(position or 0)], *changed_since(stream.name, since)]
            rows = self._search(stream.name, domain, size=self.config.page_size)
            more = len(rows) == self.config.page_size
            return rows, str(rows[-1]["id"]) if more else None

        since, overlap_s = self.config.backfill_from, stream.overlap_s
        yield from scan(read, cursor, now=self.http.now, since=since, overlap_s=overlap_s)

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        size = self.config.page_size * SURVEYED
        since = changed_since(stream.name, self.config.backfill_from)
        while True:
            domain = [["id", ">", int(cursor or 0)], *since]
            rows = self._list(stream.name, dates_of(stream.name), domain, size=size)
            seen = [Sighting(str(row["id"]), changed_at(row, stream.name)) for row in rows]
            cursor = seen[-1].id if len(rows) == size else None
            yield Survey(seen, cursor)
            if cursor is None:
                return

    def fetch(self, ref: RecordRef) -> Raw | None:
        return next(iter(self._search(ref.stream, [["id", "=", int(ref.id)]], size=1)), None)

    def find(self, stream: Stream, values: Raw) -> list[Raw]:
        told = [point["value"] for point in values.get("contact_points") or ()]
        anyone = [["contact_mechanisms.value", "=", value] for value in told]
        size = self.config.page_size
        return self._search(stream.name, [["OR", *anyone]], size=size) if anyone else []

    def push(self, stream: Stream, change: Change) -> Receipt:
        values = dict(change.values)
        contacts = _contacts(values.pop("contact_points", None) or ())
        addresses = values.pop("addresses", None) or ()
        if change.id is not None:
            return self._update(change, values, contacts)
        marker = change.marker or change.key
        found = self._search("parties", [["identifiers.code", "=", marker]], size=1)
        if found:
            return Receipt(id=str(found[0]["id"]))
        children = {
            "identifiers": [{"type": None, "code": marker}],
            "contact_mechanisms": contacts,
            "addresses": [_address(address) for address in addresses],
        }
        commands = {name: [["create", rows]] for name, rows in children.items() if rows}
        created = self.http.json("POST", self._path("party.party"), json={**values, **commands})
        return Receipt(id=str(created["id"]))

    def _update(self, change: Change, values: Raw, contacts: Sequence[Raw]) -> Receipt:
        row = self.fetch(RecordRef("parties", str(change.id)))
        if row is None:
            raise RejectedError(f"there is no party {change.id}")
        if change.version and row["changed_at"] > change.version:
            raise ConflictError(f"party {change.id} was changed meanwhile")
        known = {_compact(mechanism) for mechanism in row["contact_mechanisms"]}
        for contact in contacts:  # one by one: a repeated PUT would add them twice
            if _compact(contact) not in known:
                mechanism = {"party": row["id"], **contact}
                self.http.json("POST", self._path("party.contact_mechanism"), json=mechanism)
        if values:
            self.http.json("PUT", f"{self._path('party.party')}/{change.id}", json=values)
        return Receipt(id=str(change.id))

    def _search(self, stream: str, domain: Sequence[Any], *, size: int) -> list[Raw]:
        rows = self._list(stream, fields_of(stream), domain, size=size)
        added = {"currency": self._currency} if stream == "products" else {}
        return [{**row, "changed_at": changed_at(row, stream), **added} for row in rows]

    def _list(
        self, stream: str, fields: Sequence[str], domain: Sequence[Any], *, size: int
    ) -> list[Raw]:
        domain = [*domain, ONLY[stream]] if stream in ONLY else domain
        return self._get(MODELS[stream], fields, d=domain, o=[["id", "ASC"]], s=size)

    @cached_property
    def _currency(self) -> Any:
        domain = [["id", "=", self.config.company]]
        return self._get("company.company", ["currency.code"], d=domain)[0]["currency"]

    def _get(self, model: str, fields: Sequence[str], *, s: int = 1, **encoded: Any) -> list[Raw]:
        params = {"f": fields, "s": s, **{name: _encoded(v) for name, v in encoded.items()}}
        rows: list[Raw] = plain(self.http.get(self._path(model), params=params))
        return rows

    def _path(self, model: str) -> str:
        return f"/{self.config.database}/rest/model/{model}"


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode()


def _contacts(points: Sequence[Mapping[str, Any]]) -> list[Raw]:
    """Contact mechanisms for the contact points Tryton has a word for."""
    known = [point for point in points if point["type"] in CONTACTS]
    return [{"type": CONTACTS[point["type"]], "value": point["value"]} for point in known]


def _compact(mechanism: Raw) -> str:
    """The same for two spellings of one number or address."""
    return re.sub(r"[\s().-]", "", mechanism["value"]).lower()


def _address(address: Mapping[str, Any]) -> Raw:
    return {name: address.get(name) or "" for name in ("street", "city", "postal_code")}
