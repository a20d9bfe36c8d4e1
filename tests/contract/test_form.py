"""The hosted form: pages, files, apps, and what strangers try."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from pydantic import ValidationError

from adapters.form.webhook import FormConfig, FormReceiver
from hub.errors import SignatureError
from hub.sdk import Envelope, HookRequest, Reply, Row
from hub.sdk.testing import NOW

ORIGIN = "https://www.example.com"
ANSWERS = {"name": "李娜🎉", "phone": "139 1234 5678", "subject": "主轴异响", "consent": "yes"}
LATER = NOW + timedelta(seconds=30)


def receiver(**given: Any) -> FormReceiver:
    return FormReceiver(FormConfig.model_validate({"page_secret": "s" * 20, **given}))


def get(**headers: str) -> HookRequest:
    return HookRequest("GET", headers, {}, b"", NOW, remote="198.51.100.7")


def token(of: FormReceiver) -> str:
    shown = of.open(get())
    assert isinstance(shown, Reply)
    found = re.search(rb'name="page_token" value="([^"]+)"', shown.body)
    assert found
    return found[1].decode()


def post(of: FormReceiver, **values: str) -> HookRequest:
    body = urlencode({"page_token": token(of), **ANSWERS, **values}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return HookRequest("POST", headers, {}, body, LATER, remote="198.51.100.7")


def row(of: FormReceiver, opened: Any) -> dict[str, Any]:
    assert isinstance(opened, Envelope)
    [item] = opened.items
    [said] = of.parse(item.body)
    assert isinstance(said, Row)
    return said.raw


def refused(opened: Any, status: int = 422) -> str:
    assert isinstance(opened, Reply)
    assert opened.status == status
    return opened.body.decode()


def test_what_was_typed_is_taken_once_however_often_it_is_sent() -> None:
    made = receiver()
    request = post(made)
    first, second = made.open(request), made.open(request)
    assert row(made, first)["name"] == "李娜🎉"
    assert isinstance(first, Envelope)
    assert isinstance(second, Envelope)
    assert first.items[0].event_id == second.items[0].event_id
    assert first.reply is not None
    number = row(made, first)["id"][:8].upper()
    assert (first.reply.status, first.reply.headers["Location"]) == (303, f"?lang=zh&done={number}")
    shown = made.open(replace(get(), query={"done": number}))
    assert isinstance(shown, Reply)
    assert number in shown.body.decode()
    odd = made.open(replace(get(), query={"done": "<script>"}))
    assert isinstance(odd, Reply)
    assert b"<script>" not in odd.body


def test_a_file_that_arrives_empty_is_none() -> None:
    made = receiver()
    assert row(made, made.open(multipart(made, "a.png", b"")))["files"] == []


def multipart(of: FormReceiver, name: str, content: bytes) -> HookRequest:
    parts = {"page_token": token(of), **ANSWERS}
    edge = b"--edge\r\n"
    body = b"".join(
        edge + f'Content-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode()
        for k, v in parts.items()
    )
    head = f'Content-Disposition: form-data; name="photos"; filename="{name}"\r\n'
    body += (
        edge + head.encode() + b"Content-Type: text/html\r\n\r\n" + content + b"\r\n--edge--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=edge"}
    return HookRequest("POST", headers, {}, body, LATER)


def test_a_file_comes_with_what_its_ending_says_it_is() -> None:
    made = receiver()
    [file] = row(made, made.open(multipart(made, "C:\\\\tmp\\\\图 1.PNG", b"\x89PNG\x00\xff")))[
        "files"
    ]
    assert (file["name"], file["content_type"], file["size_bytes"]) == ("图 1.PNG", "image/png", 6)
    assert base64.b64decode(file["content"]) == b"\x89PNG\x00\xff"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("a.html", b"<script>", "不接受"), ("a.png", b"x" * (5 * 1024 * 1024 + 1), "过大")],
)
def test_a_file_that_is_not_wanted_is_refused(name: str, content: bytes, words: str) -> None:
    made = receiver()
    assert words in refused(made.open(multipart(made, name, content)))


def test_what_is_wrong_is_said_and_what_was_typed_is_kept() -> None:
    made = receiver()
    shown = refused(made.open(post(made, phone="call me", description="<b>&", priority="now")))
    assert "请填写有效的电话号码" in shown
    assert "请选择其中一项" in shown
    assert "&lt;b&gt;&amp;" in shown
    assert 'value="李娜🎉"' in shown
    assert 'aria-describedby="phone-fault"' in shown


@pytest.mark.parametrize("name", ["name", "phone", "subject", "consent"])
def test_what_must_be_answered_is_asked_for(name: str) -> None:
    made = receiver()
    assert f'id="{name}-fault"' in refused(made.open(post(made, **{name: " "})))


def test_robots_and_old_pages_are_told_so() -> None:
    made = receiver()
    request = post(made)
    assert "隐藏项" in refused(made.open(post(made, homepage="https://spam.example")))
    assert "过快" in refused(made.open(replace(request, received_at=NOW)))
    old = refused(made.open(replace(request, received_at=NOW + timedelta(days=2))))
    assert "已过期" in old
    renewed = re.search(r'name="page_token" value="([^"]+)"', old)
    assert renewed
    again = post(made, page_token=renewed[1])
    taken = made.open(replace(again, received_at=NOW + timedelta(days=2, minutes=1)))
    assert isinstance(taken, Envelope)


@pytest.mark.parametrize("given", ["", "x", "1.2.3", "9" * 30 + ".a.b", "é.é.é"])
def test_a_token_of_nobody_is_refused(given: str) -> None:
    made = receiver()
    with pytest.raises(SignatureError):
        made.open(post(made, page_token=given))


def test_one_address_may_not_send_without_end() -> None:
    made = receiver(per_address_per_hour=2)
    for _ in range(2):
        assert isinstance(made.open(post(made)), Envelope)
    third = made.open(post(made))
    assert "频繁" in refused(third, 429)
    assert isinstance(third, Reply)
    assert int(third.headers["Retry-After"]) > 3000
    assert isinstance(made.open(replace(post(made), remote="203.0.113.9")), Envelope)
    later = replace(post(made), received_at=LATER + timedelta(hours=1, seconds=1))
    assert isinstance(made.open(later), Envelope)


def app(of: FormReceiver, told: Any, **headers: str) -> Any:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    given = {"content-type": "application/json", "authorization": "Bearer word", **headers}
    return of.open(HookRequest("POST", given, {}, body, NOW))


def test_an_app_sends_the_same_as_json() -> None:
    made = receiver(app_tokens=["word"])
    photo = {"name": "a.png", "content": base64.b64encode(b"png").decode()}
    values = {**ANSWERS, "consent": True, "email": None}
    sent = {"values": values, "files": {"photos": [photo]}}
    opened = app(made, sent, **{"idempotency-key": "k1"})
    found = row(made, opened)
    assert (found["id"], found["consent"], found["files"][0]["size_bytes"]) == ("k1", "yes", 3)
    assert "email" not in found
    told = refused(app(made, {"values": {"name": "x"}}))
    assert set(json.loads(told)["faults"]) == {"phone", "subject", "consent"}
    for broken in (b"{", b"[]", b'{"values": 7}', {"values": {"nobody": "asked"}}):
        refused(app(made, broken))
    with pytest.raises(SignatureError):
        app(made, sent, authorization="Bearer other")
    with pytest.raises(SignatureError):
        app(receiver(), sent)


def test_a_browser_elsewhere_sends_json_with_a_pages_token() -> None:
    made = receiver(embed_origins=[ORIGIN])
    asked = made.open(get(accept="application/json", origin=ORIGIN))
    assert isinstance(asked, Reply)
    assert asked.headers["Access-Control-Allow-Origin"] == ORIGIN
    told = json.loads(asked.body)
    assert told["form"]["questions"][0]["name"] == "name"
    body = json.dumps({"values": ANSWERS, "page_token": told["page_token"]}).encode()
    headers = {"content-type": "application/json", "origin": ORIGIN}
    assert isinstance(made.open(HookRequest("POST", headers, {}, body, LATER)), Envelope)
    leave = made.open(HookRequest("OPTIONS", {"origin": ORIGIN}, {}, b"", NOW))
    stranger = made.open(HookRequest("OPTIONS", {"origin": "https://evil.example"}, {}, b"", NOW))
    assert isinstance(leave, Reply)
    assert isinstance(stranger, Reply)
    assert leave.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert stranger.headers == {}


def test_only_named_pages_may_embed_it() -> None:
    alone, embedded = receiver().open(get()), receiver(embed_origins=[ORIGIN]).open(get())
    assert isinstance(alone, Reply)
    assert isinstance(embedded, Reply)
    assert "frame-ancestors 'none'" in alone.headers["Content-Security-Policy"]
    assert f"frame-ancestors {ORIGIN}" in embedded.headers["Content-Security-Policy"]
    assert "script-src" not in alone.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("accepts", "words"),
    [
        ("en-GB,en;q=0.9", "Report a fault"),
        ("zh-CN,zh", "设备报修"),
        ("fr", "设备报修"),
        ("", "设备报修"),
    ],
)
def test_it_speaks_the_readers_language(accepts: str, words: str) -> None:
    shown = receiver().open(get(**{"accept-language": accepts}))
    assert isinstance(shown, Reply)
    assert words in shown.body.decode()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "there is no form"),
        ("title =", "is no TOML"),
        ('title = "x"\nquestions = []', "questions"),
        ('title = "x"\n[[questions]]\nname = "a"\nlabel = "A"\nkind = "select"', "options"),
        ('title = "x"\n[[questions]]\nname = "a"\nlabel = "A"\ncolour = "red"', "colour"),
    ],
)
def test_a_form_that_is_wrong_says_where(tmp_path: Path, text: str | None, fault: str) -> None:
    path = tmp_path / "own.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValidationError, match=fault):
        receiver(form_file=path)


def test_a_pages_token_is_no_apps_word() -> None:
    """Else strangers would pass by the trap, the pause and the count of their address."""
    made = receiver()
    body = json.dumps({"values": {**ANSWERS, "consent": True}}).encode()
    request = HookRequest("POST", {"authorization": f"Bearer {token(made)}"}, {}, body, LATER)
    with pytest.raises(SignatureError):
        made.open(request)
    assert isinstance(made.open(made.sample(NOW)), Envelope)


@pytest.mark.parametrize(
    "body",
    [
        b'{"values": {"name": "\\ud83d", "phone": "12345", "subject": "x", "consent": true}}',
        b'{"values": {}, "files": [1]}',
        b'{"values": {}, "files": {"photos": 1}}',
        b'{"values": {"name": ' + b"[" * 90_000 + b"]" * 90_000 + b"}}",
        b'{"values": {"name": NaN}}',
    ],
)
def test_json_that_is_none_is_refused(body: bytes) -> None:
    made = receiver(app_tokens=["word"])
    headers = {"content-type": "application/json"}
    with pytest.raises(SignatureError):
        made.open(HookRequest("POST", headers, {}, body, LATER))
    answer = made.open(HookRequest("POST", {"authorization": "Bearer word"}, {}, body, LATER))
    refused(answer)


def test_too_many_parts_are_refused() -> None:
    made = receiver()
    part = b'--e\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
    headers = {"content-type": "multipart/form-data; boundary=e"}
    with pytest.raises(SignatureError):
        made.open(HookRequest("POST", headers, {}, part * 201 + b"--e--\r\n", LATER))


@pytest.mark.parametrize("name", ["id", "files", "submitted_at", "homepage", "page_token"])
def test_a_question_cannot_be_called_as_the_hub_calls_its_own(name: str, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(f'title = "x"\n[[questions]]\nname = "{name}"\nlabel = "x"\n', "utf-8")
    with pytest.raises(ValidationError, match=name):
        receiver(form_file=str(file))


@pytest.mark.parametrize("secret", ["", "short"])
def test_pages_are_not_signed_with_what_anybody_can_guess(secret: str) -> None:
    with pytest.raises(ValidationError, match="page_secret"):
        receiver(page_secret=secret)


def test_what_is_put_right_and_sent_again_from_the_same_page_is_not_lost() -> None:
    made = receiver()
    first = post(made)
    told = first.body.replace(b"139+1234+5678", b"139+1234+5679")
    assert told != first.body
    before, after = made.open(first), made.open(replace(first, body=told))
    assert row(made, before)["id"] == row(made, after)["id"]
    assert isinstance(before, Envelope)
    assert isinstance(after, Envelope)
    assert before.items[0].event_id != after.items[0].event_id


def test_a_files_name_hides_nothing() -> None:
    made = receiver()
    [file] = row(made, made.open(multipart(made, "a\u202egnp.\x07b.png", b"x")))["files"]
    assert file["name"] == "agnp.b.png"
