"""The desk in Slack: a command is answered to the asker alone; a card's link shows nobody.

Also customers who write in shared channels, and messages a rule sends there.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import responses
from flask.testing import FlaskClient
from slack_sdk.models.blocks import Block
from slack_sdk.signature import SignatureVerifier

from hub.registry import Hub
from hub.store import read
from tests.story.helpers import account, customer, demo, drain, pull, scalar
from webhooks.app import create_app

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Open = Callable[..., Hub]
Json = dict[str, Any]

API, HOOKS = "https://slack.com/api", "https://hooks.slack.com/commands/T1/1/x"
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
HOME = "https://hub.example.com"

RULES: list[Json] = [
    {
        "id": "tell-slack",
        "when": "Order created",
        "then": {
            "write": "chat/messages",
            "fields": {
                "to": [{"type": "slack_channel", "value": "C0DESK"}],
                "text": "{number} {reference} {customer.card_url}",
            },
        },
    },
]


@pytest.fixture
def slack() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(f"{API}/auth.test", json={"ok": True, "team_id": "T1"})
        mock.get(f"{API}/conversations.history", json={"ok": True, "messages": []})
        for method in ("chat.unfurl", "chat.postEphemeral"):
            mock.post(f"{API}/{method}", json={"ok": True})
        yield mock


def opened(open_with: Open, **more: Any) -> Hub:
    chat = {"adapter": "slack", "signing_secrets": [SIGNING_SECRET], "bot_token": "xoxb-t", **more}
    hub = open_with({"crm": demo(), "chat": chat}, RULES, public_url=HOME)
    crm = account(hub, "crm")
    crm.put("customers", {"id": "1", "name": "李娜 <VIP>", "phone": "13912345671", "tier": "VIP"})
    pull(hub, "crm")
    return hub


def sent(mock: responses.RequestsMock, end: str) -> list[Json]:
    """What was posted to addresses that end so."""
    calls = [c.request for c in mock.calls if str(c.request.url).partition("?")[0].endswith(end)]
    return [json.loads(request.body or b"{}") for request in calls]


def ask(hub: Hub, body: str, *, is_form: bool = False) -> tuple[int, bytes]:
    """Slack's request through the front door, and what it is answered at once."""
    app = create_app(hub.settings)
    stamp = str(int(time.time()))
    signature = SignatureVerifier(SIGNING_SECRET).generate_signature(timestamp=stamp, body=body)
    kind = "application/x-www-form-urlencoded" if is_form else "application/json"
    headers = {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": str(signature),
        "Content-Type": kind,
    }
    client: FlaskClient
    with app.test_client(use_cookies=False) as client:
        answer = client.post("/hooks/chat", data=body.encode(), headers=headers)
    app.extensions["hub.database"].close()
    return answer.status_code, answer.data


def command(hub: Hub, text: str, number: int = 1, **more: str) -> tuple[int, bytes]:
    form = {
        "command": "/customer",
        "text": text,
        "user_id": "U061F7AUR",
        "team_id": "T1",
        "channel_id": "C024BE91L",
        "response_url": HOOKS,
        "trigger_id": f"13345224609.{number}",
        **more,
    }
    return ask(hub, urlencode(form), is_form=True)


def event(hub: Hub, id_: str, **told: Any) -> tuple[int, bytes]:
    ours = [{"team_id": "T1", "user_id": "UBOT", "is_bot": True}]
    wrapper = {"type": "event_callback", "team_id": "T1", "event_id": id_, "event": told}
    return ask(hub, json.dumps({**wrapper, "authorizations": ours}))


def link_shared(hub: Hub, url: str) -> tuple[int, bytes]:
    told = {"channel": "C024BE91L", "user": "U061F7AUR", "message_ts": "1795262400.000001"}
    links = [{"domain": "hub.example.com", "url": url}]
    where = {"unfurl_id": "C024BE91L.1", "source": "conversations_history", **told}
    return event(hub, "Ev1", type="link_shared", links=links, **where)


def test_a_command_is_acknowledged_at_once_and_answered_masked_to_the_asker(
    open_with: Open, slack: responses.RequestsMock
) -> None:
    hub = opened(open_with)
    slack.post(HOOKS, body="ok")
    assert command(hub, "139 1234 5671") == (200, b"")
    assert sent(slack, "/commands/T1/1/x") == []  # nothing but the acknowledgement yet
    drain(hub)
    (told,) = sent(slack, "/commands/T1/1/x")
    assert told["response_type"] == "ephemeral"
    shown = json.dumps(told, ensure_ascii=False)
    assert "+86139******71" in shown
    assert "12345671" not in re.sub(r"\?t=[^\s|>\"]+", "", shown)
    for words in ("没有未结请求", "no open requests", "打开客户卡片 / Open the card"):
        assert words in shown  # Slack does not tell the language
    (block,) = Block.parse_all(told["blocks"])
    block.validate_json()
    assert "*李娜 &lt;VIP&gt;*" in told["blocks"][0]["text"]["text"]
    answered = next(c.request for c in slack.calls if str(c.request.url) == HOOKS)
    assert "Authorization" not in answered.headers
    actor = "chat:U061F7AUR"
    assert scalar(hub, "SELECT count(*) FROM audit WHERE actor = :actor", actor=actor) == 1
    assert command(hub, "139 1234 5671") == (200, b"")  # Slack sends it once more
    drain(hub)
    assert len(sent(slack, "/commands/T1/1/x")) == 1


