"""Answers of status 200 that say no."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hub import errors
from hub.sdk import Answers, at

WECOM_LIKE = Answers(
    code="errcode",
    auth=(40014, 42001),
    busy=(45009,),
    conflict=(60102,),
    gone=(60111,),
    words="errmsg",
    hints={"60020": "Add the hub's address to the trusted IPs of the app."},
)


@pytest.mark.parametrize("body", [{"errcode": 0}, {"errcode": "0"}, {"errcode": 0.0}, {}, [], None])
def test_success_in_any_writing(body: Any) -> None:
    WECOM_LIKE(body)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (42001, errors.AuthError),
        ("40014", errors.AuthError),
        (45009, errors.RetryableError),
        (60102, errors.ConflictError),
        (60111, errors.GoneError),
        (60020, errors.RejectedError),
        (99999, errors.RejectedError),
        (True, errors.RejectedError),
    ],
)
def test_a_code_is_named_by_what_happens_next(code: Any, error: type[errors.HubError]) -> None:
    with pytest.raises(error) as caught:
        WECOM_LIKE({"errcode": code, "errmsg": "not allow to access"})
    assert type(caught.value) is error
    assert caught.value.hint
    assert caught.value.code == str(code).lower()


def test_what_to_do_comes_before_the_vendors_words() -> None:
    with pytest.raises(errors.RejectedError) as caught:
        WECOM_LIKE({"errcode": 60020, "errmsg": "not allow"})
    assert caught.value.hint.startswith("Add the hub's address")


def test_being_busy_did_nothing() -> None:
    with pytest.raises(errors.RetryableError) as caught:
        WECOM_LIKE({"errcode": 45009})
    assert not caught.value.maybe_done


def test_truth_may_be_the_code() -> None:
    answers = Answers(code="result.success", fine=(True,))
    answers({"result": {"success": True}})
    with pytest.raises(errors.RejectedError):
        answers({"result": {"success": False}})


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError):
        Answers(code="a[")


def test_at_leads_nowhere_quietly() -> None:
    assert at("a.b[0]", {"a": {"b": [7]}}) == 7
    assert at("length(@)", 7) is None


def test_a_refusal_carries_the_vendors_code() -> None:
    with pytest.raises(errors.RejectedError) as caught:
        WECOM_LIKE({"errcode": 60121.0})
    assert caught.value.code == "60121"
