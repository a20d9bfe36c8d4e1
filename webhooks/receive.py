"""One webhook: size, connection, signature, inbox, answer."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from flask import Request, Response, jsonify

from hub.errors import ConfigError, SignatureError, StoreError
from hub.registry import Registry
from hub.sdk import HookRequest, Reply
from hub.store import inbox
from webhooks.writer import Writer

log = logging.getLogger(__name__)


def receive(registry: Registry, writer: Writer, connection: str, request: Request) -> Response:
    """The answer to a webhook; a 2xx only after what it brought is on disk."""
    now = datetime.now(UTC)
    try:
        receiver = registry.get(connection).receiver
    except ConfigError:
        return problem(404, "There is no such connection, or it takes no webhooks.")
    except StoreError:
        return unavailable()
    hook = _hook_request(request, now)
    if len(hook.body) == request.max_content_length:
        return problem(413, "The body is too large.")
    try:
        opened = receiver.open(hook)
    except SignatureError as exc:
        log.warning("webhook refused", extra={"connection": connection, "reason": str(exc)})
        return problem(401, "The sender is not proven.")
    except Exception:
        log.exception("webhook not understood", extra={"connection": connection})
        return problem(400, "The request is not understood.")
    if isinstance(opened, Reply):
        return _reply(opened)
    try:
        new = writer.save(inbox.rows_for(connection, opened.items, hook.headers, now))
    except StoreError as exc:
        log.warning("webhook not stored", extra={"connection": connection, "fault": str(exc)})
        return unavailable()
    if opened.reply is not None:
        return _reply(opened.reply)
    status = 202 if new or not opened.items else 200
    return _json({"event": new[0] if new else None, "duplicate": status == 200}, status)


def problem(status: int, detail: str) -> Response:
    """An RFC 9457 problem document."""
    response = _json({"status": status, "detail": detail}, status)
    response.content_type = "application/problem+json"
    return response


def unavailable() -> Response:
    """We cannot keep it now: the sender must try again."""
    response = problem(503, "The event cannot be stored now. Send it again.")
    response.headers["Retry-After"] = "5"
    return response


def _hook_request(request: Request, now: datetime) -> HookRequest:
    return HookRequest(
        method=request.method,
        headers={name.lower(): value for name, value in request.headers.items()},
        query=request.args.to_dict(),
        body=request.get_data(cache=False),
        received_at=now,
        url=request.url,
    )


def _reply(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers))


def _json(body: dict[str, object], status: int) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response
