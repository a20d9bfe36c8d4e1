from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from hub.web import openapi
from tests.unit.web.conftest import TOKENS, app_on, filled
from tests.unit.web.world import LI_NA, OLD_LI_NA

COMMITTED = Path(__file__).parents[3] / "docs" / "openapi.json"
OPERATIONS = [
    (path, method)
    for path, methods in orjson.loads(COMMITTED.read_bytes())["paths"].items()
    for method in methods
]
load_all_checks()
KNOWN = [LI_NA, OLD_LI_NA, None]
EXAMPLES = 15

# No schema can say that a text must be a cursor we made, or a number somebody could be called by.
ACCEPTANCE = CHECKS.get_one("positive_data_acceptance")
# What is too large is refused unread, with a status this check does not know.
REJECTION = CHECKS.get_one("negative_data_rejection")


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
def fuzzed(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The schema of an application whose faults become answers, and an operator's token for it."""
    path = tmp_path_factory.mktemp("fuzz") / "hub.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = filled(f"sqlite:///{path}")
    app = app_on(database)
    app.testing = False
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    yield schema, TOKENS[database.url, "operator"]
    database.close()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_any_request_is_answered_as_described(
    fuzzed: Any, path: str, method: str, mode: GenerationMode
) -> None:
    schema, token = fuzzed
    operation = schema[path][method]
    if mode is GenerationMode.NEGATIVE and not operation.query and not operation.path_parameters:
        pytest.skip("there is nothing to get wrong")

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), known=st.sampled_from(KNOWN))
    def answer(case: Any, known: str | None) -> None:
        if known and mode is GenerationMode.POSITIVE and case.path_parameters:
            case.path_parameters["customer_id"] = known  # a made-up id only ever finds nobody
        headers = {"Authorization": f"Bearer {token}"}
        told = case.call(headers=headers)
        unread = [REJECTION] if told.status_code == 413 else []
        case.validate_response(
            told,
            excluded_checks=[ACCEPTANCE, *unread],
            headers=headers,
            transport_kwargs={"headers": headers},
        )

    answer()
