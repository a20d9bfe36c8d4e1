"""The CRM's server.

``GET /contacts?modified_since&modified_until&cursor&limit`` pages through the search index, which
may lag; ``?external_ref``, ``?email`` and ``?phone`` ask the database, which does not. A write must
name the version it was decided on (``If-Match``), else 412. Deleted rows are told by webhook alone.
The same for ``/cases``. ``GET /contacts/list`` names every id with its version.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from flask import Response, abort, request

from demo.city.ledger import Row
from demo.city.site import Route, Site, answer, answer_page, body, plain, shown
from hub.sdk import HookRequest
from hub.sdk.signing import Recipe

SENT_AT = "x-crm-sent-at"
RECIPE = Recipe(
    signature="header:x-crm-signature",
    parts=(f"header:{SENT_AT}", "body"),
    separator=".",
    timestamp=f"header:{SENT_AT}",
)


class Crm(Site):
    name = "crm"
    streams = ("contacts", "cases")

    def routes(self) -> Iterator[Route]:
        yield "GET", "/me", lambda: {"name": "conduit"}
        yield "GET", "/<stream>/list", self.listed
        yield "PATCH", "/<stream>/<id_>", self.change
        yield from super().routes()

    def search(self, stream: str) -> Response:
        found = self.matching(stream, "external_ref", "email", "phone")
        if found is not None:
            return answer_page(found)
        since = request.args.get("modified_since", "")
        until = request.args.get("modified_until", "~")
        where, limit = request.args.get("owner"), self.limit()
        after = self._place(request.args.get("cursor", ""))
        rows = [
            row
            for row in self.ledger.search(stream)
            if since <= row["changed_at"] < until
            and [row["changed_at"], row["id"]] > after
            and where in (None, row.get("owner"))
        ]
        more = len(rows) > limit
        return answer_page(rows[:limit], next=_cursor(rows[limit - 1]) if more else None)

    def _place(self, cursor: str) -> list[str]:
        if not cursor:
            return []
        if self.faults.strikes("cursors_lost"):
            abort(410, "this cursor is not known any more")
        place: list[str] = json.loads(base64.urlsafe_b64decode(cursor))
        return place

    def create(self, stream: str) -> Response:
        values = body()
        return answer(self.save(stream, values, key=str(values.get("external_ref") or "")), 201)

    def change(self, stream: str, id_: str) -> Response:
        row = self.known(stream, id_)
        wanted = request.headers.get("If-Match")
        if wanted is not None and wanted != f'"{row["version"]}"':
            abort(412, "the record was changed meanwhile")
        return answer(self.save(stream, body(), id_=id_))

    def tell(self, stream: str, id_: str, row: Row | None) -> None:
        seq = len(self.ledger.entries)
        event: dict[str, Any] = {"event": f"{self.name}-{seq}", "stream": stream, "id": id_}
        self.queue(event | ({"deleted": True} if row is None else {"row": shown(row)}))

    def signed(self, event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        return sign(self.secret, plain(event), str(int(self.clock().timestamp()))), plain(event)


def sign(secret: str, content: bytes, sent_at: str) -> dict[str, str]:
    """The headers that prove a webhook."""
    bare = HookRequest("POST", {SENT_AT: sent_at}, {}, content, datetime.now(UTC))
    return dict(RECIPE.sign(bare, secret).headers)


def _cursor(row: Row) -> str:
    place = json.dumps([row["changed_at"], row["id"]])
    return base64.urlsafe_b64encode(place.encode()).decode()
