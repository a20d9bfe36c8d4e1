"""Odoo beyond fixtures: modules that are missing, errors that tell too much, both doors alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import responses

from adapters.odoo.adapter import OdooAdapter
from adapters.odoo.config import OdooConfig
from hub.errors import ConfigError, RejectedError, RetryableError, UnknownOutcomeError
from hub.sdk import Change, RecordRef, Stream

URL = "https://odoo.example.org"
TICKETS, PARTNERS = Stream("tickets", writable=True), Stream("partners", writable=True)
DEBUG = 'Traceback: File "/opt/odoo/secret_module.py" values ("李娜", "+8613912345678")'


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as found:
        yield found


def adapter(**given: Any) -> OdooAdapter:
    config = {"url": URL, "database": "db", "login": "hub", "api_key": "key", **given}
    return OdooAdapter(OdooConfig.model_validate(config))


def rpc(mock: responses.RequestsMock, *answers: dict[str, Any]) -> None:
    for answer in ({"result": 2}, *answers):
        mock.post(f"{URL}/jsonrpc", json={"jsonrpc": "2.0", "id": 1, **answer})


def error(name: str, message: str) -> dict[str, Any]:
    data = {"name": name, "message": message, "debug": DEBUG}
    return {"error": {"code": 200, "message": "Odoo Server Error", "data": data}}


def shown(exc: BaseException) -> str:
    return f"{exc} {getattr(exc, 'hint', '')} {exc.__cause__} {getattr(exc.__cause__, 'hint', '')}"


def test_a_missing_module_is_named(mock: responses.RequestsMock) -> None:
    rpc(mock, error("odoo.exceptions.UserError", "Object helpdesk.ticket doesn't exist"))
    with pytest.raises(ConfigError) as caught:
        list(adapter().pull(TICKETS, None))
    assert "helpdesk.ticket" in str(caught.value)
    assert "Helpdesk (helpdesk, Enterprise)" in caught.value.hint
    assert "doesn't exist" in caught.value.hint


def test_and_by_json2(mock: responses.RequestsMock) -> None:
    said = {"name": "werkzeug.exceptions.NotFound", "message": "no such model", "debug": DEBUG}
    mock.post(f"{URL}/json/2/helpdesk.ticket/fields_get", status=404, json=said)
    with pytest.raises(ConfigError) as caught:
        list(adapter(door="json2").pull(TICKETS, None))
    assert "Helpdesk" in caught.value.hint
    assert "Traceback" not in shown(caught.value)
    (call,) = mock.calls
    assert call.request.headers["Authorization"] == "bearer key"
    assert call.request.headers["X-Odoo-Database"] == "db"


@pytest.mark.parametrize("door", ["jsonrpc", "json2"])
def test_what_a_traceback_shows_is_never_told(mock: responses.RequestsMock, door: str) -> None:
    if door == "jsonrpc":
        rpc(mock, error("builtins.ValueError", "Invalid field 'nope'"))
    else:
        said = {"name": "builtins.ValueError", "message": "Invalid field 'nope'", "debug": DEBUG}
        mock.post(f"{URL}/json/2/res.partner/search_read", status=422, json=said)
    change = Change("8", {"nope": "x"}, "k")
    with pytest.raises(RejectedError) as caught:
        adapter(door=door).push(PARTNERS, change)
    assert "Invalid field 'nope'" in caught.value.hint
    assert "Traceback" not in shown(caught.value)
    assert "李娜" not in shown(caught.value)


def test_a_transaction_that_collided_is_tried_again(mock: responses.RequestsMock) -> None:
    busy = error("psycopg2.errors.SerializationFailure", "could not serialize access")
    rpc(mock, {"result": {"id": {}}}, busy)
    with pytest.raises(RetryableError) as caught:
        adapter().fetch(RecordRef("partners", "8"))
    assert not caught.value.maybe_done


def test_a_lost_creation_is_found_before_it_is_made_again(mock: responses.RequestsMock) -> None:
    rpc(mock, {"result": []})
    mock.post(f"{URL}/jsonrpc", status=502)
    found = adapter()
    change = Change(None, {"name": "王小明"}, "k", marker="hub-1")
    with pytest.raises(UnknownOutcomeError):
        found.push(PARTNERS, change)
    mock.remove("POST", f"{URL}/jsonrpc")
    mock.post(f"{URL}/jsonrpc", json={"jsonrpc": "2.0", "id": 1, "result": [{"res_id": 58}]})
    assert found.push(PARTNERS, change).id == "58"
    methods = [json.loads(str(c.request.body, "utf-8"))["params"]["args"] for c in mock.calls]
    assert [args[4] for args in methods[1:]] == ["search_read", "load", "search_read"]


def test_only_chosen_companies_are_read(mock: responses.RequestsMock) -> None:
    rpc(mock, {"result": {"id": {}}}, {"result": []})
    assert adapter(company_ids=[3]).fetch(RecordRef("partners", "8")) is None
    sent = json.loads(str(mock.calls[2].request.body, "utf-8"))["params"]["args"][6]
    assert sent["context"] == {"active_test": False, "tz": "UTC", "allowed_company_ids": [3]}


def test_what_only_receives_asks_nobody(mock: responses.RequestsMock) -> None:
    found = adapter(api_key="")
    assert not found.reads(PARTNERS)
    found.check()
    with pytest.raises(ConfigError):
        found.fetch(RecordRef("partners", "1"))
