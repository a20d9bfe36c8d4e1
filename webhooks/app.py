"""The receiver's WSGI application, made by ``webhooks.app:create_app``."""

from __future__ import annotations

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from hub import log
from hub.registry import Registry, open_vault
from hub.settings import Settings
from hub.settings import settings as read_settings
from hub.store.db import Database
from webhooks.receive import problem, receive
from webhooks.writer import Writer


def create_app(settings: Settings | None = None) -> Flask:
    """The application for these settings, by default those of this process."""
    chosen = settings or read_settings()
    log.configure(chosen.log_level, chosen.log_format)
    database = Database(chosen.database, pool_size=16)
    registry, writer = Registry(database, open_vault(chosen)), Writer(database)
    app = Flask("webhooks", static_folder=None)
    app.extensions["hub.database"] = database  # for whoever must close it
    # A chunked body is cut at this length without a word: one byte more tells cut from whole.
    app.config["MAX_CONTENT_LENGTH"] = chosen.body_limit_bytes + 1

    @app.route("/hooks/<connection>", methods=["GET", "POST", "PUT"])
    def hooks(connection: str) -> Response:
        return receive(registry, writer, connection, request)

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.errorhandler(HTTPException)
    def refused(exc: HTTPException) -> Response:
        return problem(exc.code or 500, exc.description or exc.name)

    return app
