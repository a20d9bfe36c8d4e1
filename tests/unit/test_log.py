"""Logs carry ids and counts, never secrets or personal data."""

import logging

import pytest

from hub.log import Formatter, bind, redact


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ('{"password": "hunter22"}', "hunter22"),
        ("token=s3cret&x=1", "s3cret"),
        ("{'refresh_token': 's3cret', 'x': 1}", "s3cret"),
        ('{"access_token":"s3cret"}', "s3cret"),
        ("client_secret=s3cret", "s3cret"),
        ("code_verifier=s3cret", "s3cret"),
        ("GET /oauth/callback?code=s3cret&state=x", "s3cret"),
        ("GET /oauth/callback?code=x&state=s3cret", "s3cret"),
        ("Authorization: Own-Scheme s3cret", "s3cret"),
        ("mail from li@na.cn", "li@na"),
        ("call 139 1234 5678 now", "1234"),
        ("call +86 139-1234-5678 now", "1234"),
        ("nobody has phone:13912345678", "12345"),
        ("nobody has phone:+8613912345678", "12345"),
        ("crm/users/110105194912310021 is held", "19491231"),
        ("crm/users/11010519491231002X is held", "19491231"),
        ("(021) 5550-0100 is busy", "0100"),
    ],
)
def test_redacted(text: str, hidden: str) -> None:
    assert hidden not in redact(text)


def test_a_long_line_takes_no_longer_than_it_is() -> None:
    text = "x" * 1_000_000  # with a pattern without an end: for hours
    assert redact(f"{text} a@b.cn") == f"{text} ***@***"


def test_what_is_no_secret_stays() -> None:
    said = "GET /records answered 401, code=42001, state: auth_failed, in 12 ms"
    assert redact(said) == said


def test_bound_facts_stand_beside_every_line() -> None:
    record = logging.LogRecord("hub", logging.INFO, "", 1, "delivery sent", (), None)
    record.took_ms = 181
    with bind(delivery=7):
        line = Formatter(json=False).format(record)
    assert "delivery sent" in line
    assert "delivery=7" in line
    assert "took_ms=181" in line
    assert '"took_ms":181' in Formatter(json=True).format(record)
