"""Swagger 2.0 as OpenAPI 3.1: what holding requests against a description needs, no answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})
_ABOUT = frozenset({"name", "in", "required", "description"})


def modern(found: dict[str, Any]) -> dict[str, Any]:
    """The same description for validators that know OpenAPI 3; one that is stays as it is."""
    if found.get("swagger") != "2.0":
        return found
    text = json.dumps(found).replace('"#/definitions/', '"#/components/schemas/')
    old: dict[str, Any] = json.loads(text)
    return {
        "openapi": "3.1.0",
        "info": old["info"],
        "paths": {path: _path(operations) for path, operations in old["paths"].items()},
        "components": {"schemas": old.get("definitions", {})},
    }


def _path(operations: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _operation(one) for name, one in operations.items() if name in METHODS}


def _operation(old: Mapping[str, Any]) -> dict[str, Any]:
    given = old.get("parameters", [])
    made: dict[str, Any] = {
        "parameters": [_parameter(one) for one in given if one["in"] in ("query", "path")],
        "responses": {"default": {"description": "any"}},
    }
    if schema := _body(given):
        kinds = old.get("consumes", [JSON])
        made["requestBody"] = {"content": {kind: {"schema": schema} for kind in kinds}}
    return made


def _parameter(old: Mapping[str, Any]) -> dict[str, Any]:
    about = {key: old[key] for key in ("name", "in", "required") if key in old}
    return {**about, "schema": {key: old[key] for key in old.keys() - _ABOUT}}


def _body(given: list[dict[str, Any]]) -> dict[str, Any]:
    """The schema of a body; the fields of a form are those of an object."""
    for one in given:
        if one["in"] == "body":
            whole: dict[str, Any] = one["schema"]
            return whole
    fields = {one["name"]: one for one in given if one["in"] == "formData"}
    if not fields:
        return {}
    return {
        "type": "object",
        "properties": {name: _parameter(one)["schema"] for name, one in fields.items()},
        "required": [name for name, one in fields.items() if one.get("required")],
    }
