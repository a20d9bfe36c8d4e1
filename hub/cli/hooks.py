"""Commands about the front door: who was refused, and a genuine webhook of our own."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import click
import requests

from hub.cli.base import err, json_option, opened, out, plain, show, show_json
from hub.errors import ConfigError, SignatureError, UnsupportedError
from hub.registry import Hub, Live
from hub.sdk import HookRequest
from hub.settings import Settings
from hub.store import events, leases, refusals

TIMEOUT_S = 15.0
LOOK_S = 0.1
NOTED_S = 3.0
"""How long the receiver may take to write down why it refused."""

CLOCKS = timedelta(seconds=5)
"""How far the receiver's clock may be behind ours."""

OVER = ("done", "quarantined", "skipped", "retry")


@click.group("hooks")
def hooks() -> None:
    """The webhook receiver.

    接收端：被拒的请求、测试请求。
    """


@hooks.command("refused")
@click.argument("connection", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=50)
@json_option
def hooks_refused(connection: str | None, limit: int, *, as_json: bool) -> None:
    """Requests that were refused and why, newest first; similar ones are counted together.

    被拒绝的请求及原因；相似的请求合并计数。
    """
    with opened() as hub, hub.database.read() as conn:
        rows, _ = refusals.page(conn, connection, limit=limit)
    columns = ("at", "count", "connection", "status", "reason", "remote", "method", "path")
    show(rows, columns, as_json=as_json)
    hints = dict.fromkeys(row["hint"] for row in rows if row["hint"])
    for hint in [] if as_json else hints:
        out.print(f"→ {plain(hint)}", highlight=False, soft_wrap=True)


@hooks.command("test")
@click.argument("connection")
@click.option("--url", help="Where the receiver is reached; by default the one of this machine.")
@click.option(
    "--wait", "wait_s", type=float, default=5.0, help="Seconds to see what becomes of it."
)
@json_option
def hooks_test(connection: str, url: str | None, wait_s: float, *, as_json: bool) -> None:
    """Send a signed sample through the front door and say what became of it.

    Exit code 0: it was taken in and applied, or answered without an event.

    用连接自己的密钥签名，向接收端发送一个测试请求，并报告处理结果。
    """
    with opened() as hub:
        live = hub.registry.get(connection)
        address = f"{(url or _own_address(hub.settings)).rstrip('/')}/hooks/{connection}"
        began = leases.now()
        answer = _send(_sample(live, address, began), address)
        told = {"address": address, "status": answer.status_code, "answer": answer.text[:500]}
        told |= _outcome(hub, connection, answer, began - CLOCKS, wait_s)
    if as_json:
        show_json(told)
    else:
        _print(told)
    sys.exit(0 if told["ok"] else 1)


def _own_address(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.bind, settings.bind)  # noqa: S104
    return f"http://{host}:{settings.hooks_port}"


def _sample(live: Live, address: str, at: datetime) -> HookRequest:
    """A genuine request of this connection.

    Raises:
        ConfigError: it takes no webhooks, or only its sender can sign.
    """
    receiver = live.manifest.receiver_class()(live.config)
    receiver.address = address
    try:
        return receiver.sample(at)
    except (UnsupportedError, SignatureError, LookupError) as exc:  # the key is the sender's; none
        raise ConfigError(
            f"a sample of {live.name} cannot be signed with what is configured",
            hint="Only its sender can, or no secret is configured: have the sender send one.",
        ) from exc


def _send(sample: HookRequest, address: str) -> requests.Response:
    query = f"?{urlencode(sample.query)}" if sample.query else ""
    path = f"/{sample.path}" if sample.path else ""
    with requests.Session() as session:
        session.trust_env = False  # a proxy for the way out does not lead to our own door
        try:
            return session.request(
                sample.method,
                f"{address}{path}{query}",
                data=sample.body,
                headers=dict(sample.headers),
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )
        except requests.RequestException as exc:
            raise ConfigError(
                f"nothing answers at {address}",
                hint="Start it with hub up, or say where it is with --url.",
            ) from exc


def _outcome(
    hub: Hub, connection: str, answer: requests.Response, since: datetime, wait_s: float
) -> dict[str, Any]:
    if answer.status_code >= 300:
        return {"ok": False, "event": None, **_refusal(hub, connection, since)}
    id_ = _event(hub, connection, answer, since)
    if id_ is None:
        said = "known already" if _json(answer).get("duplicate") else "nothing to keep"
        return {"ok": True, "event": None, "state": said}
    ends_at = time.monotonic() + wait_s
    while True:
        with hub.database.read() as conn:
            row = events.get(conn, id_)
        state = row["state"] if row else "gone"
        if state in OVER or time.monotonic() > ends_at:
            break
        time.sleep(LOOK_S)
    error, hint = (row["error"], row["hint"]) if row else ("", "")
    if state == "received":
        error, hint = (
            f"nobody took it up within {wait_s:g} s",
            "Is a worker running? See: hub status",
        )
    return {"ok": state == "done", "event": id_, "state": state, "error": error, "hint": hint}


def _event(hub: Hub, connection: str, answer: requests.Response, since: datetime) -> int | None:
    """By our own answer; where the vendor's words are answered, the newest one."""
    told = _json(answer)
    if "duplicate" in told:
        return told["event"]  # type: ignore[no-any-return]
    with hub.database.read() as conn:
        return events.newest_since(conn, connection, since)


def _refusal(hub: Hub, connection: str, since: datetime) -> dict[str, Any]:
    """Why, as soon as the receiver has written it down."""
    ends_at = time.monotonic() + NOTED_S
    while time.monotonic() < ends_at:
        with hub.database.read() as conn:
            rows, _ = refusals.page(conn, connection, limit=1)
        if rows and rows[0]["at"] >= since:
            return {"state": "refused", "error": rows[0]["reason"], "hint": rows[0]["hint"]}
        time.sleep(LOOK_S)
    return {"state": "refused", "error": "", "hint": "See the log of the receiver."}


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _print(told: dict[str, Any]) -> None:
    out.print(f"sent to  {told['address']}", highlight=False, soft_wrap=True)
    answer = plain(f"{told['status']} {told['answer'].strip()}")
    out.print(f"answer   {answer}", highlight=False, soft_wrap=True)
    mark = "[green]✓[/green]" if told["ok"] else "[red]✗[/red]"
    event = f"event {told['event']} " if told["event"] else ""
    to = out if told["ok"] else err
    said = plain(": ".join(filter(None, (f"{event}{told['state']}", told.get("error", "")))))
    to.print(f"{mark} {said}", highlight=False, soft_wrap=True)
    if told.get("hint"):
        to.print(f"  → {plain(told['hint'])}", highlight=False, soft_wrap=True)
    if told["event"]:
        out.print(f"[dim]its way: hub trace event:{told['event']}[/dim]", highlight=False)


COMMANDS: tuple[click.Command, ...] = (hooks,)
