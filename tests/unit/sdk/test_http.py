"""Http: statuses and failures become errors that say what happens next; nothing leaks."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
import responses
from urllib3.exceptions import MaxRetryError, NewConnectionError

from hub.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    RejectedError,
    RemoteError,
    RetryableError,
    UnknownOutcomeError,
)
from hub.sdk import Answers, Http, Outgoing
from hub.sdk import http as module

BASE = "https://api.example.org/v1"
URL = f"{BASE}/things"


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as found:
        yield found


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


@pytest.fixture
def http() -> Iterator[Http]:
    client = Http("https://api.example.org/v1/", auth=("user", "geheim-密码"))
    yield client
    client.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RejectedError),
        (401, AuthError),
        (403, AuthError),
        (404, RejectedError),
        (409, ConflictError),
        (412, ConflictError),
        (422, RejectedError),
        (408, RetryableError),
        (425, RetryableError),
        (429, RetryableError),
        (500, RetryableError),
        (503, RetryableError),
    ],
)
def test_a_status_is_an_error(
    http: Http, mock: responses.RequestsMock, waits: list[float], status: int, error: type
) -> None:
    mock.get(URL, status=status)
    with pytest.raises(error) as caught:
        http.get("/things")
    assert type(caught.value) is error
    assert len(mock.calls) == (3 if error is RetryableError else 1)


@pytest.mark.parametrize("status", [204, 401, 404, 409, 410, 429, 500, 504])
def test_any_status_is_an_answer_to_who_asks_for_it(
    http: Http, mock: responses.RequestsMock, waits: list[float], status: int
) -> None:
    mock.post(URL, status=status, headers={"Retry-After": "7"})
    answer = http.request("POST", "/things", json={}, any_status=True)
    assert (answer.status_code, module.retry_after_s(answer), waits) == (status, 7.0, [])


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_is_nothing(
    http: Http, mock: responses.RequestsMock, status: int
) -> None:
    mock.get(URL, status=status, json={"error": "not found"})
    assert http.find("/things") is None
    mock.replace("GET", URL, json={"id": 1})
    assert http.find("/things") == {"id": 1}


def test_what_is_not_there_may_be_told_with_status_200(mock: responses.RequestsMock) -> None:
    answers = Answers(code="error || 'ok'", fine=("ok",), gone=("user_not_found",))
    client = Http("https://api.example.org/v1", raise_for_body=answers)
    mock.get(URL, json={"ok": False, "error": "user_not_found"})
    assert client.find("/things") is None
    with pytest.raises(RejectedError):
        client.get("/things")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": 404, "body": "<p>no such host</p>"}, RejectedError),  # of a proxy
        ({"status": 400, "json": {}}, RejectedError),
        ({"status": 401, "json": {}}, AuthError),
        ({"status": 503, "json": {}}, RetryableError),
    ],
)
def test_no_other_refusal_says_that_something_is_gone(
    http: Http,
    mock: responses.RequestsMock,
    waits: list[float],
    answer: dict[str, Any],
    error: type[Exception],
) -> None:
    mock.get(URL, **answer)
    with pytest.raises(error):
        http.find("/things")


def test_what_a_vendor_calls_a_conflict(mock: responses.RequestsMock) -> None:
    mock.put(URL, status=409)
    client = Http("https://api.example.org/v1", conflicts=(423,))
    with pytest.raises(RejectedError) as caught:
        client.request("PUT", "/things")
    assert type(caught.value) is RejectedError


def test_a_vendor_may_say_more_than_its_status(mock: responses.RequestsMock) -> None:
    def refuse(status: int, body: Any) -> None:
        if body["code"] == "slow down":
            raise RetryableError(f"{status}", retry_after_s=60)

    client = Http("https://api.example.org/v1", raise_for_refusal=refuse)
    mock.get(URL, status=403, json={"code": "slow down"})
    with pytest.raises(RetryableError):
        client.get("/things")
    mock.replace("GET", URL, status=403, json={"code": "no"})
    with pytest.raises(AuthError):
        client.get("/things")
    mock.replace("GET", URL, status=403, body="<p>no</p>")
    with pytest.raises(AuthError):
        client.get("/things")


def test_the_headers_of_every_answer_are_heard(mock: responses.RequestsMock) -> None:
    heard: list[str] = []
    client = Http("https://api.example.org/v1", heard=lambda h: heard.append(h["X-Left"]))
    mock.get(URL, json={}, headers={"X-Left": "1"})
    client.get("/things")
    mock.replace("GET", URL, status=403, headers={"X-Left": "0"})
    with pytest.raises(AuthError):
        client.get("/things")
    assert heard == ["1", "0"]


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_a_token_in_the_path_is_not_shown(
    mock: responses.RequestsMock, waits: list[float], status: int
) -> None:
    mock.get("https://api.example.org/bot123:geheim/me", status=status, body="no JSON")
    client = Http("https://api.example.org/bot123:geheim", hidden=["123:geheim", ""])
    with pytest.raises((RemoteError, RejectedError)) as caught:
        client.get("/me")
    told = f"{caught.value} {caught.value.hint}"
    assert "geheim" not in told
    assert "/bot***/me" in told


def test_short_trouble_is_sat_out(
    http: Http, mock: responses.RequestsMock, waits: list[float]
) -> None:
    mock.get(URL, status=503)
    mock.get(URL, status=429, headers={"Retry-After": "7"})
    mock.get(URL, json={"ok": True})
    assert http.get("/things") == {"ok": True}
    assert waits[0] < 1
    assert waits[1] == 7


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("9" * 400, module.REST_MAX_S),
        ("soon", None),
        ("²", None),
        ("", None),
        ("-5", None),
    ],
)
def test_retry_after(
    http: Http, mock: responses.RequestsMock, waits: list[float], value: str, seconds: float | None
) -> None:
    mock.get(URL, status=503, headers={"Retry-After": value})
    with pytest.raises(RetryableError) as caught:
        http.get("/things")
    assert caught.value.retry_after_s == seconds
    assert all(wait <= module.RETRY_AFTER_MAX_S for wait in waits)
    assert len(mock.calls) == (1 if seconds else 3), "a long rest is not cut short"


def test_a_post_is_sent_once(http: Http, mock: responses.RequestsMock, waits: list[float]) -> None:
    mock.post(URL, status=503)
    with pytest.raises(RetryableError):
        http.json("POST", "/things", json={})
    assert len(mock.calls) == 1


def test_a_post_with_a_key_or_that_only_reads_is_repeated(
    http: Http, mock: responses.RequestsMock, waits: list[float]
) -> None:
    mock.post(URL, status=503)
    mock.post(URL, json=1)
    assert http.json("POST", "/things", json={}, idempotency_key="k") == 1
    assert [call.request.headers["Idempotency-Key"] for call in mock.calls] == ["k", "k"]
    mock.post(URL, status=503)
    mock.post(URL, json=2)
    assert http.json("POST", "/things", json={}, repeatable=True) == 2


NEVER_SENT = [
    requests.ConnectTimeout("x"),
    requests.exceptions.SSLError("x"),
    requests.ConnectionError(
        MaxRetryError(None, "/x", NewConnectionError(None, "refused"))  # type: ignore[arg-type]
    ),
]
LOST = [
    requests.ReadTimeout("x"),
    requests.ConnectionError("Connection aborted"),
    requests.ConnectionError("Read timed out"),
    requests.exceptions.ChunkedEncodingError("x"),
]


@pytest.mark.parametrize("failure", NEVER_SENT, ids=lambda f: type(f).__name__)
def test_a_write_that_never_left_may_be_tried_again(
    http: Http, mock: responses.RequestsMock, waits: list[float], failure: Exception
) -> None:
    mock.post(URL, body=failure)
    with pytest.raises(RetryableError):
        http.json("POST", "/things", json={})


@pytest.mark.parametrize("failure", LOST, ids=str)
def test_a_write_without_an_answer_is_unknown(
    http: Http, mock: responses.RequestsMock, waits: list[float], failure: Exception
) -> None:
    mock.post(URL, body=failure)
    with pytest.raises(UnknownOutcomeError):
        http.json("POST", "/things", json={})
    assert len(mock.calls) == 1


@pytest.mark.parametrize("failure", [*NEVER_SENT, *LOST], ids=repr)
def test_a_read_without_an_answer_may_be_tried_again(
    http: Http, mock: responses.RequestsMock, waits: list[float], failure: Exception
) -> None:
    mock.get(URL, body=failure)
    with pytest.raises(RetryableError):
        http.get("/things")
    assert len(mock.calls) == 3


def test_an_error_shows_no_secret(
    http: Http, mock: responses.RequestsMock, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    secret = "tok-12345"
    mock.get(URL, body=requests.ConnectionError(f"Max retries exceeded with url: /?t={secret}"))
    with caplog.at_level(logging.DEBUG), pytest.raises(RetryableError) as caught:
        http.get("/things", params={"t": secret})
    told = "".join(traceback.format_exception(caught.value)) + caught.value.hint + caplog.text
    assert secret not in told
    assert "geheim" not in told


def test_a_password_may_be_chinese(http: Http, mock: responses.RequestsMock) -> None:
    mock.get(URL, json={})
    http.get("/things")
    assert mock.calls[0].request.headers["Authorization"].startswith("Basic ")


def test_what_is_not_json(http: Http, mock: responses.RequestsMock) -> None:
    mock.get(URL, body="<html>")
    with pytest.raises(RemoteError):
        http.get("/things")


def test_an_empty_answer_is_none(http: Http, mock: responses.RequestsMock) -> None:
    mock.delete(URL, status=204)
    assert http.json("DELETE", "/things") is None


def test_an_error_hidden_in_the_body(mock: responses.RequestsMock) -> None:
    def refuse(body: Any) -> None:
        raise AuthError(f"code {body['errcode']}")

    mock.get(URL, json={"errcode": 40001})
    with pytest.raises(AuthError):
        Http("https://api.example.org/v1", raise_for_body=refuse).get("/things")


def test_an_endless_answer_is_cut(
    http: Http, mock: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SIZE_MAX_BYTES", 10)
    mock.get(URL, body="x" * 100)
    with pytest.raises(RemoteError):
        http.request("GET", "/things")


def test_the_vendors_clock(http: Http, mock: responses.RequestsMock) -> None:
    assert abs(http.now() - datetime.now(UTC)) < timedelta(seconds=5)
    behind = datetime.now(UTC) - timedelta(hours=3)
    mock.get(URL, json={}, headers={"Date": format_datetime(behind, usegmt=True)})
    http.get("/things")
    assert abs(http.now() - behind) < timedelta(seconds=5)
    mock.get(URL, json={}, headers={"Date": "nonsense"})
    http.get("/things")
    assert abs(http.now() - behind) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "http://169.254.169.254",
     "http://0.0.0.0:9", "http://2130706433:9", "http://[::ffff:127.0.0.1]:9"],
)  # fmt: skip
def test_private_addresses_are_refused(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Http(address, timeout_s=1).get("/")
    assert "allow_networks" in caught.value.hint


def test_a_proxy_variable_does_not_lead_round_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ConfigError):
        Http("http://127.0.0.1:9", timeout_s=1).get("/")


def test_allowed_networks(waits: list[float]) -> None:
    client = Http("http://127.0.0.1:9", timeout_s=1)
    client.allow(["127.0.0.0/8"])
    with pytest.raises(RetryableError) as caught:
        client.get("/")
    assert "ConnectionRefusedError" in str(caught.value)
    client.allow([])
    with pytest.raises(ConfigError):
        client.get("/")


@pytest.mark.parametrize("status", [408, 500, 502, 504])
def test_a_write_that_may_have_happened_is_unknown(
    http: Http, mock: responses.RequestsMock, status: int
) -> None:
    mock.post("https://api.example.org/v1/items", status=status)
    with pytest.raises(UnknownOutcomeError):
        http.json("POST", "/items", json={})


def test_a_write_answered_with_a_web_page_is_unknown(
    http: Http, mock: responses.RequestsMock
) -> None:
    mock.post("https://api.example.org/v1/items", body="<html>")
    with pytest.raises(UnknownOutcomeError):
        http.json("POST", "/items", json={})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_write_is_never_turned_into_a_read(
    http: Http, mock: responses.RequestsMock, method: str
) -> None:
    moved = {"Location": "https://new.example.com/v1/items"}
    mock.add(method, "https://api.example.org/v1/items", status=302, headers=moved)
    with pytest.raises(ConfigError, match="leads elsewhere"):
        http.request(method, "/items")


def test_our_own_headers_do_not_follow_to_another_host(mock: responses.RequestsMock) -> None:
    client = Http("https://api.example.com", headers={"X-Api-Key": "canary"})
    moved = {"Location": "https://other.example.net/"}
    mock.get("https://api.example.com/", status=302, headers=moved)
    mock.get("https://other.example.net/", json={})
    client.get("/")
    assert "canary" in mock.calls[0].request.headers.values()
    assert "canary" not in mock.calls[1].request.headers.values()


# The pace


class Pace:
    """Allows so many requests, and writes down what it is told."""

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.told: list[tuple[int, float | None]] = []

    def before(self) -> None:
        if not self.allowed:
            raise RetryableError("not now", retry_after_s=3)
        self.allowed -= 1

    def after(self, status: int, retry_after_s: float | None) -> None:
        self.told.append((status, retry_after_s))


def test_every_try_keeps_the_pace(
    http: Http, mock: responses.RequestsMock, waits: list[float]
) -> None:
    http.pace = pace = Pace(allowed=9)
    mock.get(URL, status=429, headers={"Retry-After": "7"})
    mock.get(URL, status=503)
    mock.get(URL, json={})
    http.get("/things")
    assert pace.told == [(429, 7.0), (503, None), (200, None)]
    assert pace.allowed == 6


def test_what_the_pace_forbids_is_not_sent_and_not_waited_for(
    http: Http, mock: responses.RequestsMock, waits: list[float]
) -> None:
    http.pace = Pace(allowed=1)
    mock.get(URL, status=503)
    with pytest.raises(RetryableError, match="not now"):
        http.get("/things")
    with pytest.raises(RetryableError, match="not now"):
        http.json("POST", "/things", json={})
    assert len(mock.calls) == 1
    assert len(waits) == 1


def _by_the_hour(request: Outgoing, now: datetime) -> None:
    request.headers["X-Sign"] = f"{now:%H:%M}"


def test_each_try_is_signed_anew(mock: responses.RequestsMock, waits: list[float]) -> None:
    signed: list[str] = []

    def sign(request: Outgoing, now: datetime) -> None:
        signed.append(f"{request.method} {request.url}")

    mock.get(f"{BASE}/a", status=503)
    mock.get(f"{BASE}/a", json={})
    Http(BASE, sign=sign).get("/a")
    assert signed == [f"GET {BASE}/a"] * 2


def test_a_clock_that_is_wrong_costs_one_refusal(mock: responses.RequestsMock) -> None:
    theirs = datetime.now(UTC) + timedelta(hours=3)
    told = {"Date": format_datetime(theirs, usegmt=True)}
    mock.get(f"{BASE}/a", status=401, headers=told)
    mock.get(f"{BASE}/a", json={}, headers=told)
    http = Http(BASE, sign=_by_the_hour)
    http.get("/a")
    assert [c.request.headers["X-Sign"] for c in mock.calls][1] == f"{theirs:%H:%M}"
    mock.get(f"{BASE}/b", status=401, headers=told)
    with pytest.raises(AuthError):
        http.get("/b")
    assert len(mock.calls) == 3, "the clock is known, so it is the signature"


def test_a_signature_is_of_one_address(mock: responses.RequestsMock) -> None:
    mock.get(f"{BASE}/a", status=302, headers={"Location": f"{BASE}/b"})
    with pytest.raises(ConfigError):
        Http(BASE, sign=_by_the_hour).get("/a")
