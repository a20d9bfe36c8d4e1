"""Webhooks of described systems: whoever is proven is let in, and what it says is understood."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.rest.access import Signer
from adapters.rest.config import RestConfig
from adapters.rest.system import Sign
from adapters.rest.template import Scope
from adapters.rest.webhook import RestReceiver
from hub.errors import ConfigError, RejectedError, SignatureError
from hub.registry import ROOT
from hub.sdk import Deleted, Envelope, HookRequest, RecordRef, Reply, Row
from hub.sdk.testing import NOW

VECTORS = ROOT / "tests" / "data" / "vectors"
HEAD = """
[system]
title = "Own"
base = "https://own.example.com"
[streams.customers]
word = "client"
[streams.customers.one]
path = "/clients/{id}"
[streams.orders]
[streams.orders.one]
path = "/orders/{id}"
[webhook]
type = "what"
stream = "kind"
record = "data"
operations = { new = "row", hint = "ref", gone = "deleted", ping = "ignore" }
"""
TOKENS = {
    "header:x-token": HookRequest("POST", {"x-token": "s3cret"}, {}, b"{}", NOW),
    "query:t": HookRequest("POST", {}, {"t": "s3cret"}, b"{}", NOW),
    "path": HookRequest("POST", {}, {}, b"{}", NOW, path="s3cret"),
}


def receiver(tmp_path: Path, more: str, **given: Any) -> RestReceiver:
    (tmp_path / "own.toml").write_text(HEAD + more, "utf-8")
    config = {"system": "own.toml", "webhook_secrets": ["old", "s3cret"], **given}
    return RestReceiver(RestConfig.model_validate(config, context={"folder": tmp_path}))


@pytest.mark.parametrize("place", TOKENS)
def test_a_word_of_ours_lets_in_wherever_it_is_shown(tmp_path: Path, place: str) -> None:
    one, request = receiver(tmp_path, f'token = "{place}"'), TOKENS[place]
    assert isinstance(one.open(request), Envelope)
    for other in ("s3cre", "s3crets", ""):
        shown = json.loads(json.dumps([request.headers, request.query, request.path]))
        told = json.loads(json.dumps(shown).replace("s3cret", other))
        with pytest.raises(SignatureError):
            one.open(replace(request, headers=told[0], query=told[1], path=told[2]))
    assert isinstance(one.open(one.sample(NOW)), Envelope)
    with pytest.raises(SignatureError):
        receiver(tmp_path, f'token = "{place}"', webhook_secrets=[]).open(request)


def said(one: RestReceiver, **event: Any) -> list[Any]:
    return list(one.parse(json.dumps(event).encode()))


def test_words_say_what_is_to_be_done(tmp_path: Path) -> None:
    one = receiver(tmp_path, 'token = "path"')
    data = {"id": 2**53 + 1, "name": "王 𠮷"}
    assert said(one, what="new", kind="client", data=data) == [Row("customers", data)]
    assert said(one, what="hint", kind="orders", data=data) == [
        RecordRef("orders", "9007199254740993")
    ]
    assert said(one, what="gone", kind="client", data={"id": 5}) == [Deleted("customers", "5")]
    assert said(one, what="ping", kind="client", data={}) == []
    with pytest.raises(RejectedError, match="not listed"):
        said(one, what="other", kind="client", data=data)
    with pytest.raises(ConfigError, match="names no stream"):
        said(one, what="new", kind="nobody", data=data)
    with pytest.raises(RejectedError, match="of which record"):
        said(one, what="gone", kind="client", data={"id": None})


def test_events_of_a_batch_are_named_ordered_and_kept_apart(tmp_path: Path) -> None:
    more = 'token = "path"\nevents = "list"\nevent_id = "nr"\n'
    one = receiver(tmp_path, more)
    events = [{"nr": n, "what": "new", "kind": "client", "data": {"id": n}} for n in (1, 2)]
    opened = one.open(replace(TOKENS["path"], body=json.dumps({"list": events}).encode()))
    assert isinstance(opened, Envelope)
    told = [(item.event_id, item.order_key, item.type) for item in opened.items]
    assert told == [("1", "customers/1", "new"), ("2", "customers/2", "new")]


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'"x"', b'{"data": 5}', b"\xff"])
def test_a_body_that_cannot_be_read_is_kept_for_quarantine(tmp_path: Path, body: bytes) -> None:
    one = receiver(tmp_path, 'token = "path"')
    opened = one.open(replace(TOKENS["path"], body=body))
    assert isinstance(opened, Envelope)
    assert [item.body for item in opened.items] == [body]


def test_a_question_is_answered_to_whom_is_proven_alone(tmp_path: Path) -> None:
    more = 'token = "header:x-token"\nhandshake = {word = "json:c.w", body = {said = "{word}"}}\n'
    one = receiver(tmp_path, more)
    asked = replace(TOKENS["header:x-token"], body=b'{"c": {"w": "\xe4\xbd\xa0"}}')
    answer = one.open(asked)
    assert isinstance(answer, Reply)
    assert json.loads(answer.body) == {"said": "你"}
    with pytest.raises(SignatureError):
        one.open(replace(asked, headers={}))
    assert isinstance(one.open(TOKENS["header:x-token"]), Envelope)


def test_an_answer_a_sender_insists_on(tmp_path: Path) -> None:
    one = receiver(tmp_path, 'token = "path"\nanswer = {status = 201, body = {code = 0}}\n')
    opened = one.open(TOKENS["path"])
    assert isinstance(opened, Envelope)
    assert opened.reply is not None
    assert (opened.reply.status, opened.reply.body) == (201, b'{"code": 0}')


# Signatures made by others


def test_jiandaoyuns_own_server_signs_as_the_file_says() -> None:
    (vector,) = json.loads((VECTORS / "jiandaoyun.json").read_text("utf-8"))["webhook_signature"]
    config = RestConfig(
        system="jiandaoyun",  # type: ignore[arg-type]  # a name becomes a path
        secrets={"api_key": "x"},  # type: ignore[dict-item]
        webhook_secrets=(vector["secret"],),
    )
    request = HookRequest(
        "POST",
        {"x-jdy-signature": vector["expected_x_jdy_signature"]},
        {"nonce": vector["nonce"], "timestamp": vector["timestamp"]},
        vector["raw_body"].encode(),
        datetime.fromtimestamp(int(vector["timestamp"]), UTC),
    )
    opened = RestReceiver(config).open(request)
    assert isinstance(opened, Envelope)
    assert [item.type for item in opened.items] == ["data_create"]
    with pytest.raises(SignatureError):
        RestReceiver(config).open(replace(request, body=request.body + b" "))


def test_a_signature_of_mingdaos_organisation_as_a_template() -> None:
    import requests

    (vector,) = json.loads((VECTORS / "mingdao.json").read_text("utf-8"))["org_api_sign"]
    sign = Sign(
        parts=("AppKey={app_key}&SecretKey={secrets.key}&Timestamp={now:ms}",),
        digest="sha256",
        encoding="base64-hex",
        query={"sign": "{signature}"},
    )
    scope = Scope({"app_key": vector["app_key"], "secrets": {"key": vector["secret_key"]}})
    request = requests.Request("GET", "https://api.mingdao.com/x").prepare()
    at = datetime.fromtimestamp(int(vector["timestamp_ms"]) / 1000, UTC)
    Signer(sign, scope)(request, at)
    assert requests.utils.unquote(str(request.url)).endswith(f"sign={vector['expected_sign']}")
