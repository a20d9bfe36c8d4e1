"""The ERP's server.

``GET /parties?changed_from&changed_to&id_above&offset&limit`` lists by time of change and then by
id, whole seconds, never further than the cap: beyond it, 400. ``?reference``, ``?email`` and
``?phone`` ask the database. ``GET /parties/list`` names every id with its version. Orders are the
same, but cannot be listed: ``GET /orders/days`` counts them by day, with a digest.

There are no idempotency keys, and versions do not guard a write. What is saved is tidied up. What
is deleted stays, as not ``active``. ``POST /oauth/token`` gives an access token for an hour and a
refresh token for one use; a second use of one ends them all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from flask import Response, abort, g, jsonify, request

from demo.city.ledger import HUB, Row
from demo.city.site import Route, SilenceError, Site, answer, answer_page, body
from hub.sdk import Sighting, tally_digest

GRANT_S = 3600


class Erp(Site):
    name = "erp"
    streams = ("parties", "orders")

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._grants: dict[str, datetime] = {}
        self._refreshes: dict[str, bool] = {}
        self._granted = 0

    def routes(self) -> Iterator[Route]:
        yield "POST", "/oauth/token", self.grant
        yield "GET", "/whoami", lambda: {"user": "conduit"}
        yield "GET", "/orders/days", self.days
        yield "GET", "/parties/list", lambda: self.listed("parties")
        yield "PUT", "/<stream>/<id_>", self.change
        yield from super().routes()

    def tidy(self, stream: str, values: Row) -> Row:
        """Trimmed; while that fault is on, tiers become upper case, too; amounts are rounded."""
        kept = {n: v.strip() if isinstance(v, str) else v for n, v in values.items()}
        if kept.get("total") is not None:
            kept["total"] = f"{float(kept['total']):.2f}"
        if kept.get("tier") and self.faults.strikes("rewritten"):
            kept["tier"] = kept["tier"].upper()
        return {"active": True, **kept} if stream == "parties" else kept

    def remove(self, stream: str, id_: str) -> None:
        """Nothing is ever deleted here: it is not active any more."""
        self.save(stream, {**self.known(stream, id_), "active": False}, id_=id_)

    # Resources

    def search(self, stream: str) -> Response:
        found = self.matching(stream, "reference", "email", "phone")
        if found is not None:
            return answer_page(found)
        asked, limit = request.args, self.limit()
        offset = int(asked.get("offset", 0))
        if offset + limit > self.cap:
            abort(400, f"the result window ends at {self.cap}")
        first, last = asked.get("changed_from", ""), asked.get("changed_to", "~")
        above = asked.get("id_above", "")
        rows = [
            row
            for row in self.ledger.search(stream)
            if first <= row["changed_at"] <= last and row["id"] > above
        ]
        if "created_from" in asked:  # by when they were made, in the order of their ids
            made = asked["created_from"], asked.get("created_to", "~")
            rows = [row for row in rows if made[0] <= row["created_at"] < made[1]]
            rows.sort(key=lambda row: row["id"])
        return answer_page(rows[offset : offset + limit], total=min(len(rows), self.cap))

    def days(self) -> Response:
        """Orders by the day they were made."""
        by_day: dict[date, list[Sighting]] = defaultdict(list)
        for row in self.ledger.rows("orders"):
            day = datetime.fromisoformat(row["created_at"]).date()
            by_day[day].append(Sighting(row["id"], f"{row['version']:020d}"))
        found = [
            {"day": day.isoformat(), "count": len(seen), "digest": tally_digest(seen)}
            for day, seen in sorted(by_day.items())
        ]
        return jsonify(items=found)

    def create(self, stream: str) -> Response:
        values = body()
        return answer(self.save(stream, values, key=str(values.get("reference") or "")), 201)

    def change(self, stream: str, id_: str) -> Response:
        return answer(self.save(stream, body(), id_=self.known(stream, id_)["id"]))

    # Signing in

    def admit(self) -> None:
        if request.path == "/oauth/token":
            return
        until = self._grants.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if until is None or until <= self.clock():
            abort(401)
        g.who = HUB

    def grant(self) -> Response:
        """An access token and the next refresh token: for our secret, or for the one before."""
        asked = request.form
        if asked.get("grant_type") == "refresh_token":
            self._use_up(asked.get("refresh_token", ""))
        elif asked.get("client_secret") != self.token:
            abort(401)
        access, refresh = self._new_access(), self._new_refresh()
        if self.faults.strikes("grant_lost"):
            raise SilenceError
        kind = {"token_type": "Bearer", "expires_in": GRANT_S}
        return jsonify(access_token=access, refresh_token=refresh, **kind)

    def _use_up(self, refresh: str) -> None:
        if self._refreshes.get(refresh):
            self._refreshes[refresh] = False
            return
        if refresh in self._refreshes:  # used before, so stolen: nobody comes in with any of them
            self._refreshes.clear()
            self._grants.clear()
        refusal = jsonify(error="invalid_grant")
        refusal.status_code = 400
        abort(refusal)

    def _new_access(self) -> str:
        self._granted += 1
        token = f"access-{self._granted}"
        self._grants[token] = self.clock() + timedelta(seconds=GRANT_S)
        return token

    def _new_refresh(self) -> str:
        self._granted += 1
        token = f"refresh-{self._granted}"
        self._refreshes[token] = True
        return token
