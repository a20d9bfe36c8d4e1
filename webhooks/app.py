"""The receiver's WSGI application, made by ``webhooks.app:create_app``."""

from __future__ import annotations

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from hub import log
from hub.registry import Registry, open_vault
from hub.settings import Settings
from hub.settings import settings as read_settings
from hub.store.db import Database
from hub.store.door import ANSWER_S
from webhooks.ready import Ready
from webhooks.receive import later, problem, receive
from webhooks.refusals import Refusals
from webhooks.writer import Writer

METHODS = ["GET", "POST", "PUT", "OPTIONS"]


def create_app(settings: Settings | None = None) -> Flask:
    """The application for these settings, by default those of this process."""
    chosen = settings or read_settings()
    log.configure(chosen.log_level, chosen.log_format)
    database = Database(chosen.database, pool_size=4, patience_s=ANSWER_S)
    registry = Registry(database, open_vault(chosen))
    writer = Writer(database, reserve_bytes=chosen.disk_reserve_bytes)
    refusals, ready = Refusals(database), Ready(registry, writer)
    app = Flask("webhooks", static_folder=None)
    app.url_map.merge_slashes = False  # a redirect would lose what was sent
    app.extensions["hub.database"] = database  # for whoever must close them
    app.extensions["hub.refusals"] = refusals
    app.extensions["hub.registry"] = registry
    # A chunked body is cut at this length without a word: one byte more tells cut from whole.
    if chosen.proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=chosen.proxies, x_proto=chosen.proxies, x_host=chosen.proxies
        )
    app.config["MAX_CONTENT_LENGTH"] = chosen.body_limit_bytes + 1

    @app.route("/hooks/<connection>", methods=METHODS, defaults={"path": ""})
    @app.route("/hooks/<connection>/<path:path>", methods=METHODS)
    def hooks(connection: str, path: str) -> Response:
        asked = request._get_current_object()  # type: ignore[attr-defined]  # the proxy is slow
        return receive(registry, writer, refusals, connection, path, asked)

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        if (busy := ready.why_not()) is not None:
            return later(503, f"Webhooks are refused: {busy.reason}.", busy.retry_after_s)
        return Response('{"status": "ready"}\n', mimetype="application/json")

    @app.errorhandler(HTTPException)
    def refused(exc: HTTPException) -> Response:
        status, reason = exc.code or 500, exc.description or exc.name
        if request.path.startswith("/hooks/"):
            refusals.note(request, request.path.split("/")[2], status, reason)
        return problem(status, reason)

    return app
