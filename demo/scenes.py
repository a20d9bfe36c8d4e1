"""What the demo shows: one walk each, told by what the real systems and the hub's API say."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import requests

from demo.hub import HubProcess
from demo.people import People, Writer
from demo.systems import Mailbox, Roundup, Tryton
from demo.systems.mailbox import SUPPORT, new_message
from hub.sdk import HookRequest
from hub.sdk.signing import STANDARD

HERO_PHONE = "139 1234 5678"
HERO_MAIL = "lina@example.com"
NOW = datetime.now(UTC)
# Told apart from those of an earlier run, which the outside systems still know.
SUBJECT = f"净化器滤芯报警 / Filter alarm {NOW:%H%M%S}"
NEWCOMER = {"id": f"S{NOW:%H%M%S}", "name": "韩雪", "phone": f"138{NOW:%d%H%M%S}", "tags": ["new"]}


class Stage:
    """The running systems, the running hub, and the report that is being written."""

    def __init__(
        self, hub: HubProcess, tryton: Tryton, roundup: Roundup, mailbox: Mailbox, people: People
    ) -> None:
        self.hub, self.people = hub, people
        self.tryton, self.roundup, self.mailbox = tryton, roundup, mailbox
        self.shop_secret = ""
        self.seconds: dict[str, float] = {}
        self.writes: list[dict[str, Any]] = []
        self.webhook: dict[str, Any] = {}


def load(stage: Stage) -> dict[str, Any]:
    """Wait until every stream was read to its end; the counts."""

    def done() -> dict[str, Any] | None:
        status = stage.hub.status()
        streams = status["streams"]
        return status if streams and all(s["completed_at"] for s in streams) else None

    return stage.hub.wait("the first load", done)


def customer_mails_in(stage: Stage) -> dict[str, Any]:
    """A mail becomes a message of the right customer and an issue at the desk; the issue."""
    began = time.monotonic()
    text = "你好，家里的空气净化器一直亮红灯，请帮忙看看。\n"
    stage.mailbox.send(new_message(Writer("Li Na 李娜", HERO_MAIL), SUPPORT, SUBJECT, text))
    api = stage.roundup.api()

    def opened() -> dict[str, Any] | None:
        found = api.find("issue", "title", "nosy", "status", title=SUBJECT)
        return found[-1] if found else None

    issue = stage.hub.wait("the issue at the desk", opened)

    def on_the_card() -> bool:
        hero = stage.hub.customer(phone=HERO_PHONE) or {}
        requests_ = [fact["summary"] for fact in hero.get("open_requests", ())]
        words = [f["summary"] for f in hero.get("timeline", ()) if f["kind"] == "Message"]
        return SUBJECT in requests_ and SUBJECT in words

    stage.hub.wait("message and issue on the customer's card", on_the_card)
    stage.seconds["mail to issue on the card"] = _since(began)
    stage.writes.append(_write("Roundup", "issue", f"issue{issue['id']}", confirmed=True))
    return issue


def agent_closes_it(stage: Stage, issue: dict[str, Any]) -> None:
    """The desk's change comes back, and the customer is told in the same thread."""
    began = time.monotonic()
    api = stage.roundup.api("agent")
    status = next(s["id"] for s in api.find("status", "name") if s["name"] == "resolved")
    api.change("issue", issue["id"], status=status)

    def closed() -> bool:
        hero = stage.hub.customer(phone=HERO_PHONE) or {}
        return any(
            fact["kind"] == "Ticket" and fact["summary"] == SUBJECT and fact["status"] == "closed"
            for fact in hero.get("timeline", ())
        )

    stage.hub.wait("the closed issue on the card", closed)
    stage.seconds["close to card"] = _since(began)

    def answered() -> str | None:
        letters = stage.mailbox.letters(HERO_MAIL).values()
        found = [str(m["Message-ID"]) for m in letters if SUBJECT in str(m["Subject"])]
        return found[-1] if found else None

    answer = stage.hub.wait("the answer in the customer's mailbox", answered)
    stage.seconds["close to answer in the mailbox"] = _since(began)
    stage.writes.append(_write("Mailbox", "message", answer, confirmed=True))


def shop_sends_an_order(stage: Stage) -> None:
    """Signed webhooks: a known customer orders, and a newcomer becomes a party of the ERP."""
    known = {"id": "S-1", "name": "李娜", "phone": "+86 139 1234 5678"}
    order = {
        "id": "W-1001",
        "number": "SHOP-1001",
        "status": "confirmed",
        "customer_id": "S-1",
        "currency": "CNY",
        "total": "399.00",
        "ordered_on": datetime.now(UTC).date().isoformat(),
    }
    post(stage, "customer.created", known)
    began = time.monotonic()
    status = post(stage, "order.created", order)

    def on_the_card() -> bool:
        hero = stage.hub.customer(phone=HERO_PHONE) or {}
        return any(fact["summary"] == "SHOP-1001" for fact in hero.get("orders", ()))

    stage.hub.wait("the order on the card", on_the_card)
    stage.webhook = {"status": status, "ms_to_profile": round(_since(began) * 1000)}
    began = time.monotonic()
    post(stage, "customer.created", NEWCOMER)

    def in_the_erp() -> list[dict[str, Any]]:
        where = [["contact_mechanisms.value", "=", NEWCOMER["phone"]]]
        return stage.tryton.api.find("party.party", "name", "code", where=where)

    (party, *_) = stage.hub.wait("the newcomer in the ERP", in_the_erp)
    stage.seconds["newcomer to ERP"] = _since(began)
    stage.writes.append(_write("Tryton", "party", str(party["code"]), confirmed=True))


def confirm_writes(stage: Stage) -> None:
    """Every write must be confirmed in the hub's own books too."""

    def settled() -> bool:
        rows = stage.hub.status()["deliveries"]
        confirmed = sum(row["count"] for row in rows if row["state"] == "confirmed")
        return confirmed == sum(row["count"] for row in rows) == len(stage.writes)

    stage.hub.wait("the deliveries to be confirmed", settled)


def post(stage: Stage, type_: str, data: dict[str, Any]) -> int:
    """Send one event as the shop would; the status of the answer."""
    now = datetime.now(UTC)
    body = json.dumps(
        {"type": type_, "timestamp": now.isoformat(), "data": data}, ensure_ascii=False
    ).encode()
    event_id, timestamp = f"msg_{time.time_ns()}", str(int(now.timestamp()))
    headers = {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
    }
    signed = STANDARD.sign(HookRequest("POST", headers, {}, body, now), stage.shop_secret)
    answer = requests.post(f"{stage.hub.hooks}/shop", body, headers=signed.headers, timeout=10)
    answer.raise_for_status()
    return answer.status_code


def _write(system: str, kind: str, ref: str, *, confirmed: bool) -> dict[str, Any]:
    return {"system": system, "kind": kind, "ref": ref, "confirmed": confirmed}


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
