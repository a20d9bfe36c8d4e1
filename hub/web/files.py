"""Files that came with a record and lie in the raw row it was cut from: given out as downloads."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, abort, request
from sqlalchemy import Connection
from werkzeug.datastructures import Headers

from hub.store import read
from hub.web.auth import ACTORS, caller, requires, visitor
from hub.web.context import hub

blueprint = Blueprint("files", __name__)


@blueprint.get("/files/<int:number>")
@requires(*ACTORS)
def one(number: int) -> Response:
    """The file of that number, from 0, of the record ``ref``; never shown, always saved."""
    if caller().sees_masked:
        abort(403, "Files are not given to who sees hidden addresses.")
    with hub().database.read() as conn:
        found = _file(conn, request.args.get("ref", ""), number)
    if found is None:
        abort(404, "There is no such file, or it is kept no longer.")
    headers = Headers({"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"})
    headers.add("Content-Disposition", "attachment", filename=saved_as(found))
    return Response(
        base64.b64decode(found["content"]), mimetype="application/octet-stream", headers=headers
    )


def saved_as(file: dict[str, Any]) -> str:
    """The name it is saved under: what a header cannot hold, or hides an ending, is left out."""
    return "".join(filter(str.isprintable, str(file.get("name") or ""))) or "file"


def install(app: Flask) -> None:
    """Add the page."""
    app.register_blueprint(blueprint)
    app.jinja_env.globals.update(may_read_files=may_read)


def may_read() -> bool:
    """Whether files are given to who looks at the page; not to the guest of a card's address."""
    asking = visitor()
    return bool(asking and asking.role in ACTORS and not asking.sees_masked and asking.only is None)


def _file(conn: Connection, ref: str, number: int) -> dict[str, Any] | None:
    payload = read.raw_of(conn, ref)
    row = orjson.loads(payload) if payload else None
    files = row.get("files") if isinstance(row, dict) else None
    found = files[number] if isinstance(files, list) and number < len(files) else None
    return found if isinstance(found, dict) and _has_content(found) else None


def _has_content(file: dict[str, Any]) -> bool:
    try:
        return bool(base64.b64decode(file["content"], validate=True))
    except (KeyError, TypeError, binascii.Error):
        return False
