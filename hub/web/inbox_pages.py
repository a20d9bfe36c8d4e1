"""The pages of the inbox: events that came in, one of them, and requests that were refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Flask, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hub import pipeline
from hub.errors import ConfigError
from hub.pipeline import REPLAY, SKIP
from hub.store import events, read, refusals
from hub.store.events import STATES, Filter
from hub.store.trace import trace
from hub.web import lookup
from hub.web.auth import OPERATORS, caller, requires
from hub.web.context import hub
from hub.web.inbox_api import (
    BULK_MAX,
    INBOX_READERS,
    do_one,
    event_number,
    place,
    raw_bytes,
    visible,
)

blueprint = Blueprint("inbox", __name__, url_prefix="/inbox")

SHOWN = 50
VERBS = {verb.name: verb for verb in (REPLAY, SKIP)}


@blueprint.get("")
@requires(*INBOX_READERS)
def listed() -> str:
    """Events, newest first, those that fit the filter."""
    chosen, after = _chosen(request.args), place("inbox", request.args.get("after"))
    with hub().database.read() as conn:
        page = events.page(conn, chosen, after=after, limit=SHOWN, visible=visible())
        names = [c.name for c in read.connections(conn)]
    return render_template(
        "inbox.html",
        rows=_seen(page.items),
        next=lookup.cursor("inbox", page.next),
        looked_at=page.looked_at,
        connections=names,
        states=STATES,
        given=_given(request.args),
        caller=caller(),
    )


@blueprint.get("/refused")
@requires(*INBOX_READERS)
def refused() -> str:
    """Requests that were refused, newest first."""
    name = request.args.get("connection") or None
    after = place("refusals", request.args.get("after"))
    with hub().database.read() as conn:
        rows, onward = refusals.page(conn, name, after=after, limit=SHOWN)
        names = [c.name for c in read.connections(conn)]
    return render_template(
        "refused.html",
        rows=_seen(rows),
        next=lookup.cursor("refusals", onward),
        connections=names,
        given=_given(request.args),
        caller=caller(),
    )


@blueprint.get("/<event_id>")
@requires(*INBOX_READERS)
def shown(event_id: str) -> str:
    """One event, and what became of it."""
    id_ = event_number(event_id)
    with hub().database.read() as conn:
        found = events.shown(conn, id_)
        way = trace(conn, f"event:{id_}") if found else None
    if found is None:
        abort(404)
    return render_template(
        "event.html",
        event=_seen(found.model_dump(mode="json")),
        way=_seen(way.model_dump(mode="json")) if way else None,
        said=request.args.get("said", ""),
        may_skip=found.state in ("received", "retry", "quarantined"),
        caller=caller(),
    )


@blueprint.post("/<event_id>/<any(replay, skip):verb>")
@requires(*OPERATORS)
def do(event_id: str, verb: str) -> Response:
    """Replay or skip one event."""
    id_ = event_number(event_id)
    done = do_one(VERBS[verb], id_)
    if done is None:
        abort(404)
    return redirect(url_for("inbox.shown", event_id=id_, said=verb if done else "not"), 303)


@blueprint.post("/<event_id>/raw")
@requires("admin")
def raw(event_id: str) -> Response:
    """The bytes as they came, as a file; noted in the audit."""
    id_ = event_number(event_id)
    kept = {"Content-Disposition": f'attachment; filename="event-{id_}.bin"'}
    return Response(raw_bytes(id_), headers=kept, mimetype="application/octet-stream")


@blueprint.get("/all/<any(replay, skip):verb>")
@requires(*OPERATORS)
def all_(verb: str) -> str:
    """How many events the filter finds, before anything is done to them, and how many were done."""
    done = request.args.get("done", "")
    is_over = done.isdecimal() and "after" not in request.args
    return render_template(
        "inbox_all.html",
        verb=verb,
        found=None if is_over else _tally(verb, request.args, dry_run=True),
        done=int(done) if done.isdecimal() else None,
        after=request.args.get("after", ""),
        given=_given(request.args),
        caller=caller(),
    )


@blueprint.post("/all/<any(replay, skip):verb>")
@requires(*OPERATORS)
def do_all(verb: str) -> Response:
    """Replay or skip all the filter finds, a bounded number at a time."""
    tally = _tally(verb, request.form, dry_run=False)
    told: dict[str, Any] = {"done": tally.events, "after": lookup.cursor("bulk", tally.next)}
    return redirect(url_for("inbox.all_", verb=verb, **told | _given(request.form)), 303)


def install(app: Flask) -> None:
    """Add the pages."""
    app.register_blueprint(blueprint)


def _tally(verb: str, fields: Mapping[str, str], *, dry_run: bool) -> pipeline.Tally:
    chosen, after = _chosen(fields), place("bulk", fields.get("after"))
    if chosen == Filter():
        abort(400)
    who = caller().name
    return pipeline.do_all(
        hub().database, VERBS[verb], chosen, who, after=after, most=BULK_MAX, dry_run=dry_run
    )


def _given(fields: Mapping[str, str]) -> dict[str, str]:
    """What was typed into the filter."""
    names = ("connection", "type", "state", "since", "until", "record", "text")
    return {name: typed for name in names if (typed := fields.get(name, "").strip()[:500])}


def _chosen(fields: Mapping[str, str]) -> Filter:
    """The filter that was typed, or 400."""
    given: dict[str, Any] = _given(fields)
    zone = ZoneInfo(hub().timezone)
    try:
        for name in ("since", "until"):
            if name in given:
                at = datetime.fromisoformat(given[name])
                given[name] = at if at.tzinfo else at.replace(tzinfo=zone)
        return Filter(**given)
    except (ValueError, ConfigError):
        abort(400)


def _seen(value: Any) -> Any:
    return lookup.seen_by(caller(), value)
