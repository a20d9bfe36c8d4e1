"""Requests of fixtures against the descriptions that vendors publish, where they were got.

Exchanges are what the contract suite demands of an adapter, so a fault here is one of the
adapter, of a fixture, or of the description; the last kind stands in its file with the reason.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hub import mapping, registry
from hub.sdk.vendor import Vendor
from tests.conftest import REQUIRED
from tests.contract.apis import Published, published
from tests.contract.apis.__main__ import main
from tests.contract.apis.validate import Description
from tests.contract.json_server import Handler, at_a_port

ALL = published()


def recorded(vendor: Vendor) -> list[tuple[str, dict[str, Any]]]:
    """Every exchange of every fixture, with the fixture's name."""
    return [
        (name, exchange)
        for name, fixture in vendor.fixtures.items()
        for exchange in [*fixture.get("exchanges", ()), *fixture.get("again", ())]
    ]


@pytest.mark.parametrize("name", ALL)
def test_requests_are_as_the_vendor_describes_them(name: str) -> None:
    of = ALL[name]
    if not of.present():
        if "apis" in REQUIRED:
            pytest.fail(f"the description of {name} is required and not here")
        pytest.skip("make apis has not been run")
    description, found = Description(of), defaultdict(set)
    for fixture, exchange in recorded(Vendor(registry.manifest(name), mapping)):
        for fault in description.faults(exchange):
            found[fault].add(fixture)
    assert {f: sorted(where) for f, where in found.items() if f not in of.differs} == {}
    assert sorted(of.differs.keys() - found.keys()) == [], "these no longer differ: take them out"


@pytest.mark.parametrize("name", ALL)
def test_a_description_is_of_an_adapter_with_recorded_requests(name: str) -> None:
    """Else `hub adapters` would say of it that it was tried against one."""
    of = ALL[name]
    urls = [exchange["url"] for _, exchange in recorded(Vendor(registry.manifest(name), mapping))]
    assert any(url.startswith(of.server) for url in urls)
    assert all(any(url.startswith(place) for url in urls) for place in of.elsewhere)
    assert all(reason.strip() for reason in [*of.differs.values(), *of.elsewhere.values()])


# The tool itself, with a description of our own

OLD = {
    "swagger": "2.0",
    "info": {"title": "Acme", "version": "1"},
    "securityDefinitions": {"key": {"type": "apiKey", "name": "X-Key", "in": "header"}},
    "definitions": {
        "contact": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        }
    },
    "paths": {
        "/contacts/{id}": {
            "parameters": [],
            "get": {
                "security": [{"key": []}],
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "type": "string"},
                    {"name": "page", "in": "query", "required": True, "type": "integer"},
                ],
                "responses": {"200": {"description": "fine"}},
            },
        },
        "/contacts/new": {
            "post": {
                "parameters": [
                    {"name": "b", "in": "body", "schema": {"$ref": "#/definitions/contact"}}
                ],
                "responses": {"200": {"description": "fine"}},
            }
        },
        "/say": {
            "post": {
                "consumes": ["application/x-www-form-urlencoded", "application/json"],
                "parameters": [
                    {"name": "text", "in": "formData", "required": True, "type": "string"},
                    {"name": "to", "in": "formData", "type": "string", "enum": ["all", "one"]},
                ],
                "responses": {"200": {"description": "fine"}},
            }
        },
    },
}
NEW = {
    "openapi": "3.1.0",
    "info": {"title": "Acme", "version": "2"},
    "servers": [{"url": "https://elsewhere.example"}],
    "paths": {
        "/things": {
            "get": {
                "responses": {
                    "200": {
                        "description": "fine",
                        "content": {"application/json": {"schema": {"$ref": "thing.yaml#/list"}}},
                    }
                },
            },
        },
    },
}
THING = (
    "list: {type: array, items: {type: object, required: [id], properties: {id: {type: string}}}}"
)


def acme(folder: Path, **more: Any) -> Published:
    """A vendor's descriptions, put where ``make apis`` would put them."""
    files = {
        "v1/old.json": json.dumps(OLD),
        "v1/new.yaml": json.dumps(NEW),
        "v1/thing.yaml": THING,
    }
    for file, text in files.items():
        path = folder / "acme" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    told = {"elsewhere": {"https://hooks.acme.example/": "another part"}, "differs": {}, **more}
    digests = {file: hashlib.sha256(text.encode()).hexdigest() for file, text in files.items()}
    server = "https://acme.example/v1"
    return Published("acme", "https://nowhere.invalid", "MIT", server, digests, **told)


