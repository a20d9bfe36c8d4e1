"""Recorded exchanges held against a description: what a vendor would not know or not take."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from tests.contract.apis import OUT, Published
from tests.contract.apis.swagger import METHODS, modern


class Description:
    """The description of one vendor, stricter than it says: what it does not name is a fault.

    Log-in is left out of it, since fixtures hold no credentials.
    """

    def __init__(self, of: Published, out: Path = OUT) -> None:
        self._of = of
        paths = [out / of.name / file for file in of.files]
        read = [(path, yaml.safe_load(path.read_text("utf-8"))) for path in paths]
        self._documents = [
            _Document(modern(found), of.server, path) for path, found in read if "paths" in found
        ]

    def faults(self, exchange: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with a request, and with its answer where it is a good one."""
        url, method = str(exchange["url"]), str(exchange["method"])
        if any(url.startswith(place) for place in self._of.elsewhere):
            return
        path = url.removeprefix(self._of.server)
        for document in self._documents:
            if template := document.template(path, method):
                found = document.faults(template, path, exchange)
                yield from (f"{method} {template} {fault}" for fault in found)
                return
        yield f"{method} {path} is not described"


class _Document:
    """One file with paths."""

    def __init__(self, found: dict[str, Any], server: str, path: Path) -> None:
        self._found, self._server = found, server
        found["servers"] = [{"url": server}]
        found.pop("security", None)
        for operation in _operations(found):
            operation.pop("security", None)
            operation.pop("servers", None)
        unchecked = Config(spec_validator_cls=None)  # it is not ours to mend
        self._api = OpenAPI.from_dict(found, config=unchecked, base_uri=path.as_uri())

    def template(self, path: str, method: str) -> str | None:
        """The described path that this is one of; a word of its own goes before a variable."""
        fitting = [
            template
            for template, operations in self._found["paths"].items()
            if method.lower() in operations
            and re.fullmatch(re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(template)), path)
        ]
        return min(fitting, key=lambda template: template.count("{"), default=None)

    def faults(self, template: str, path: str, exchange: Mapping[str, Any]) -> Iterator[str]:
        given = exchange.get("query", {}).items()
        query = {key: value if isinstance(value, list) else str(value) for key, value in given}
        body = json.dumps(exchange["json"]).encode() if "json" in exchange else None
        method = str(exchange["method"]).lower()
        host, base = re.fullmatch(r"(https?://[^/]+)(.*)", self._server).groups()
        request = MockRequest(host, method, base + path, args=query, data=body)
        told = self._api.unmarshal_request(request)
        yield from _told(told.errors)
        refused = {getattr(error, "name", "") for error in told.errors}
        yield from (
            f"query {name}: not described"
            for name in query
            if name not in told.parameters.query and name not in refused
        )
        fields = self._fields(self._found["paths"][template][method])
        unknown = [name for name in exchange.get("json", ()) if fields and name not in fields]
        yield from (f"body {name}: not described" for name in unknown)
        answer = exchange["answer"]
        if not told.errors and "json" in answer and answer.get("status", 200) < 300:
            response = MockResponse(
                json.dumps(answer["json"]).encode(), status_code=answer.get("status", 200)
            )
            unfit = self._api.unmarshal_response(request, response).errors
            yield from (f"answer {fault}" for fault in _told(unfit))

    def _fields(self, operation: Mapping[str, Any]) -> set[str]:
        body = _resolved(self._found, operation.get("requestBody", {}))
        media = body.get("content", {}).get("application/json", {})
        return _fields(self._found, media.get("schema", {}))


def _operations(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in found["paths"].values():
        yield from (one for name, one in operations.items() if name in METHODS)


def _fields(found: Mapping[str, Any], schema: Mapping[str, Any]) -> set[str]:
    """The names of the fields of an object; none where it may have any."""
    told = _resolved(found, schema)
    parts = [part for word in ("allOf", "anyOf", "oneOf") for part in told.get(word, ())]
    return {*told.get("properties", ())}.union(*(_fields(found, part) for part in parts))


def _resolved(found: Mapping[str, Any], told: Any) -> Any:
    """What a reference within the same file refers to."""
    while str(told.get("$ref", "")).startswith("#/"):
        steps, told = told["$ref"].removeprefix("#/").split("/"), found
        for step in steps:
            told = told[step.replace("~1", "/").replace("~0", "~")]
    return told


def _told(errors: list[Exception]) -> Iterator[str]:
    """Each error by its place and kind, without the values."""
    for error in errors:
        cause: Any = error.__cause__
        name = getattr(error, "name", "")
        where = f"query {name}" if name else "body" if "Body" in type(error).__name__ else "data"
        details = getattr(cause, "schema_errors", None)
        if not details:
            yield f"{where}: {cause or error}"
        for one in details or ():
            steps = ["[]" if isinstance(step, int) else f".{step}" for step in one.absolute_path]
            named = one.validator in ("required", "additionalProperties")
            yield f"{where}{''.join(steps)}: {one.message if named else one.validator}"
