"""The desk's server.

``GET /tickets?updated_since&updated_until&after_id&limit`` pages by id through what the search
shows. ``POST`` honours ``Idempotency-Key``. ``GET /deletions?after`` is the feed of what was
deleted, without ``after`` its end; it reaches back ``FEED_S``, older places in it are 410. The same
for ``/requesters`` and ``/comments``. Webhooks follow Standard Webhooks and only name the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, abort, jsonify, request

from demo.city.ledger import Row
from demo.city.site import Route, Site, answer, answer_page, body, plain
from hub.sdk import HookRequest
from hub.sdk.signing import STANDARD

FEED_S = 30 * 24 * 3600.0


class Desk(Site):
    name = "desk"
    streams = ("requesters", "tickets", "comments")

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._done: dict[str, str] = {}

    def routes(self) -> Iterator[Route]:
        yield "GET", "/me", lambda: {"name": "conduit"}
        yield "GET", "/deletions", self.deletions
        yield "GET", "/<stream>/list", self.listed
        yield "PUT", "/<stream>/<id_>", self.change
        yield from super().routes()

    def search(self, stream: str) -> Response:
        found = self.matching(stream, "email", "phone")
        if found is not None:
            return answer_page(found)
        since = request.args.get("updated_since", "")
        until = request.args.get("updated_until", "~")
        after, limit = request.args.get("after_id", ""), self.limit()
        rows = [row for row in self.ledger.search(stream) if since <= row["changed_at"] < until]
        rest = sorted((row for row in rows if row["id"] > after), key=lambda row: str(row["id"]))
        return answer_page(rest[:limit], more=len(rest) > limit)

    def deletions(self) -> Response:
        end, limit = len(self.ledger.entries), self.limit()
        gone = list(self.ledger.deletions(int(request.args.get("after", end))))
        oldest = self.clock() - timedelta(seconds=FEED_S)
        if gone and gone[0].at < oldest:
            abort(410, "the feed does not reach back so far")
        items = [{"seq": e.seq, "stream": e.stream, "id": e.id} for e in gone[:limit]]
        last = items[-1]["seq"] if len(gone) > limit else end
        return jsonify(items=items, next=last, more=len(gone) > limit)

    def create(self, stream: str) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        done = f"{stream} {key}"
        if not key or done not in self._done:
            self._done[done] = self.save(stream, body(), key=key)["id"]
        return answer(self.ledger.row(stream, self._done[done]) or {"id": self._done[done]}, 201)

    def change(self, stream: str, id_: str) -> Response:
        row = self.known(stream, id_)
        wanted = request.args.get("version")
        if wanted and int(wanted) < row["version"]:
            abort(409, "the record was changed meanwhile")
        return answer(self.save(stream, body(), id_=id_))

    def tell(self, stream: str, id_: str, row: Row | None) -> None:
        event = {"type": "deleted" if row is None else "changed", "stream": stream, "id": id_}
        self.queue({"event": f"desk-{len(self.ledger.entries)}", "data": event})

    def signed(self, event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        sent_at = str(int(self.clock().timestamp()))
        return sign(self.secret, event["event"], sent_at, plain(event["data"])), plain(
            event["data"]
        )


def sign(secret: str, event: str, sent_at: str, content: bytes) -> dict[str, str]:
    """The headers that prove a webhook."""
    headers = {"webhook-id": event, "webhook-timestamp": sent_at}
    bare = HookRequest("POST", headers, {}, content, datetime.now(UTC))
    return dict(STANDARD.sign(bare, secret).headers)
