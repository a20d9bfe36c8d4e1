"""SMS through 阿里云 and 腾讯云: a rule sends one, its receipt comes back, the customer replies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import responses
from flask.testing import FlaskClient

from hub.profiles.document import Fact
from hub.registry import Hub
from hub.store import checkpoints, outbox
from tests.story.helpers import account, customer, demo, drain, pull, scalar
from webhooks.app import create_app

Open = Callable[..., Hub]
Answer = tuple[int, dict[str, str], str]
PHONE = "13800000001"
WORD = "long-random-word"
SAID = "王五您好，您的报修“空调不制冷”已受理。"


@dataclass
class Aliyun:
    """The vendor as far as it matters: what was sent, and what it tells of that."""

    connection: ClassVar[dict[str, Any]] = {
        "adapter": "aliyun_sms",
        "access_key_id": "LTAI",
        "access_key_secret": "secret",
        "sign_name": "示例公司",
        "path_tokens": [WORD],
        "look_back_days": 0,
    }
    url = "https://dysmsapi.aliyuncs.com/"
    template: Any = "SMS_1"
    params: Any = field(default_factory=lambda: {"name": "{customer.name}", "what": "{subject}"})
    fails: bool = False
    sent: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, request: requests.PreparedRequest) -> Answer:
        told = dict(parse_qsl(urlsplit(request.url or "").query))
        body: dict[str, Any] = {"Code": "OK"}
        match request.headers["x-acs-action"]:
            case "QuerySendDetails":
                rows = [{"OutId": one["OutId"]} for one in self.sent]
                body["SmsSendDetailDTOs"] = {"SmsSendDetailDTO": rows}
            case "QuerySmsTemplate":
                body["TemplateContent"] = "${name}您好，您的报修“${what}”已受理。"
            case "SendSms":
                self.sent.append(told)
                body["BizId"] = f"90{len(self.sent)}^0"
                if self.fails:
                    return 504, {}, "gateway time-out"
        return 200, {"Content-Type": "application/json"}, json.dumps(body)

    def receipt(self, number: int = 0) -> Any:
        when = "2026-11-21 20:00:00"
        return [
            {
                "phone_number": PHONE,
                "send_time": when,
                "report_time": when,
                "success": True,
                "err_code": "DELIVERED",
                "biz_id": f"90{number + 1}^0",
                "out_id": self.sent[number]["OutId"] if self.sent else "hub-unknown",
            }
        ]

    def reply(self, text: str, number: int) -> Any:
        told = {"phone_number": PHONE, "content": text, "sequence_id": number}
        return [{**told, "send_time": f"2026-11-21 20:0{number}:00", "dest_code": "1"}]


@dataclass
class Tencent:
    connection: ClassVar[dict[str, Any]] = {
        "adapter": "tencent_sms",
        "secret_id": "AKID",
        "secret_key": "secret",
        "sdk_app_id": "1400006666",
        "sign_name": "示例公司",
        "path_tokens": [WORD],
        "statuses": True,
    }
    url = "https://sms.tencentcloudapi.com/"
    template: Any = "449739"
    params: Any = field(default_factory=lambda: ["{customer.name}", "{subject}"])
    fails: bool = False
    sent: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, request: requests.PreparedRequest) -> Answer:
        told = json.loads(request.body or "{}")
        body: dict[str, Any] = {}
        match request.headers["X-TC-Action"]:
            case "PullSmsSendStatusByPhoneNumber":
                body["PullSmsSendStatusSet"] = [
                    {"SerialNo": f"33:{n}", "SessionContext": one["SessionContext"]}
                    for n, one in enumerate(self.sent)
                ]
            case "DescribeSmsTemplateList":
                words = "{1}您好，您的报修“{2}”已受理。"
                body["DescribeTemplateStatusSet"] = [{"TemplateContent": words}]
            case "SendSms":
                self.sent.append(told)
                done = {"SerialNo": f"33:{len(self.sent) - 1}", "Code": "Ok", "Fee": 1}
                body["SendStatusSet"] = [done]
                if self.fails:
                    return 504, {}, "gateway time-out"
        return 200, {"Content-Type": "application/json"}, json.dumps({"Response": body})

    def receipt(self, number: int = 0) -> Any:
        told = {"nationcode": "86", "mobile": PHONE, "report_status": "SUCCESS"}
        return [{**told, "sid": f"33:{number}", "user_receive_time": "2026-11-21 20:00:00"}]

    def reply(self, text: str, number: int) -> Any:
        told = {"mobile": PHONE, "nationcode": "86", "text": text, "sign": "示例公司"}
        return {**told, "extend": "", "time": 1795262400 + 60 * number}


Vendor = Aliyun | Tencent


@pytest.fixture(params=[Aliyun, Tencent])
def vendor(request: pytest.FixtureRequest) -> Vendor:
    made: Vendor = request.param()
    return made


@pytest.fixture
def wire(vendor: Vendor) -> Iterator[None]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback("POST", vendor.url, vendor.answer)
        yield


@pytest.fixture
def hub(open_with: Open, vendor: Vendor, wire: None) -> Hub:
    def rule(id_: str, when: str, status: str, **then: Any) -> dict[str, Any]:
        fields = {
            "to": [{"type": "phone", "value": "{customer.phone}"}],
            "extra": {"template": vendor.template, "params": vendor.params},
        }
        conditions = [{"field": "status", "is": status}]
        return {
            "id": id_,
            "when": when,
            "if": conditions,
            "then": {"write": "sms/messages", "fields": fields, **then},
        }

    rules = [
        rule("opened", "Ticket created", "new"),
        rule("solved", "Ticket changed", "solved", subject="{ref}#solved"),
    ]
    hub = open_with({"crm": demo(), "sms": vendor.connection}, rules)
    person = {"id": "c1", "kind": "person", "name": "王五", "phone": f"+86 {PHONE}"}
    account(hub, "crm").put("customers", person)
    pull(hub, "crm")  # the first load is silent
    return hub


@pytest.fixture
def client(hub: Hub) -> Iterator[FlaskClient]:
    app = create_app(hub.settings)
    with closing(app.extensions["hub.database"]), app.test_client(use_cookies=False) as client:
        yield client


def open_request(hub: Hub, status: str = "new") -> None:
    told = {"id": "t1", "subject": "空调不制冷", "status": status, "customer_id": "c1"}
    account(hub, "crm").put("tickets", told)
    pull(hub, "crm", "tickets")


def call_back(hub: Hub, client: FlaskClient, body: Any) -> None:
    for _ in range(2):  # it comes twice
        answer = client.post(f"/hooks/sms/{WORD}", json=body)
        assert answer.status_code == 200
        assert 0 in json.loads(answer.data).values()
    drain(hub)


def messages(hub: Hub) -> list[Fact]:
    found = customer(hub, "phone", f"+86{PHONE}")
    assert found.name is not None
    assert found.name.value == "王五"
    return [fact for fact in found.timeline if fact.kind == "Message"]


def states(hub: Hub) -> list[str]:
    with hub.database.read() as conn:
        return [row["state"] for row in reversed(outbox.page(conn, limit=50))]


def test_a_request_is_answered_by_sms_and_its_receipt_is_seen(
    hub: Hub, client: FlaskClient, vendor: Vendor
) -> None:
    open_request(hub)
    drain(hub)
    assert states(hub) == ["confirmed"]
    assert len(vendor.sent) == 1
    (message,) = messages(hub)
    assert (message.summary, message.status) == (SAID, "sent")
    call_back(hub, client, vendor.receipt())
    (message,) = messages(hub)
    assert (message.summary, message.status) == (SAID, "delivered")
    assert message.fields["direction"] == "out"
    open_request(hub, "solved")
    drain(hub)
    assert (states(hub), len(vendor.sent)) == (["confirmed"] * 2, 2)
    assert sorted(m.status for m in messages(hub)) == ["delivered", "sent"]


def test_a_receipt_that_is_quicker_than_the_answer_is_kept(
    hub: Hub, client: FlaskClient, vendor: Vendor
) -> None:
    """The vendor's answer is stored after the receipt of the same message."""
    open_request(hub)
    if isinstance(vendor, Aliyun):  # ours are named by our own marker
        key = scalar(hub, "SELECT key FROM delivery")
        vendor.sent.append({"OutId": f"hub-{key[:16]}"})
        receipt = vendor.receipt()
        vendor.sent.clear()
    else:
        receipt = vendor.receipt()
    call_back(hub, client, receipt)  # also sends it
    assert states(hub) == ["confirmed"]
    (message,) = messages(hub)
    assert (message.summary, message.status) == (SAID, "delivered")


