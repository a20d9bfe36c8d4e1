"""The OpenAPI document, made from the routes and the models they answer with."""

from __future__ import annotations

import inspect
import re
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, current_app
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hub.settings import Settings
from hub.store.crypto import new_key
from hub.store.db import Database
from hub.web.endpoints import Operation, Query
from hub.web.problems import MEDIA_TYPE, Problem

blueprint = Blueprint("openapi", __name__)

REF = "#/components/schemas/{model}"
INTRODUCTION = """Read the customers of this hub.

Send `Authorization: Bearer …`, or use the cookie of a signed-in browser. Errors are problem
documents (RFC 9457). Lists page by an opaque `cursor`. The role `auditor`, and every account or
token made with `--masked`, sees phones and e-mail addresses masked. Answers with an `ETag` can be
asked for with `If-None-Match`. A token that asks too often gets 429 and `Retry-After`.
Instants are ISO 8601 in UTC; amounts are in the minor unit of their currency."""


@blueprint.get("/api/v1/openapi.json")
def document() -> Response:
    """This document, for anybody."""
    return Response(text(current_app), mimetype="application/json")


def install(app: Flask) -> None:
    """Add its address."""
    app.register_blueprint(blueprint)


def standalone() -> bytes:
    """The document of this version, as docs/openapi.json keeps it; needs no settings."""
    from hub.web.app import create_app  # it imports us

    settings = Settings.model_construct(secret_keys=[new_key()])
    return text(create_app(settings, Database("sqlite:///:memory:")))


def text(app: Flask) -> bytes:
    """The document of an application, as it is served."""
    order = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(describe(app), option=order)


def describe(app: Flask) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an application."""
    found = [
        (rule, view, view.operation)
        for rule in app.url_map.iter_rules()
        if hasattr(view := app.view_functions[rule.endpoint], "operation")
    ]
    paths: dict[str, dict[str, Any]] = {}
    for rule, view, operation in sorted(found, key=lambda f: f[0].rule):
        method = next(iter((rule.methods or set()) - {"HEAD", "OPTIONS"})).lower()
        path = re.sub(r"<(\w+)>", r"{\1}", rule.rule)
        paths.setdefault(path, {})[method] = _operation(rule.endpoint, view, operation, path)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Conduit", "version": _version(), "description": INTRODUCTION},
        "paths": paths,
        "security": [{"bearer": []}, {"session": []}],
        "components": {
            "schemas": _schemas([m for _, _, o in found for m in (o.answer, o.body) if m]),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "conduit",
                    "description": "set by signing in; named __Host-conduit over https",
                },
            },
        },
    }


def _operation(endpoint: str, view: Any, operation: Operation, path: str) -> dict[str, Any]:
    answers: dict[str, Any] = {
        str(operation.status): {
            "description": operation.summary,
            "content": {"application/json": {"schema": _ref(operation.answer)}},
        }
    }
    if operation.tagged:
        answers["200"]["headers"] = {"ETag": {"schema": {"type": "string"}}}
        answers["304"] = {"description": "as `If-None-Match` says; nothing is sent again"}
    for status in operation.errors:
        answers[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": _ref(Problem)}},
        }
    body = operation.body
    schema = {"application/json": {"schema": _ref(body)}} if body else {}
    return {
        **({"requestBody": {"required": True, "content": schema}} if body else {}),
        "operationId": endpoint.rpartition(".")[2],
        "summary": operation.summary,
        "description": f"{_paragraph(view)} Roles: {', '.join(sorted(view.roles))}.",
        "parameters": [*_path_parameters(path), *_query_parameters(operation.query)],
        "responses": answers,
    }


def _paragraph(view: Any) -> str:
    return " ".join((inspect.getdoc(view) or "").split())


def _path_parameters(path: str) -> list[dict[str, Any]]:
    schema = {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"}
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def _query_parameters(model: type[Query]) -> list[dict[str, Any]]:
    properties = model.model_json_schema().get("properties", {})
    return [_query_parameter(name, dict(schema)) for name, schema in properties.items()]


def _query_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Left out is how a query says null."""
    description = schema.pop("description", "")
    schema.pop("title", None)
    kinds = schema.pop("anyOf", [])
    schema.update(next((kind for kind in kinds if kind["type"] != "null"), {}))
    if schema.get("default", ...) is None:
        del schema["default"]
    told = {"description": description} if description else {}
    return {"name": name, "in": "query", **told, "schema": schema}


def _schemas(models: list[type[BaseModel]]) -> dict[str, Any]:
    wanted: set[type[BaseModel]] = {Problem, *models}
    every = sorted(wanted, key=lambda model: model.__name__)
    _, schema = models_json_schema([(m, "validation") for m in every], ref_template=REF)
    schemas: dict[str, Any] = schema["$defs"]
    return schemas


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}


def _version() -> str:
    return version("conduit-hub")
