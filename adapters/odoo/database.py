"""One database: rows by id, records found again by a field or an external id of ours, and written.

Source: Odoo 17 to 19, odoo/orm/models.py, and a server of Odoo 17 (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from adapters.odoo import models
from adapters.odoo.config import OdooConfig
from adapters.odoo.doors import Door
from adapters.odoo.models import MODELS, MODULE_OF_OURS, MODULES
from hub.sdk import (
    Change,
    ConfigError,
    ConflictError,
    Raw,
    RejectedError,
    Sighting,
    instant,
    written,
)

SURVEYED = 10
"""Pages of records that fit on one page of a survey."""


class Database:
    """What is read and written, by stream."""

    def __init__(self, door: Door, config: OdooConfig) -> None:
        self._door, self._config = door, config
        self._fields: dict[str, list[str]] = {}
        # Archived records are changes, too, and times are UTC whatever the user prefers.
        self._context: Raw = {"active_test": False, "tz": "UTC"}
        if config.company_ids:
            self._context["allowed_company_ids"] = list(config.company_ids)

    def fields(self, stream: str) -> list[str]:
        """What can be read of its records.

        Raises:
            ConfigError: the model is not there, or not for this user.
        """
        if stream not in self._fields:
            try:
                known = self._call(stream, "fields_get", attributes=["type"])
            except RejectedError as exc:
                raise _missing(stream, exc) from exc
            more = self._config.more_fields.get(stream, ())
            self._fields[stream] = models.wanted(stream, more, known)
        return self._fields[stream]

    def rows(self, stream: str, domain: Sequence[Any], *, limit: int) -> list[Raw]:
        """Records by id, the lowest first."""
        return self._search(stream, self.fields(stream), domain, limit)

    def changed(
        self, stream: str, since: datetime | None, position: str
    ) -> tuple[list[Raw], str | None]:
        """A page of records changed at or after that instant; the next position."""
        size, after = self._config.page_size, int(position or 0)
        rows = self.rows(stream, models.changed_since(stream, since, after), limit=size)
        return rows, str(rows[-1]["id"]) if len(rows) == size else None

    def existing(self, stream: str, after: str | None) -> tuple[list[Sighting], str | None]:
        """A page of what exists, and where the next one begins; None = that was all."""
        size, since = self._config.page_size * SURVEYED, self._config.backfill_from
        domain = models.changed_since(stream, since, int(after or 0))
        try:
            rows = self._search(stream, ["id", "write_date"], domain, size)
        except RejectedError as exc:
            raise _missing(stream, exc) from exc
        seen = [Sighting(str(row["id"]), _version(row)) for row in rows]
        return seen, seen[-1].id if len(rows) == size else None

    def having(self, stream: str, values: Raw) -> list[Raw]:
        """Records that have one of these values; archived ones are none to adopt."""
        domain = models.any_of(values, self.fields(stream))
        active = [["active", "=", True]] if "active" in self.fields(stream) else []
        size = self._config.page_size
        return self.rows(stream, [*active, *domain], limit=size) if domain else []

    def create(self, stream: str, values: Raw, marker: str) -> str:
        """The record made under this marker, now or earlier."""
        told = models.stored({k: v for k, v in values.items() if v not in (None, "")})
        if field := self._config.marker_field:
            found = self._search(stream, ["id"], [[field, "=", marker]], 1)
            made = found or self._door.call(
                MODELS[stream], "create", vals_list=[{**told, field: marker}]
            )
            return str(found[0]["id"] if found else made[0])
        return self._import(stream, told, marker)

    def _import(self, stream: str, told: Raw, marker: str) -> str:
        """By an external id, which Odoo keeps unique: made twice it is one record."""
        model = MODELS[stream]
        ours = [["module", "=", MODULE_OF_OURS], ["name", "=", marker], ["model", "=", model]]
        found = self._door.call(
            "ir.model.data", "search_read", repeatable=True, domain=ours, fields=["res_id"], limit=1
        )
        if found:
            return str(found[0]["res_id"])
        columns, cells = models.as_import(told)
        done = self._door.call(
            model,
            "load",
            fields=["id", *columns],
            data=[[f"{MODULE_OF_OURS}.{marker}", *cells]],
        )
        if not done.get("ids"):
            words = "; ".join(str(one.get("message")) for one in done.get("messages", ()))
            raise RejectedError(f"Odoo does not take the new {stream} record", hint=words[:300])
        return str(done["ids"][0])

    def update(self, stream: str, change: Change) -> None:
        """Set values; Odoo has no locking, so we look before we write.

        Raises:
            ConflictError: it was changed since.
        """
        id_, told = int(str(change.id)), models.stored(dict(change.values))
        found = self._search(stream, ["id", "write_date", *told], [["id", "=", id_]], 1)
        if not found:
            raise RejectedError(f"there is no {MODELS[stream]} {id_} any more")
        rest = {
            name: value for name, value in told.items() if models.plain(found[0][name]) != value
        }
        if rest and change.version and _version(found[0]) > change.version:
            raise ConflictError(f"{MODELS[stream]} {id_} was changed meanwhile")
        if rest:
            self._door.call(MODELS[stream], "write", [id_], repeatable=True, vals=rest)

    def _search(
        self, stream: str, fields: Sequence[str], domain: Sequence[Any], limit: int
    ) -> list[Raw]:
        rows: list[Raw] = self._call(
            stream, "search_read", domain=list(domain), fields=list(fields), limit=limit, order="id"
        )
        return rows

    def _call(self, stream: str, method: str, **named: Any) -> Any:
        return self._door.call(
            MODELS[stream], method, repeatable=True, context=self._context, **named
        )


def _missing(stream: str, exc: RejectedError) -> ConfigError:
    module = MODULES.get(stream, "base")
    return ConfigError(
        f"Odoo has no {MODELS[stream]} for this user",
        hint=f"Install {module}, or let the hub's user read it. Odoo says: {exc.hint}"[:300],
    )


def _version(row: Raw) -> str:
    at = instant(row["write_date"] or None)
    return written(at, "%Y-%m-%dT%H:%M:%S.%fZ") if at else ""