def test_what_may_have_been_sent_is_not_sent_again(
    hub: Hub, client: FlaskClient, vendor: Vendor
) -> None:
    vendor.fails = True
    open_request(hub)
    drain(hub)
    assert (states(hub), len(vendor.sent)) == (["unknown"], 1)
    drain(hub)
    call_back(hub, client, vendor.receipt())  # it had been
    assert [m.status for m in messages(hub)] == ["delivered"]
    with hub.database.write() as conn:
        outbox.replay(conn, [scalar(hub, "SELECT id FROM delivery")])
    drain(hub)
    assert (states(hub), len(vendor.sent)) == (["confirmed"], 1)
    assert [m.status for m in messages(hub)] == ["delivered"]


def test_a_customer_who_wants_no_more_stays_refused(
    hub: Hub, client: FlaskClient, vendor: Vendor
) -> None:
    call_back(hub, client, vendor.reply("明天在家", 1))
    assert [(m.summary, m.fields["direction"]) for m in messages(hub)] == [("明天在家", "in")]
    assert customer(hub, "phone", f"+86{PHONE}").consents == ()
    call_back(hub, client, vendor.reply(" td ", 2))
    call_back(hub, client, vendor.reply("谢谢", 3))
    (consent,) = customer(hub, "phone", f"+86{PHONE}").consents
    assert (consent.purpose, consent.granted) == ("sms", False)
    assert len(messages(hub)) == 3


def test_what_is_only_written_is_never_due_for_a_pull(hub: Hub) -> None:
    with hub.database.read() as conn:
        assert {row["connection"] for row in checkpoints.every(conn)} == {"crm"}


def test_a_stranger_is_not_let_in(hub: Hub, client: FlaskClient, vendor: Vendor) -> None:
    for path in ("/hooks/sms", "/hooks/sms/another-word"):
        assert client.post(path, json=vendor.receipt()).status_code == 401
    assert scalar(hub, "SELECT count(*) FROM inbox") == 0