@pytest.mark.parametrize(
    ("method", "path", "more", "faults"),
    [
        ("GET", "/contacts/7", {"query": {"page": 2}}, []),
        ("GET", "/contacts/7", {}, ["GET /contacts/{id} query page: Missing required"]),
        ("GET", "/contacts/7", {"query": {"page": "x"}}, ["GET /contacts/{id} query page"]),
        (
            "GET",
            "/contacts/7",
            {"query": {"page": 1, "sort": "name"}},
            ["GET /contacts/{id} query sort: not described"],
        ),
        ("GET", "/contacts/7/notes", {}, ["GET /contacts/7/notes is not described"]),
        ("PUT", "/contacts/7", {}, ["PUT /contacts/7 is not described"]),
        ("POST", "/contacts/new", {"json": {"name": "李娜", "age": 3}}, []),
        (
            "POST",
            "/contacts/new",
            {"json": {"age": "3", "nick": "娜"}},
            [
                "POST /contacts/new body.age: type",
                "POST /contacts/new body: 'name' is a required property",
                "POST /contacts/new body nick: not described",
            ],
        ),
        ("POST", "/say", {"json": {"text": "好", "to": "one"}}, []),
        ("POST", "/say", {"json": {"text": "好", "to": "none"}}, ["POST /say body.to: enum"]),
        ("GET", "/things", {"answer": {"json": [{"id": "1"}]}}, []),
        (
            "GET",
            "/things",
            {"answer": {"json": [{"id": "1"}, {"id": 2}, {}]}},
            [
                "GET /things answer data[].id: type",
                "GET /things answer data[]: 'id' is a required property",
            ],
        ),
        ("GET", "/things", {"answer": {"status": 500, "json": {}}}, []),
    ],
)
def test_faults_are_told_by_place_and_kind(
    tmp_path: Path, method: str, path: str, more: dict[str, Any], faults: list[str]
) -> None:
    description = Description(acme(tmp_path), tmp_path)
    url = f"https://acme.example/v1{path}"
    found = list(description.faults({"method": method, "url": url, "answer": {}, **more}))
    assert len(found) == len(faults)
    for told, wanted in zip(sorted(found), sorted(faults), strict=True):
        assert told.startswith(wanted)


def test_another_part_of_the_vendor_is_left_alone(tmp_path: Path) -> None:
    exchange = {"method": "POST", "url": "https://hooks.acme.example/T1", "answer": {}}
    assert list(Description(acme(tmp_path), tmp_path).faults(exchange)) == []


def test_descriptions_are_got_once_and_only_as_they_were_checked(tmp_path: Path) -> None:
    asked: list[str] = []

    class Site(Handler):
        def get(self) -> None:
            asked.append(self.path)
            if self.path == "/v1/thing.yaml":
                self.answer(404, None)
            elif self.path == "/v1/new.yaml":
                self.answer(200, {"changed": "since"})
            else:
                self.answer(200, OLD)

    text = json.dumps(OLD, ensure_ascii=False)
    of, out = acme(tmp_path / "there"), tmp_path / "out"
    of.files["v1/old.json"] = hashlib.sha256(text.encode()).hexdigest()
    with at_a_port(Site) as address:
        lacking = dict(of.get(address, out))
        assert lacking.keys() == {"v1/thing.yaml", "v1/new.yaml"}
        assert "404" in lacking["v1/thing.yaml"]
        assert "another" in lacking["v1/new.yaml"]
        assert (out / "acme/v1/old.json").read_text() == text
        assert not (out / "acme/v1/new.yaml").exists()
        list(of.get(address, out))
    assert asked.count("/v1/old.json") == 1
    assert not of.present(out)
    assert acme(tmp_path / "whole").present(tmp_path / "whole")


def test_the_command_says_what_it_could_not_get(tmp_path: Path) -> None:
    nowhere, out = tmp_path / "nowhere", tmp_path / "out"
    done = CliRunner().invoke(main, ["--from", str(nowhere), "--out", str(out)])
    assert done.exit_code == 1
    for name, one in ALL.items():
        assert f"{name}: 0 of {len(one.files)} ({one.licence})" in done.output
        assert all(f"  {file}: " in done.output for file in one.files)
    assert not out.exists()
