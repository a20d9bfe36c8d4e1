from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, settings

from hub.store.db import Database
from hub.web import openapi
from tests.unit.web.conftest import TOKENS, app_on
from tests.unit.web.world import LI_NA, OLD_LI_NA

COMMITTED = Path(__file__).parents[3] / "docs" / "openapi.json"


def test_the_committed_document_is_the_one_we_serve(app: Flask) -> None:
    served = app.test_client().get("/api/v1/openapi.json")
    assert served.data == openapi.standalone()
    assert COMMITTED.read_bytes() == served.data, (
        "docs/openapi.json is old; write hub.web.openapi.standalone() to it"
    )


def test_every_address_of_the_api_is_described(app: Flask) -> None:
    document = openapi.describe(app)
    described = {path.replace("{", "<").replace("}", ">") for path in document["paths"]}
    served = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/")}
    assert served - described == {"/api/v1/openapi.json"}
    for operations in document["paths"].values():
        for operation in operations.values():
            assert {"400", "401", "403", "503"} <= set(operation["responses"])
            assert operation["summary"]


@pytest.fixture(scope="module")
def api_schema(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.unit.web.conftest import filled

    path = tmp_path_factory.mktemp("fuzz") / "hub.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = filled(f"sqlite:///{path}")
    app = app_on(database)
    app.testing = False  # a fault must become a 500, which the checks catch
    app.extensions["test-token"] = TOKENS[database.url, "admin"]
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)


schema = schemathesis.pytest.from_fixture("api_schema")


@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_request_is_answered_as_described(case: Any, api_schema: Any) -> None:
    if (
        "customer_id" in (case.path_parameters or {})
        and len(case.path_parameters["customer_id"]) % 2
    ):
        case.path_parameters["customer_id"] = LI_NA if case.query else OLD_LI_NA
    token = api_schema.app.extensions["test-token"]
    case.call_and_validate(headers={"Authorization": f"Bearer {token}"})
