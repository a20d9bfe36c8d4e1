"""What goes wrong, told: RFC 9457 documents for programs, a page for people."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import cast

from flask import Flask, Response, current_app, render_template, request
from flask_babel import gettext as _
from pydantic import BaseModel, Field
from werkzeug.exceptions import HTTPException

from hub.errors import StoreError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
_FOR_PROGRAMS = ("/api/", "/healthz", "/readyz", "/metrics")


class Problem(BaseModel):
    """Why a request failed (RFC 9457)."""

    type: str = Field(default="about:blank", description="always about:blank: the status says it")
    title: str = Field(description="the status in words")
    status: int
    detail: str = Field(default="", description="what to do about this one")


def problem(status: int, detail: str = "") -> Response:
    """The answer for a program."""
    document = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return Response(document.model_dump_json(), status, mimetype=MEDIA_TYPE)


def install(app: Flask) -> None:
    """Answer every error in the words of whoever asked."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(StoreError, _store)
    app.register_error_handler(Exception, _bug)


def _http(exc: HTTPException) -> Response:
    if exc.response is not None:
        return cast("Response", exc.response)
    answer = _answer(exc.code or 500, exc.description or "")
    for name, value in exc.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            answer.headers.add(name, value)
    return answer


def _store(exc: StoreError) -> Response:
    log.error("the database could not answer", extra={"error": str(exc)})
    answer = _answer(503, "The database cannot answer now; ask again in a few seconds.")
    answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


def _bug(exc: Exception) -> Response:
    if current_app.testing:
        raise exc
    log.error("request failed", exc_info=exc, extra={"endpoint": request.endpoint})
    return _answer(500, "This is a fault of ours; the log has the details.")


def _answer(status: int, detail: str) -> Response:
    if request.path.startswith(_FOR_PROGRAMS):
        return problem(status, detail)
    return Response(render_template("problem.html", status=status, told=told(status)), status)


def told(status: int) -> tuple[str, str]:
    """What happened and what to do, for people."""
    words = {
        400: (_("That address is incomplete"), _("Go back and try once more.")),
        401: (_("This link has expired"), _("Open the card again from the conversation.")),
        403: (_("Not for your role"), _("Ask an administrator if you need this.")),
        404: (_("Nothing here"), _("The page may have moved, or never was.")),
        405: (_("That cannot be done here"), _("Go back and try once more.")),
        410: (_("No longer kept"), _("What was shown then is no longer kept.")),
        413: (_("That is too much at once"), _("Go back and send less.")),
        429: (_("Too many tries"), _("Wait a quarter of an hour, then sign in again.")),
        503: (_("Back in a moment"), _("The database cannot answer right now. Reload soon.")),
    }
    fallback = (_("Something went wrong"), _("It is our fault, and the log has the details."))
    return words.get(status, fallback)
