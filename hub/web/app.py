"""The web application: puts the parts together and sets the rules all answers follow."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from hub import log
from hub.settings import Settings
from hub.settings import settings as settings_of_process
from hub.store.card_tokens import web_keys
from hub.store.db import Database
from hub.web import (
    acts,
    api,
    assets,
    auth,
    card,
    changes_api,
    desk_pages,
    desks,
    endpoints,
    files,
    formats,
    health,
    i18n,
    identity_api,
    inbox_api,
    inbox_pages,
    lookup_api,
    oauth,
    openapi,
    pages,
    pins_api,
    problems,
    subscriptions_api,
    watch,
    words,
)
from hub.web.context import Hub

SESSION_LIFETIME = timedelta(hours=12)
BODY_LIMIT_BYTES = 64 * 1024
POOL_SIZE = 16  # as many as a process has threads

POLICY = (
    "default-src 'self'; {scripts}object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors {ancestors}"
)


def create_app(settings: Settings | None = None, database: Database | None = None) -> Flask:
    """The WSGI application.

    Args:
        settings: those of this process by default.
        database: opened from the settings by default.
    """
    if settings is None:
        settings = settings_of_process()
        log.configure(settings.log_level, settings.log_format)
    keys = web_keys(settings)
    app = Flask(__name__)
    app.extensions["hub"] = Hub(
        settings, database or Database(settings.database, pool_size=POOL_SIZE), keys
    )
    _configure(app, app.extensions["hub"])
    i18n.install(app)
    formats.install(app)
    words.install(app)
    assets.install(app)
    parts = (
        problems,
        endpoints,
        auth,
        health,
        pages,
        inbox_pages,
        card,
        files,
        watch,
        oauth,
        desk_pages,
    )
    programs = (api, identity_api, acts, desks, lookup_api, pins_api, changes_api)
    for part in (*parts, *programs, inbox_api, subscriptions_api, openapi):
        part.install(app)
    app.after_request(_protect)
    return app


def _configure(app: Flask, surroundings: Hub) -> None:
    secure = surroundings.is_https
    app.config.update(
        SECRET_KEY=surroundings.keys[0],
        SECRET_KEY_FALLBACKS=list(surroundings.keys[1:]),
        SESSION_COOKIE_NAME="__Host-conduit" if secure else "conduit",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=SESSION_LIFETIME,
        MAX_CONTENT_LENGTH=BODY_LIMIT_BYTES,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    if surroundings.proxies:
        hops = surroundings.proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]


def _protect(answer: Response) -> Response:
    """Headers of every answer: who may frame it, what it may load, who may keep it."""
    ancestors = g.get("frame_ancestors") or "'self'"
    foreign = g.get("script_sources")  # a desk's own, on its page
    scripts = f"script-src 'self' {foreign}; " if foreign else ""
    policy = POLICY.format(ancestors=ancestors, scripts=scripts)
    answer.headers.setdefault("Content-Security-Policy", policy)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    # Not "no-referrer": with it browsers send "Origin: null" with our own forms.
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
    if request.endpoint == "static":
        kept = (
            "public, max-age=31536000, immutable" if "v" in request.args else "public, max-age=600"
        )
        answer.headers["Cache-Control"] = kept
    else:
        answer.headers.setdefault("Cache-Control", "no-store")
    return answer
