"""Our whole signed requests, beside those the clouds' own libraries make of the same clock."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import responses
from alibabacloud_openapi_util.client import Client as AlibabaSigner
from tencentcloud.common.credential import Credential
from tencentcloud.sms.v20210111.models import SendSmsRequest
from tencentcloud.sms.v20210111.sms_client import SmsClient

from adapters.aliyun_sms.adapter import AliyunSmsAdapter, AliyunSmsConfig
from adapters.tencent_sms.adapter import TencentSmsAdapter, TencentSmsConfig
from hub.sdk import Change, Http, http
from hub.sdk.clouds import tc3

AT = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
ID, SECRET = "idEXAMPLE", "secretEXAMPLE"
WORDS = "王五 & 𠮷+*~%/😀"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_utc_now", lambda: AT)
    monkeypatch.setattr(time, "time", lambda: AT.timestamp())


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def sent(wire: responses.RequestsMock, number: int = -1) -> requests.PreparedRequest:
    found: requests.PreparedRequest = wire.calls[number].request
    return found


def change(**values: Any) -> Change:
    return Change(None, values, "0123456789abcdef0123456789abcdef", "hub-0123456789abcdef")


def test_aliyun(wire: responses.RequestsMock) -> None:
    wire.post("https://dysmsapi.aliyuncs.com/", json={"Code": "OK", "BizId": "1^0"})
    config = {"access_key_id": ID, "access_key_secret": SECRET, "sign_name": "示例公司"}
    adapter = AliyunSmsAdapter(AliyunSmsConfig(**config, look_back_days=0))
    template = {"TemplateCode": "SMS_1", "TemplateParam": {"name": WORDS, "empty": ""}}
    adapter.push(adapter.streams[0], change(PhoneNumbers="+8613800000001", **template))
    assert len(wire.calls) == 3
    for call in wire.calls:
        ours = call.request
        address = urlsplit(ours.url or "")
        headers = {name.lower(): value for name, value in ours.headers.items()}
        assert headers["x-acs-content-sha256"] == EMPTY
        assert headers["x-acs-date"] == "2026-11-21T12:00:00Z"
        told = SimpleNamespace(
            method=ours.method,
            pathname=address.path,
            query=dict(parse_qsl(address.query, keep_blank_values=True)),
            headers={"host": address.netloc}
            | {n: v for n, v in headers.items() if n.startswith("x-acs-") or n == "content-type"},
        )
        theirs = AlibabaSigner.get_authorization(told, "ACS3-HMAC-SHA256", EMPTY, ID, SECRET)
        assert headers["authorization"] == theirs
    nonces = {call.request.headers["x-acs-signature-nonce"] for call in wire.calls}
    assert len(nonces) == 3, "a nonce is used once"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # their library uses utcfromtimestamp
def test_tencent(wire: responses.RequestsMock) -> None:
    done = {"SendStatusSet": [{"SerialNo": "1", "Code": "Ok"}], "RequestId": "R-1"}
    wire.post("https://sms.tencentcloudapi.com/", json={"Response": done})
    asked = SendSmsRequest()
    message = {
        "PhoneNumberSet": ["+8613800000001"],
        "SmsSdkAppId": "1400006666",
        "SignName": "示例公司",
        "TemplateId": "449739",
        "TemplateParamSet": [WORDS, ""],
        "SessionContext": "hub-0123456789abcdef",
    }
    asked.from_json_string(json.dumps(message))
    SmsClient(Credential(ID, SECRET), "ap-guangzhou").SendSms(asked)
    theirs = sent(wire)

    config = {"secret_id": ID, "secret_key": SECRET, "sdk_app_id": "1400006666"}
    adapter = TencentSmsAdapter(
        TencentSmsConfig(**config, sign_name="示例公司", read_templates=False)
    )
    values = {"PhoneNumber": "13800000001", "TemplateId": 449739}
    adapter.push(adapter.streams[0], change(**values, TemplateParamSet=[WORDS, ""]))
    ours = sent(wire)
    assert ours.url == theirs.url
    names = ("Content-Type", "X-TC-Action", "X-TC-Version", "X-TC-Timestamp", "X-TC-Region")
    assert [ours.headers[name] for name in names] == [theirs.headers[name] for name in names]
    assert json.loads(ours.body or "") == json.loads(theirs.body or "")

    again = Http("https://sms.tencentcloudapi.com", sign=tc3(ID, SECRET, "sms"))
    kind = {"Content-Type": theirs.headers["Content-Type"]}
    again.request("POST", "/", data=theirs.body, headers=kind)
    assert sent(wire).headers["Authorization"] == theirs.headers["Authorization"]
