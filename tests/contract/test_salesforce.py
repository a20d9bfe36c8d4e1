"""Salesforce beyond fixtures: assertions, sessions that end, calls that run out, slow jobs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
import responses
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from adapters.salesforce import signing, soql
from adapters.salesforce.adapter import SalesforceAdapter
from adapters.salesforce.config import SalesforceConfig
from adapters.salesforce.webhook import SalesforceReceiver
from hub.errors import (
    AuthError,
    ConfigError,
    CursorExpiredError,
    PacedError,
    RejectedError,
    RetryableError,
)
from hub.sdk import RecordRef, Stream
from hub.sdk.auth import MemoryTokens, Tokens
from hub.sdk.testing import NOW, clock

LOGIN, ORG = "https://login.salesforce.com", "https://example.my.salesforce.com"
TOKEN_URL, API = f"{LOGIN}/services/oauth2/token", f"{ORG}/services/data/v67.0"
CONTACTS = Stream("contacts", writable=True)
DESCRIBED = {"fields": [{"name": name} for name in ("Id", "IsDeleted", "SystemModstamp")]}


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as found:
        yield found


def adapter(**given: Any) -> SalesforceAdapter:
    config = {"organization_ids": ["00D000000000001EAA"], "client_id": "KEY", **given}
    return SalesforceAdapter(SalesforceConfig.model_validate(config))


def logged_in(mock: responses.RequestsMock, access: str = "first") -> None:
    mock.post(TOKEN_URL, json={"access_token": access, "instance_url": ORG})


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def read(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_an_assertion_is_what_the_certificate_of_the_app_verifies() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    told = signing.assertion("KEY", "hub@example.com", LOGIN, pem(key), at)
    head, claims, signature = told.split(".")
    key.public_key().verify(
        read(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    assert json.loads(read(head)) == {"alg": "RS256", "typ": "JWT"}
    until = int((at + timedelta(minutes=3)).timestamp())
    assert json.loads(read(claims)) == {
        "iss": "KEY",
        "sub": "hub@example.com",
        "aud": LOGIN,
        "exp": until,
    }


@pytest.mark.parametrize("key", ["", "no PEM", pem(ec.generate_private_key(ec.SECP256R1()))])
def test_a_key_that_is_none_is_for_a_person_to_mend(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        adapter(username="hub@example.com", private_key=key).check()
    assert "PEM" in caught.value.hint


def test_the_assertion_is_exchanged_for_a_session(mock: responses.RequestsMock) -> None:
    key = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    logged_in(mock)
    objects = [{"name": name, "queryable": True} for name in soql.OBJECTS.values()]
    mock.get(f"{API}/sobjects", json={"sobjects": objects})
    adapter(username="hub@example.com", private_key=key).check()
    form = parse_qs(str(mock.calls[0].request.body))
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert "client_secret" not in form
    assert mock.calls[1].request.headers["Authorization"] == "Bearer first"


def test_a_user_who_was_not_let_in_is_told_apart(mock: responses.RequestsMock) -> None:
    key = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    refusal = {"error": "invalid_grant", "error_description": "user hasn't approved this consumer"}
    mock.post(TOKEN_URL, status=400, json=refusal)
    with pytest.raises(AuthError, match="invalid_grant") as caught:
        adapter(username="hub@example.com", private_key=key).check()
    assert "for whom it may act" in caught.value.hint


def test_a_session_that_ended_is_renewed_once(mock: responses.RequestsMock) -> None:
    old = Tokens("old", since=datetime(2026, 1, 1, tzinfo=UTC), told={"instance_url": ORG})
    ended = [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}]
    mock.get(f"{API}/sobjects", status=401, json=ended)
    logged_in(mock, "new")
    objects = [{"name": name, "queryable": True} for name in soql.OBJECTS.values()]
    mock.get(f"{API}/sobjects", json={"sobjects": objects})
    found = adapter(client_secret="SECRET")
    found.tokens = MemoryTokens(old)
    found.check()
    sent = [call.request.headers["Authorization"] for call in mock.calls]
    assert (sent[0], sent[2]) == ("Bearer old", "Bearer new")


def test_a_pull_leaves_calls_for_others(mock: responses.RequestsMock) -> None:
    logged_in(mock)
    usage = {"Sforce-Limit-Info": "api-usage=12000/15000;per-app-api-usage=17/250(appName=hub)"}
    mock.get(f"{API}/sobjects/Contact/describe", json=DESCRIBED, headers=usage)
    row = {"Id": "003000000000001AAA", "SystemModstamp": "2026-11-21T10:00:00.000+0000"}
    mock.get(f"{API}/queryAll", json={"done": True, "records": [row]}, headers=usage)
    mock.get(f"{API}/query", json={"done": True, "records": [row]}, headers=usage)
    found, pages = adapter(page_size=1), []
    with pytest.raises(PacedError):
        pages.extend(found.pull(CONTACTS, None))
    assert len(pages) == 1  # the answer that told it is not thrown away
    assert found.fetch(RecordRef("contacts", "003000000000001AAA")) is not None  # people may


def test_a_pull_that_rested_asks_again(mock: responses.RequestsMock) -> None:
    """One adapter lives as long as its process: what it heard once must not hold for ever."""
    logged_in(mock)
    spent = {"Sforce-Limit-Info": "api-usage=12000/15000"}
    spare = {"Sforce-Limit-Info": "api-usage=3000/15000"}
    none = {"done": True, "records": []}
    mock.get(f"{API}/sobjects/Contact/describe", json=DESCRIBED, headers=spent)
    mock.get(f"{API}/queryAll", json=none, headers=spent)
    mock.get(f"{API}/queryAll", json=none, headers=spare)
    found = adapter()
    with clock(NOW.isoformat()):
        assert list(found.pull(CONTACTS, None)) == []
        with pytest.raises(PacedError):
            list(found.pull(CONTACTS, None))
    with clock((NOW + timedelta(seconds=900)).isoformat()):
        assert list(found.pull(CONTACTS, None)) == []
        assert list(found.pull(CONTACTS, None)) == []


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (401, "INVALID_AUTH_HEADER", AuthError),
        (429, "SOMETHING_NEW", RetryableError),
        (403, "INSUFFICIENT_ACCESS", RejectedError),
    ],
)
def test_what_a_code_does_not_say_the_status_does(
    mock: responses.RequestsMock, status: int, code: str, error: type[Exception]
) -> None:
    logged_in(mock)
    told = [{"errorCode": code, "message": "no"}]
    mock.get(f"{API}/sobjects", status=status, json=told, headers={"Retry-After": "60"})
    with pytest.raises(error):
        adapter().check()


def test_calls_that_ran_out_are_no_fault_of_our_credentials(mock: responses.RequestsMock) -> None:
    logged_in(mock)
    refusal = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    mock.get(f"{API}/sobjects", status=403, json=refusal)
    with pytest.raises(RetryableError) as caught:
        adapter().check()
    assert caught.value.retry_after_s == 900


def job(state: str, **more: Any) -> dict[str, Any]:
    at = "2026-11-21T12:00:00.000+0000"
    return {"id": "750A", "createdDate": at, "state": state, **more}


def test_nobody_waits_for_a_bulk_job(mock: responses.RequestsMock) -> None:
    logged_in(mock)
    mock.get(f"{API}/sobjects/Contact/describe", json=DESCRIBED)
    mock.post(f"{API}/jobs/query", json=job("UploadComplete"))
    mock.get(f"{API}/jobs/query/750A", json=job("InProgress"))
    found = adapter(bulk=True)
    pages = found.pull(CONTACTS, None)
    first = next(pages)
    assert not first.records
    with pytest.raises(PacedError):
        next(pages)
    with pytest.raises(PacedError):  # and from where it is, without another job
        next(found.pull(CONTACTS, first.cursor))
    assert sum(call.request.method == "POST" for call in mock.calls) == 2  # a token and a job


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, job("Failed", errorMessage="INVALID_FIELD")),
        (404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]),
    ],
)
def test_a_bulk_job_that_is_lost_is_begun_anew(
    mock: responses.RequestsMock, status: int, body: Any
) -> None:
    logged_in(mock)
    mock.get(f"{API}/jobs/query/750A", status=status, json=body)
    place = {"job": "750A", "began": "2026-11-21T12:00:00.000+0000", "locator": ""}
    with pytest.raises(CursorExpiredError):
        next(adapter(bulk=True).pull(CONTACTS, json.dumps(place)))


def test_what_only_receives_asks_nobody(mock: responses.RequestsMock) -> None:
    config = SalesforceConfig(organization_ids=("00D000000000001EAA",))
    assert not SalesforceAdapter(config).reads(CONTACTS)
    SalesforceAdapter(config).check()
    event = {"id": "04l", "type": "Contact", "record": {"Id": "003000000000001AAA"}}
    assert list(SalesforceReceiver(config).parse(json.dumps(event).encode())) == []
    with pytest.raises(ConfigError):
        SalesforceAdapter(config).fetch(RecordRef("contacts", "003000000000001AAA"))


@pytest.mark.parametrize(
    ("written", "escaped"),
    [
        ("O'Neil", r"'O\'Neil'"),
        ("a\\' OR Name != '", r"'a\\\' OR Name != \''"),
        ("a\nb", r"'a\nb'"),
    ],
)
def test_values_cannot_leave_their_quotes(written: str, escaped: str) -> None:
    assert soql.quoted(written) == escaped
