"""Tryton's two interfaces, as far as the demo needs them.

REST reads and creates; JSON-RPC presses one button on many records in one call, which is many
times faster than one by one. Source: https://docs.tryton.org/latest/server/ (checked 2026-11)
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from demo.systems.base import SystemFailedError, loopback_session

TIMEOUT_S = 300.0  # pressing a button on many records is one long call

Row = dict[str, Any]


class TrytonApi:
    """One Tryton database seen by one user."""

    def __init__(self, url: str, key: str, user: str, password: str) -> None:
        self._url = url
        self._rest = loopback_session()
        self._rest.headers["Authorization"] = f"Bearer {key}"
        self._rpc = loopback_session()
        self.company = self.find("company.company")[0]["id"]
        # Per-company fields need the company; the warnings are meant for people at a screen.
        context = {"company": self.company, "_skip_warnings": True}
        self._rest.headers["X-Tryton-Context"] = _packed(context)
        self._rpc.headers["Authorization"] = self._log_in(user, password)

    def find(self, model: str, *fields: str, where: Sequence[Any] = ()) -> list[Row]:
        """All records of a model that the domain allows, in the order of their ids."""
        wanted: dict[str, Any] = {"d": _packed(list(where)), "o": _packed([["id", "ASC"]])}
        wanted["f"] = list(fields) or ["id"]
        return list(self._ask("GET", model, params=wanted))

    def create(self, model: str, rows: Sequence[Row]) -> None:
        """Create many records in one call and one transaction."""
        if rows:
            self._ask("POST", f"{model}/create", json={"vlist": list(rows)})

    def change(self, model: str, record: int, values: Row) -> None:
        """Write fields of one record."""
        self._ask("PUT", f"{model}/{record}", json=values)

    def press(self, model: str, record: int, button: str) -> None:
        """Press a button of one record."""
        self._ask("POST", f"{model}/{record}/{button}")

    def press_all(self, model: str, records: Sequence[int], *buttons: str) -> None:
        """Press buttons, one after the other, each on all records at once."""
        for button in buttons if records else ():
            self._call(f"model.{model}.{button}", list(records), {"company": self.company})

    def run_wizard(self, wizard: str, model: str, record: int, button: str, values: Row) -> None:
        """Fill in a wizard's first form for a record and press one of its buttons."""
        context = {"company": self.company, "active_model": model}
        context |= {"active_id": record, "active_ids": [record]}
        session, form, _end = self._call(f"wizard.{wizard}.create", context)
        self._call(f"wizard.{wizard}.execute", session, {form: values}, button, context)
        self._call(f"wizard.{wizard}.delete", session, context)

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        answer = self._rest.request(
            method, f"{self._url}/rest/model/{path}", timeout=TIMEOUT_S, **more
        )
        if not answer.ok:
            raise SystemFailedError(f"tryton: {method} {path}: {answer.text[:300]}")
        return answer.json() if answer.content else None

    def _call(self, method: str, *params: Any) -> Any:
        body = {"id": 0, "method": method, "params": params}
        answer = self._rpc.post(f"{self._url}/rpc/", json=body, timeout=TIMEOUT_S)
        if not answer.ok or "error" in answer.json():
            raise SystemFailedError(f"tryton: {method}: {answer.text[:300]}")
        return answer.json()["result"]

    def _log_in(self, user: str, password: str) -> str:
        number, token, _bus = self._call("common.db.login", user, {"password": password}, "en")
        return "Session " + base64.b64encode(f"{user}:{number}:{token}".encode()).decode()


def money(value: Decimal) -> Row:
    """A decimal as Tryton spells it."""
    return {"__class__": "Decimal", "decimal": str(value)}


def day(value: date) -> Row:
    """A date as Tryton spells it."""
    return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}


def _packed(value: list[Any] | Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