def test_who_told_a_language_is_answered_in_it(
    open_with: Open, slack: responses.RequestsMock
) -> None:
    hub = opened(open_with)
    slack.post(HOOKS, body="ok")
    for number, (locale, words) in enumerate(
        (("en-GB", "Nobody is known by that."), ("zh-CN", "没有找到这位客户。")), start=1
    ):
        command(hub, "nobody@example.com", number, locale=locale)
        drain(hub)
        assert sent(slack, "/commands/T1/1/x")[-1]["text"] == words


def test_an_answer_that_comes_too_late_is_whispered(
    open_with: Open, slack: responses.RequestsMock
) -> None:
    hub = opened(open_with)
    slack.post(HOOKS, status=404, json={"ok": False, "error": "expired_url"})
    command(hub, "13912345671")
    drain(hub)
    (told,) = sent(slack, "/chat.postEphemeral")
    assert (told["channel"], told["user"]) == ("C024BE91L", "U061F7AUR")
    assert "+86139******71" in told["text"]


def test_strangers_are_told_nothing(open_with: Open, slack: responses.RequestsMock) -> None:
    hub = opened(open_with, askers=["U1*"])
    assert command(hub, "13912345671") == (200, b"")
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM delivery") == 0


def test_a_link_where_others_read_along_shows_no_personal_data(
    open_with: Open, slack: responses.RequestsMock
) -> None:
    hub = opened(open_with, desk_role="agent")
    with hub.database.read() as conn:
        (id_,) = read.find(conn, "phone", "+8613912345671")
    url = f"{HOME}/card?customer={id_}"
    assert link_shared(hub, url)[0] == 202
    drain(hub)
    (told,) = sent(slack, "/chat.unfurl")
    assert (told["channel"], told["ts"]) == ("C024BE91L", "1795262400.000001")
    (block,) = Block.parse_all(told["unfurls"][url]["blocks"])
    block.validate_json()
    shown = told["unfurls"][url]["blocks"][0]["text"]["text"]
    assert shown == "登录后查看客户卡片 / Sign in to see the card"
    whole = json.dumps(told, ensure_ascii=False)
    assert not any(secret in whole for secret in ("李娜", "VIP", "5671", "card?t="))


def test_a_customer_in_a_shared_channel_becomes_known(
    open_with: Open, slack: responses.RequestsMock
) -> None:
    hub = opened(open_with, customer_channels=["C0SHARED"])
    profile = {"real_name": "李娜", "email": "li@example.com", "phone": "139 1234 5671"}
    member = {"id": "W7", "team_id": "T2", "profile": profile, "updated": 1767225600}
    slack.get(f"{API}/users.info", json={"ok": True, "user": member})
    told = {"type": "message", "channel": "C0SHARED", "ts": "1795262400.000001"}
    event(hub, "Ev2", **told, user="W7", team="T2", user_team="T2", text="空调不制冷 🥵")
    event(hub, "Ev3", **{**told, "channel": "C0INTERNAL"}, user="U1", text="among us")
    drain(hub)
    found = customer(hub, "phone", "+8613912345671")
    assert [fact.summary for fact in found.timeline] == ["空调不制冷 🥵"]
    assert {member.source.ref for member in found.members} == {
        "crm/customers/1",
        "chat/users/W7",
    }


def test_a_rule_tells_a_channel_once_though_the_answer_is_lost(
    open_with: Open, slack: responses.RequestsMock, clock: Callable[[timedelta], None]
) -> None:
    hub = opened(open_with)
    pull(hub, "crm", "orders")
    account(hub, "crm").put(
        "orders", {"id": "o1", "number": "SO-1", "reference": "<!channel>", "customer_id": "1"}
    )
    slack.post(f"{API}/chat.postMessage", status=504)
    pull(hub, "crm", "orders")
    drain(hub)
    (post,) = sent(slack, "/chat.postMessage")
    assert post["text"].startswith(f"SO-1 &lt;!channel&gt; {HOME}/card?customer=")
    there = {"ts": "1795262401.000001", "text": post["text"], "metadata": post["metadata"]}
    history = f"{API}/conversations.history"
    slack.replace("GET", history, json={"ok": True, "messages": [there]})
    clock(timedelta(minutes=1))
    drain(hub)
    assert len(sent(slack, "/chat.postMessage")) == 1
    assert scalar(hub, "SELECT state FROM delivery") == "confirmed"


def test_who_only_hears_asks_nobody(open_with: Open) -> None:
    hub = open_with({"chat": {"adapter": "slack", "signing_secrets": [SIGNING_SECRET]}})
    assert hub.registry.get("chat").pulled == []
    hub.registry.get("chat").adapter.check()
