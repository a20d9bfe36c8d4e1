from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from hub.store.accounts import ROLES
from hub.web.auth import OPERATORS, PUBLIC


def test_every_route_is_public_by_name_or_guarded(app: Flask) -> None:
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    guarded = {name for name in endpoints if hasattr(app.view_functions[name], "roles")}
    assert endpoints - guarded == PUBLIC
    for name in guarded:
        roles = app.view_functions[name].roles  # type: ignore[attr-defined]
        assert roles
        assert roles <= set(ROLES)


def test_connections_are_for_those_who_look_after_them(app: Flask) -> None:
    view = app.view_functions["api.connections"]
    assert view.roles == set(OPERATORS)  # type: ignore[attr-defined]


def test_agents_have_no_business_in_the_inbox_and_auditors_only_look(app: Flask) -> None:
    every = [
        rule
        for rule in app.url_map.iter_rules()
        if rule.rule.rpartition("v1")[2].startswith(("/inbox", "/refusals"))
    ]
    assert len(every) > 10
    for rule in every:
        roles = app.view_functions[rule.endpoint].roles  # type: ignore[attr-defined]
        assert "agent" not in roles
        assert "manager" not in roles
        assert ("auditor" in roles) == ("GET" in (rule.methods or ()) and "/all/" not in rule.rule)


def test_nobody_gets_past_a_guard_without_saying_who(app: Flask, stranger: FlaskClient) -> None:
    for rule in app.url_map.iter_rules():
        if rule.endpoint in PUBLIC:
            continue
        path = re.sub(r"<any\((\w+)[^>]*>", r"\1", rule.rule)
        path = re.sub(r"<[^>]*>", "1", path)
        method = next(iter((rule.methods or set()) - {"HEAD", "OPTIONS"}))
        answer = stranger.open(path, method=method, headers={"Origin": "http://localhost"})
        if path.startswith("/api/"):
            assert answer.status_code == 401, path
            assert answer.mimetype == "application/problem+json"
            assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")
        else:
            assert answer.status_code == 302, path
            assert answer.location.startswith("/sign-in")


@pytest.mark.parametrize("path", ["/", "/sign-in", "/card", "/api/v1/customers", "/healthz", "/x"])
def test_every_answer_says_what_may_be_done_with_it(agent: FlaskClient, path: str) -> None:
    answer = agent.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    kept = "private, no-cache" if path == "/api/v1/customers" else "no-store"
    assert answer.headers["Cache-Control"] == kept


def test_no_page_holds_script_or_style_of_its_own(app: Flask) -> None:
    loader = app.jinja_env.loader
    assert loader is not None
    for name in app.jinja_env.list_templates():
        text = loader.get_source(app.jinja_env, name)[0]
        assert "style=" not in text, name
        assert "<style" not in text, name
        assert " on" + "click" not in text, name
        assert text.count("<script") == text.count("<script src="), name


def test_static_files_are_kept_by_browsers(agent: FlaskClient) -> None:
    page = agent.get("/").text
    address = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    with agent.get(address) as answer:
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert "Set-Cookie" not in answer.headers
