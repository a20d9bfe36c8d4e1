"""What the three servers have in common: a WSGI application in front of which things go wrong."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar

from flask import Flask, Response, abort, g, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as Answer

from demo.city.faults import Faults
from demo.city.ledger import HUB, Clock, Ledger, Row

StartResponse = Callable[..., Any]
Post = Callable[[dict[str, str], bytes], int]
"""Sends headers and body of a webhook to the hub; the status of its answer."""

Route = tuple[str, str, Callable[..., Any]]
"""Method, path and what answers."""

READS = frozenset({"GET", "HEAD"})
PAGE = "<!doctype html><title>Maintenance</title><p>We are back soon."
SHAPES = ("added", "retyped", "renamed", "nested")
DROPS = 4
DROP_S = 45.0


class SilenceError(Exception):
    """The server never answers; whether it did what was asked, nobody knows."""


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


class Site:
    """One vendor. What it is asked is answered from its ledger, unless a fault strikes.

    Args:
        seed: of its chance.
        clock: of its stamps.
        wait: lets time pass, for what takes long.
        token: what the hub proves itself with.
        secret: what webhooks are signed with.
        page_max: rows on a page, whatever is asked for.
        cap: rows that one search ever shows.
    """

    name: ClassVar[str]
    streams: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        *,
        seed: int = 0,
        clock: Clock = utc_now,
        wait: Callable[[float], None] = time.sleep,
        token: str = "city-token",
        secret: str = "city-secret",
        page_max: int = 100,
        cap: int = 10_000,
    ) -> None:
        self.clock, self.wait = clock, wait
        self.token, self.secret = token, secret
        self.page_max, self.cap = page_max, cap
        self.faults = Faults(seed)
        self.ledger = Ledger(clock, self.faults)
        self._hooks: list[dict[str, Any]] = []
        self._lock = threading.RLock()
        self.app = Flask(f"city.{self.name}", static_folder=None)
        self.app.before_request(self.admit)
        self.app.register_error_handler(HTTPException, _refused)
        for method, path, view in self.routes():
            self.app.add_url_rule(path, f"{method} {path}", view, methods=[method])

    def routes(self) -> Iterator[Route]:
        """The resources this vendor has beside those that all have."""
        yield "GET", "/<stream>", self.search
        yield "GET", "/<stream>/<id_>", lambda stream, id_: answer(self.known(stream, id_))
        yield "POST", "/<stream>", self.create

    # What a person does at the vendor

    def save(self, stream: str, values: Row, *, id_: str = "", key: str = "") -> Row:
        """Somebody, or the hub within a request of its own, writes a row; webhooks follow."""
        with self._lock:
            kept = self._kept(stream, values, id_)
            row = self.ledger.save(stream, kept, id_=id_, who=_who(), key=key)
            self.tell(stream, row["id"], row)
        return row

    def remove(self, stream: str, id_: str) -> None:
        """Somebody deletes a row."""
        with self._lock:
            self.ledger.remove(stream, id_, who=_who())
            self.tell(stream, id_, None)

    def tidy(self, stream: str, values: Row) -> Row:
        """What this vendor makes of values before it keeps them."""
        return values

    def _kept(self, stream: str, values: Row, id_: str) -> Row:
        kept = self.tidy(stream, values)
        had = self.ledger.row(stream, id_) or {}
        shape = [name for name in SHAPES if self.faults.strikes(name)]
        return {**kept, "shape": shape or had.get("shape", [])}

    # Webhooks

    def tell(self, stream: str, id_: str, row: Row | None) -> None:
        """Keep a webhook to be sent; the ERP sends none."""

    def queue(self, event: dict[str, Any]) -> None:
        """Keep an event to be sent."""
        self._hooks.append(event)

    def send_hooks(self, post: Post) -> int:
        """Send what waits, as badly as the faults say; how many were taken."""
        with self._lock:
            waiting, self._hooks = self._hooks, []
        if self.faults.strikes("hooks_reordered"):
            self.faults.random.shuffle(waiting)
        taken = 0
        for event in waiting:
            if self.faults.strikes("hook_lost"):
                continue
            if self.faults.strikes("hook_twice"):
                self._hooks.append(event)
            if post(*self.signed(event)) < 300:
                taken += 1
            else:
                self._hooks.append(event)
        return taken

    def signed(self, event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        """Headers and body of a webhook."""
        raise NotImplementedError

    # Requests

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        """Answer a request, or let it go wrong; the faults stand in the order they can happen."""
        try:
            answer = self._trouble() or self._answered(environ)
        except SilenceError:
            return _hung_up(environ, start)
        answer.headers["Date"] = format_datetime(self.clock(), usegmt=True)
        return answer(environ, start)

    def _trouble(self) -> Response | None:
        """What happens instead of what was asked for."""
        if self.faults.strikes("hang"):
            raise SilenceError
        if self.faults.strikes("busy"):
            return Response("{}", 429, {"Retry-After": "3"}, mimetype="application/json")
        if self.faults.strikes("busy_without_word"):
            return Response("{}", 429, mimetype="application/json")
        if self.faults.strikes("down"):
            return Response("", self.faults.random.choice((500, 502, 503, 504)))
        if self.faults.strikes("page"):
            return Response(PAGE, 200, mimetype="text/html")
        return None

    def _answered(self, environ: dict[str, Any]) -> Response:
        with self._lock:
            told = Answer.from_app(self.app, environ)
        done = Response(told.get_data(), told.status, told.headers)
        if environ["REQUEST_METHOD"] not in READS:
            if self.faults.strikes("answer_lost"):
                raise SilenceError
            if self.faults.strikes("gateway"):
                return Response("", 502)
        elif self.faults.strikes("dribble"):
            return Response(self._drops(done.get_data()), done.status, mimetype=done.mimetype)
        return done

    def _drops(self, body: bytes) -> Iterator[bytes]:
        """The body in a few drops, each after a long while."""
        size = len(body) // DROPS + 1
        for start in range(0, len(body), size):
            self.wait(DROP_S)
            yield body[start : start + size]

    def admit(self) -> None:
        """Let the hub in, and nobody else."""
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            abort(401)
        g.who = HUB

    # What resources are made of

    def search(self, stream: str) -> Response:
        """A page of what the search index shows."""
        raise NotImplementedError

    def create(self, stream: str) -> Response:
        """A new row."""
        raise NotImplementedError

    def known(self, stream: str, id_: str) -> Row:
        """The row of this id, or 404."""
        row = self.ledger.row(stream, id_) if stream in self.streams else None
        return row or abort(404, "no such record")

    def limit(self) -> int:
        """Rows on this page."""
        return min(int(request.args.get("limit", self.page_max)), self.page_max)

    def listed(self, stream: str) -> Response:
        """A page of ids and versions of what there is, after an id: never late, never capped."""
        after, limit = request.args.get("after", ""), self.limit()
        rows = [row for row in self.ledger.rows(stream) if row["id"] > after]
        names = ("id", "version", "changed_at", "active")
        page = [{name: row[name] for name in names if name in row} for row in rows]
        return jsonify(items=page[:limit], more=len(page) > limit)

    def matching(self, stream: str, *names: str) -> list[Row] | None:
        """The rows, as they are, that have any value asked for by these names; None: not asked."""
        asked = {name: request.args[name] for name in names if name in request.args}
        if not asked:
            return None
        rows = self.ledger.rows(stream)
        return [row for row in rows if any(row.get(n) == value for n, value in asked.items())]


def shown(row: Row) -> Row:
    """A row as the vendor writes it now: its shape is the vendor's, not ours to choose."""
    told = {name: value for name, value in row.items() if name != "shape"}
    shape = row.get("shape", ())
    if "added" in shape:
        told["loyalty_points"] = 7
    if "retyped" in shape:
        told |= {n: int(v) for n, v in told.items() if isinstance(v, str) and _number(v)}
    if "renamed" in shape and "name" in told:
        told["full_name"] = told.pop("name")
    if "nested" in shape and "phone" in told:
        told["phone"] = {"number": told["phone"]}
    return told


def answer(row: Row, status: int = 200) -> Response:
    """One row."""
    response = jsonify(shown(row))
    response.status_code = status
    return response


def answer_page(rows: Iterable[Row], **more: Any) -> Response:
    """Several rows."""
    return jsonify(items=[shown(row) for row in rows], **more)


def body() -> Row:
    """What a request wants to be written."""
    told = request.get_json(silent=True)
    return told if isinstance(told, dict) else abort(400, "a JSON object is wanted")


def plain(document: Any) -> bytes:
    """A document as the bytes that are signed."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True).encode()


def _number(text: str) -> bool:
    return text.isdigit() and not text.startswith("0")


def _who() -> str:
    with suppress(RuntimeError):  # outside of a request
        return str(g.get("who", "somebody"))
    return "somebody"


def _refused(exc: HTTPException) -> Response:
    response = jsonify(error=exc.description)
    response.status_code = exc.code or 500
    return response


def _hung_up(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    """Hang up on a real client; where there is none, whoever called sees the silence."""
    connection = environ.get("werkzeug.socket")
    if connection is None:
        raise SilenceError
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    start("500 Internal Server Error", [])
    return [b""]
