"""What is wrong with a system file or a connection is told in a sentence, all of it at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from adapters.rest import system
from adapters.rest.config import RestConfig
from adapters.rest.load import SYSTEMS, load, shipped
from hub.errors import ConfigError
from hub.registry import ROOT

HELPDESK = (SYSTEMS / "example.toml").read_text("utf-8")

FAULTS = {
    "misspelt key": (
        'path = "/tickets"\nquery = { changed',
        'pth = "/tickets"\nquery = { changed',
        ['own.toml [streams.tickets.read] pth: there is no such key; did you mean "path"?'],
    ),
    "missing key": (
        'path = "/tickets"\nquery = { changed',
        "query = { changed",
        ["[streams.tickets.read] path: it is missing"],
    ),
    "unknown word": (
        'kind = "cursor", next',
        'kind = "curser", next',
        ['[streams.contacts.read.pages] kind: "curser" is none of', 'did you mean "cursor"?'],
    ),
    "unknown kind of auth": (
        'kind = "bearer"',
        'kind = "beerer"',
        ['own.toml auth: kind "beerer" is none of', 'did you mean "bearer"?'],
    ),
    "key of another kind of auth": (
        'token = "{secrets.token}"',
        'token = "{secrets.token}"\nuser = "x"',
        ["[auth] user: there is no such key"],
    ),
    "misspelt name": (
        'token = "{secrets.token}"',
        'token = "{secrets.tokn}"',
        ['[auth] token: {secrets.tokn} has no value here; did you mean "secrets.token"?'],
    ),
    "name that has no value there": (
        'path = "/tickets/{id}"\nrow',
        'path = "/tickets/{since}"\nrow',
        ["[streams.tickets.one] path: {since} has no value here"],
    ),
    "unknown step": (
        'external_ref = "{marker}", per_page',
        'external_ref = "{jsn:marker}", per_page',
        [
            "[streams.tickets.lookup] query: {jsn:marker}: there is no step jsn; "
            'did you mean "json"?'
        ],
    ),
    "page without a number": (
        'page = "{page}", ',
        "",
        ["[streams.tickets.read] pages: no part of the request names {page}"],
    ),
    "nothing asks by since": (
        'changed_from = "{since}", ',
        "",
        ["[streams.tickets] cursor: no part of the request names {since}"],
    ),
    "no path": (
        'rows = "contacts"\npages',
        'rows = "contacts[?"\npages',
        ["[streams.contacts.read] rows: contacts[? is no path (JMESPath)"],
    ),
    "no zone": (
        'field = "changed_at"',
        'field = "changed_at"\nzone = "Asia/Shanghi"',
        ["[streams.tickets.cursor] zone: Asia/Shanghi is no time zone"],
    ),
    "flag without a flag": (
        'flag = "deleted_at"',
        "",
        ["[streams.contacts.deleted] flag: it is missing"],
    ),
    "webhook without proof": (
        "[webhook.recipe]",
        "[streams.other.mapping]",
        ["[webhook] recipe: give either a recipe or a token"],
    ),
    "push without a way to write": (
        "[streams.tickets.mapping.push]",
        "[streams.tickets.mapping.psh]",
        ["[streams.tickets.mapping] push: it is missing, and the stream can be written"],
    ),
    "like nothing": (
        '[streams.tickets]\nid = "id"',
        '[streams.tickets]\nlike = "contact"\nid = "id"',
        ['[streams.tickets] like: there is no "contact"; did you mean "contacts"?'],
    ),
    "not TOML": ('rows = "contacts"', "rows = contacts", ["own.toml is not TOML: "]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_file_table_and_key(tmp_path: Path, name: str) -> None:
    before, after, told = FAULTS[name]
    assert before in HELPDESK
    path = tmp_path / "own.toml"
    path.write_text(HELPDESK.replace(before, after), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    for words in told:
        assert words in str(caught.value)
    assert caught.value.hint


def test_faults_are_told_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    broken = HELPDESK.replace("{page}", "{pag}").replace("{marker}", "{markr}")
    path.write_text(broken, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert len(str(caught.value).splitlines()) >= 4


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_system_is_sound(name: str) -> None:
    found = load(SYSTEMS / f"{name}.toml")
    assert found.system.docs
    assert found.system.checked
    assert found.system.title_zh


def connection(tmp_path: Path, **given: Any) -> RestConfig:
    return RestConfig.model_validate(given, context={"folder": tmp_path})


FORM = {"of": "form", "app_id": "a", "entry_id": "e"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"system": "jiandaoyn"}, "cannot be read"),
        ({"system": "jiandaoyun"}, "asks for secrets.api_key (API key"),
        (
            {"system": "zhidao", "secrets": {"access_secret_key": "x"}},
            "asks for values.access_id (",
        ),
        (
            {"system": "jiandaoyun", "secrets": {"api_key": "x"}, "values": {"bse": "x"}},
            'values.bse: there is no such value; did you mean "base"?',
        ),
        (
            {"system": "jiandaoyun", "secrets": {"api_key": "x", "api_kee": "y"}},
            'knows no secrets.api_kee; did you mean "api_key"?',
        ),
        (
            {"system": "jiandaoyun", "secrets": {"api_key": "x"}, "streams": {"a": {"of": "frm"}}},
            'has no pattern "frm" for streams.a; did you mean "form"?',
        ),
        (
            {
                "system": "jiandaoyun",
                "secrets": {"api_key": "x"},
                "streams": {"a": {"of": "form", "app_id": "a"}},
            },
            "asks for streams.a.entry_id (",
        ),
        (
            {"system": "example", "secrets": {"token": "x"}, "only": ["ticket"]},
            'has no stream "ticket" for `only`; did you mean "tickets"?',
        ),
        (
            {"system": "example", "secrets": {"token": "x"}, "streams": {"tickets": {"of": "x"}}},
            "has no pattern",
        ),
    ],
)
def test_what_a_connection_lacks_is_named(tmp_path: Path, given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        connection(tmp_path, **given)
    assert told in str(caught.value)


def test_a_stream_of_a_pattern_has_names_of_its_own(tmp_path: Path) -> None:
    found = connection(
        tmp_path,
        system="zhidao",
        values={"access_id": "x"},
        secrets={"access_secret_key": "y"},
        streams={"orders": {"of": "query", "code": "c", "id": "订单.单号", "changed": "更新时间"}},
    )
    made = found.made["orders"]
    assert (made.part.id, made.part.cursor and made.part.cursor.field) == (
        '"订单"."单号"',
        '"更新时间"',
    )
    assert found.described()[0].mapping == ""


def test_a_webhook_of_a_system_that_has_none_is_refused(tmp_path: Path) -> None:
    from adapters.rest.webhook import RestReceiver
    from hub.errors import SignatureError
    from hub.sdk import HookRequest
    from hub.sdk.testing import NOW

    found = connection(
        tmp_path,
        system="seeyon",
        values={"base": "https://oa.example.com", "user": "u", "code": "c"},
        secrets={"password": "p"},
        webhook_secrets=["w"],
    )
    with pytest.raises(SignatureError):
        RestReceiver(found).open(HookRequest("POST", {}, {}, b"{}", NOW))


# The manual


def tables(model: type[BaseModel]) -> dict[str, set[str]]:
    """The keys of every table a file may have, by the name of its model."""
    found = {model.__name__: set(model.model_fields)}
    for field in model.model_fields.values():
        for name in re.findall(r"adapters\.rest\.system\.(\w+)", str(field.annotation)):
            inner = getattr(system, name)
            if name not in found and issubclass(inner, BaseModel):
                found |= tables(inner)
    return found


@pytest.mark.parametrize("manual", ["rest.md", "rest.zh-CN.md"])
def test_the_manual_explains_every_key_and_no_other(manual: str) -> None:
    text = (ROOT / "docs" / manual).read_text("utf-8")
    sections = dict(re.findall(r"^#### [^\n]*<!-- (\w+) -->\n(.*?)(?=^#|\Z)", text, re.M | re.S))
    told = {
        name: set(re.findall(r"^\| `(\w+)`", section, re.M)) for name, section in sections.items()
    }
    known = {**tables(system.System), "Answers": set(system.Answers.model_fields)}
    shared = set(system.Request.model_fields)
    for name, keys in known.items():
        inherits = name != "Request" and shared <= keys
        wanted = keys - shared if inherits else keys
        if name == "Pattern":
            wanted = keys - set(system.Streamed.model_fields)
        assert told.pop(name) == wanted, name
    assert told == {}


@pytest.mark.parametrize("manual", ["rest.md", "rest.zh-CN.md"])
def test_the_example_of_the_manual_is_sound(tmp_path: Path, manual: str) -> None:
    text = (ROOT / "docs" / manual).read_text("utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S)
    path = tmp_path / "helpdesk.toml"
    path.write_text("\n".join(b for b in blocks if "[connections." not in b), "utf-8")
    found = load(path)
    assert list(found.streams) == ["tickets"]
    assert found.webhook is not None
