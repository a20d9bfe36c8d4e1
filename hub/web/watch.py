"""Tells open cards that something has changed, as server-sent events.

An answer is held until there is news, but a thread is held with it. So few answers wait, each for a
short while, and only while a seat is free; the others say at once what is known and when to come
again, which is how the browser then asks by itself. One thread asks the database for all of them.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import cast

from flask import Blueprint, Flask, Response, current_app, request

from hub.errors import StoreError
from hub.store import read, watch
from hub.store.db import Database
from hub.web import lookup
from hub.web.auth import READERS, caller, requires
from hub.web.context import hub

log = logging.getLogger(__name__)

blueprint = Blueprint("watch", __name__)

SEATS = 8
"""Answers that wait at a time: half of a process's threads are always there for everybody else."""

HELD_S = 15.0
TICK_S = 0.5
KEPT_S = 60.0
"""How long a card is asked for after it was heard of last."""

SOON_MS, LATER_MS = 500, 5000
"""When a browser comes again: after its answer was held, and when it found no seat."""


class Watch:
    """What the open cards of this process show, and who waits for one to change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = threading.Condition()
        self._seats = threading.BoundedSemaphore(SEATS)
        self._until: dict[str, float] = {}
        self._stamps: dict[str, str] = {}
        self._asks = False
        database.before_close(self._forget)

    def wait(self, customer_id: str, shown: str) -> tuple[str | None, bool]:
        """The stamp of the card once it is another than ``shown``, else None; and whether it was
        waited for.
        """  # noqa: D205 - one sentence
        if not self._seats.acquire(blocking=False):
            return self._news(customer_id, shown, for_s=0.0), False
        try:
            return self._news(customer_id, shown, for_s=HELD_S), True
        finally:
            self._seats.release()

    def _news(self, customer_id: str, shown: str, *, for_s: float) -> str | None:
        with self._changed:
            self._until[customer_id] = time.monotonic() + KEPT_S
            if not self._asks:
                self._asks = True
                threading.Thread(target=self._ask, name="watch", daemon=True).start()
            self._changed.wait_for(lambda: self._stamps.get(customer_id, shown) != shown, for_s)
            found = self._stamps.get(customer_id, shown)
        return None if found == shown else found

    def _ask(self) -> None:
        """Ask for all cards at once, again and again until there are none."""
        while ids := self._watched():
            try:
                with self._database.read() as conn:
                    found = watch.stamps(conn, ids)
            except StoreError:
                log.warning("the cards could not be watched", exc_info=True)
            else:
                self._tell(found)
            time.sleep(TICK_S)

    def _watched(self) -> list[str]:
        now = time.monotonic()
        with self._changed:
            self._until = {id_: until for id_, until in self._until.items() if until > now}
            self._asks = bool(self._until)
            return list(self._until)

    def _forget(self) -> None:
        with self._changed:
            self._until.clear()

    def _tell(self, found: dict[str, str]) -> None:
        with self._changed:
            is_news = found != self._stamps
            self._stamps = found
            if is_news:
                self._changed.notify_all()


@blueprint.get("/card/events")
@requires(*READERS, card_token=True)
def events() -> Response:
    """That the card has changed, as soon as it has; the browser then fetches it anew."""
    asked = caller().only or lookup.checked_id(request.args.get("customer", ""))
    with hub().database.glance() as conn:
        customer_id = read.current_id(conn, asked) or asked  # the card was merged into another
    shown = request.headers.get("Last-Event-ID") or request.args.get("since", "")
    watching = cast("Watch", current_app.extensions["conduit-watch"])
    stamp, waited = watching.wait(customer_id, shown)
    told = [f"retry: {SOON_MS if waited else LATER_MS}"]
    if stamp:
        told += [f"id: {stamp}", "event: changed", f"data: {stamp}"]
    answer = Response("\n".join(told) + "\n\n", mimetype="text/event-stream")
    answer.headers["X-Accel-Buffering"] = "no"
    return answer


def install(app: Flask) -> None:
    """Add the address."""
    app.extensions["conduit-watch"] = Watch(app.extensions["hub"].database)
    app.register_blueprint(blueprint)
