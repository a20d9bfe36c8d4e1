"""One webhook: size, connection, signature, inbox, answer."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from urllib.parse import quote

import orjson
from flask import Request, Response

from hub.errors import ConfigError, SignatureError, StoreError
from hub.registry import Registry
from hub.sdk import HookRequest, Reply
from hub.store import inbox
from webhooks import pressure
from webhooks.refusals import Refusals
from webhooks.writer import Writer

log = logging.getLogger(__name__)

TOO_LARGE = "the body is too large"
SIZE_HINT = "The limit is body_limit_bytes in settings.toml."
TOO_MANY = "more requests than the connection's hooks_per_s"
RATE_HINT = "Raise hooks_per_s of the connection in settings.toml, or have the sender slow down."
LOG_HINT = "The log of the receiver has the details."


def receive(
    registry: Registry,
    writer: Writer,
    refusals: Refusals,
    connection: str,
    path: str,
    request: Request,
) -> Response:
    """The answer to a webhook; a 2xx only after what it brought is on disk."""
    now = datetime.now(UTC)
    if (busy := writer.busy()) is not None:
        return unavailable(busy.retry_after_s)
    try:
        with writer.slot():
            live = registry.get(connection)
        receiver, secrets, own = live.receiver, live.secrets, live.own
    except ConfigError as exc:
        refusals.note(request, connection, 404, str(exc), exc.hint)
        return problem(404, "There is no such connection, or it takes no webhooks.")
    except StoreError:
        return unavailable()
    if request.method == "OPTIONS" and not receiver.asks_leave:
        return problem(405, "This sender does not ask for leave by OPTIONS.")
    if own.body_limit_bytes:
        request.max_content_length = own.body_limit_bytes + 1  # as in create_app
    hook = _hook_request(request, path, now)
    if len(hook.body) == request.max_content_length:
        refusals.note(request, connection, 413, TOO_LARGE, SIZE_HINT, secrets=secrets)
        return problem(413, "The body is too large.")
    try:
        opened = receiver.open(hook)
    except SignatureError as exc:
        told = str(exc), exc.hint
        refusals.note(request, connection, 401, *told, body=hook.body, secrets=secrets)
        return problem(401, "The sender is not proven.")
    except Exception as exc:
        told = f"{type(exc).__name__} while the request was read", LOG_HINT
        if refusals.note(request, connection, 400, *told, body=hook.body, secrets=secrets):
            log.exception("webhook not understood", extra={"connection": connection})
        return problem(400, "The request is not understood.")
    if isinstance(opened, Reply):
        return _reply(opened)
    # Only who is proven is counted: a stranger must not use up what a sender may send.
    if own.hooks_per_s and (wait_s := writer.wait_s(connection, own.hooks_per_s)):
        refusals.note(request, connection, 429, TOO_MANY, RATE_HINT, secrets=secrets)
        return later(429, "Too many requests.", wait_s)
    try:
        new = writer.save(inbox.rows_for(connection, opened.items, hook.headers, now, secrets))
    except StoreError as exc:
        log.warning("webhook not stored", extra={"connection": connection, "fault": str(exc)})
        return unavailable()
    if opened.learned.items() - receiver.learned.items():
        writer.learn(connection, opened.learned)
    if opened.reply is not None:
        return _reply(opened.reply)
    status = 202 if new or not opened.items else 200
    return _json({"event": new[0] if new else None, "duplicate": status == 200}, status)


def problem(status: int, detail: str) -> Response:
    """An RFC 9457 problem document."""
    return _json({"status": status, "detail": detail}, status, "application/problem+json")


def unavailable(retry_after_s: int = pressure.SLOW_RETRY_S) -> Response:
    """We cannot keep it now: the sender must try again."""
    return later(503, "The event cannot be stored now. Send it again.", retry_after_s)


def later(status: int, detail: str, retry_after_s: int) -> Response:
    """A problem that is over in so many seconds."""
    response = problem(status, detail)
    response.headers["Retry-After"] = str(retry_after_s)
    return response


def _hook_request(request: Request, path: str, now: datetime) -> HookRequest:
    return HookRequest(
        method=request.method,
        headers={name.lower(): value for name, value in request.headers.items()},
        query=request.args.to_dict() if request.query_string else {},
        body=request.get_data(cache=False),
        received_at=now,
        url=_url(request),
        path=path,
        remote=request.remote_addr or "",
    )


def _url(request: Request) -> str:
    """Our address as the sender wrote it: Werkzeug's ``url`` decodes what was signed encoded."""
    query = request.query_string.decode("latin-1")
    return f"{request.scheme}://{request.host}{quote(request.path)}" + (
        f"?{query}" if query else ""
    )


def _reply(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers))


def _json(body: dict[str, object], status: int, mimetype: str = "application/json") -> Response:
    return Response(orjson.dumps(body), status, mimetype=mimetype)
