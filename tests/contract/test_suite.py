"""The suite itself: a minimal adapter passes it, and each broken promise is noticed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from hub.sdk import http, polling, testing

ROOT = Path(__file__).resolve().parents[2]

MANIFEST = """
name = "{name}"
title = "Acme"
title_zh = "Acme"
owner = "us"
docs = "https://example.org"
api_version = "1"
checked_on = 2026-11-21
adapter = "{name}.adapter:Acme"
{webhook}
"""

ADAPTER = '''
from datetime import date
from pydantic import Field, SecretStr
from hub.sdk import *

class Config(ConnectionConfig):
    """Config."""
    url: str = Field(description="Address", examples=["https://acme.example.org"])
    token: SecretStr = Field(description="Token")

class Acme(Adapter[Config]):
    """Adapter."""
    streams = (Stream("things"),)

    def connect(self):
        token = self.config.token.get_secret_value()
        return Http(self.config.url, headers={"Authorization": f"Bearer {token}"})

    def check(self):
        self.http.get("/me")

    def pull(self, stream, cursor):
        while True:
            rows = self.http.get("/things", params={"after": cursor or "0"})
            if not rows:
                return
            cursor = rows[-1]["id"]
            yield Page(rows, cursor)

    def history(self, stream, window, cursor):
        after = cursor
        while rows := self.http.get("/things", params={"of": window.where, "after": after or "0"}):
            after = rows[-1]["id"]
            yield Page(rows, after)

    def survey(self, stream, cursor):
        while True:
            ids = self.http.get("/ids", params={"after": cursor or "0"})
            cursor = ids[-1] if ids else None
            yield Survey([Sighting(id_) for id_ in ids], cursor)
            if not ids:
                return

    def tally(self, stream):
        for day, count in self.http.get("/days"):
            yield Tally(date.fromisoformat(day), count)

    def find(self, stream, values):
        rows = self.http.get("/things", params=values)
        return [row for row in rows if row["name"] == values["name"]]
'''

WEBHOOK = '''
import json
from acme_hook.adapter import Config
from hub.sdk import *
from hub.sdk.signing import Recipe

RECIPE = Recipe(signature="header:x-sign", parts=("header:x-at", "body"), timestamp="header:x-at")

class Receiver(WebhookReceiver[Config]):
    """Receiver."""

    def open(self, request):
        RECIPE.verify(request, [self.config.token.get_secret_value()])
        return Envelope([Item(request.body, json.loads(request.body)["event"])])

    def parse(self, body):
        yield Row("things", json.loads(body))

    def sample(self, at):
        body, seconds = b'{"event": "e1", "id": "1", "name": "x"}', str(int(at.timestamp()))
        bare = HookRequest("POST", {"x-at": seconds}, {}, body, at)
        return RECIPE.sign(bare, self.config.token.get_secret_value())
'''

MAPPING = """
from: {name}/things
to: Product
key: id
fields:
  name: name
"""

README = "# Acme\n\n## Set up\n\nSo.\n\n## Remove\n\nSo.\n"


def row(id_: int) -> dict[str, str]:
    return {"id": str(id_), "name": f"Thing {id_}"}


def asked(after: int, *ids: int, **query: str) -> dict[str, object]:
    return told("things", [row(id_) for id_ in ids], after=str(after), **query)


def told(path: str, answer: object, **query: str) -> dict[str, object]:
    url = f"https://acme.example.org/{path}"
    return {"method": "GET", "url": url, "query": query, "answer": {"json": answer}}


FIXTURES = {
    "thing": {
        "raw": row(1),
        "stream": "things",
        "expect": {
            "kind": "Product",
            "ref": {"connection": "NAME", "stream": "things", "id": "1"},
            "name": "Thing 1",
        },
    },
    "pull": {
        "pull": "things",
        "ids": ["1", "2", "3"],
        "exchanges": [asked(0, 1, 2), asked(2, 3), asked(3)],
    },
    "history": {
        "history": "things",
        "window": {"since": "2026-11-01T00:00:00Z", "where": "x"},
        "ids": ["2", "3"],
        "exchanges": [asked(0, 2, of="x"), asked(2, 3, of="x"), asked(3, of="x")],
    },
    "survey": {
        "survey": "things",
        "versions": {"1": "", "2": "", "3": ""},
        "exchanges": [
            told("ids", ["1", "2"], after="0"),
            told("ids", ["3"], after="2"),
            told("ids", [], after="3"),
        ],
    },
    "tally": {
        "tally": "things",
        "days": {"2026-11-01": [2, ""], "2026-11-03": [1, ""]},
        "exchanges": [told("days", [["2026-11-01", 2], ["2026-11-03", 1]])],
    },
    "find": {
        "find": "things",
        "values": {"name": "Thing 1"},
        "ids": ["1"],
        "exchanges": [told("things", [row(1), row(11)], name="Thing 1")],
    },
}

FAULTS = {
    "leaky": (
        'token: SecretStr = Field(description="Token")',
        'token: str = Field(description="Token", examples=["t"])',
        "test_secrets_have_the_type_of_secrets",
    ),
    "mute": ('description="Address", ', "", "test_every_field_is_described"),
    "bare": (', examples=["https://acme.example.org"]', "", "test_required_fields_have_an_example"),
    "blind": ('self.http.get("/me")', "pass", "test_check_and_a_status"),
    "forgetful": (
        'cursor or "0"}',
        'str(int(cursor) + 1) if cursor else "0"}',
        "test_pull",
    ),
    "swallowing": (
        'rows = self.http.get("/things", params={"after": cursor or "0"})',
        'try: rows = self.http.get("/things", params={"after": cursor or "0"})\n'
        "            except RetryableError: rows = []",
        "test_a_pull_that_breaks_off",
    ),
    "stuck": ("yield Page(rows, cursor)", 'yield Page(rows, "same")', "test_pull"),
    "partial": ("after = cursor", "after = cursor and str(int(cursor) + 1)", "test_history"),
    "abrupt": (
        "cursor = ids[-1] if ids else None",
        "cursor = ids[-1] if ids else 'more'",
        "test_survey",
    ),
    "repeating": ('self.http.get("/days")', 'self.http.get("/days") * 2', "test_tally"),
    "generous": ('if row["name"] == values["name"]]', "]", "test_find"),
    "boastful": ('Stream("things")', 'Stream("things", writable=True)', "test_what_is_offered"),
    "telling": (
        'self.http.get("/me")',
        "raise AuthError(self.config.token.get_secret_value())",
        "test_check_and_a_status",
    ),
    "chatty": (
        'self.http.get("/me")',
        "__import__('logging').getLogger().warning(self.config.token.get_secret_value()); "
        'self.http.get("/me")',
        "test_check_and_a_status",
    ),
}

HOOK_FAULTS = {
    "open_door": ("RECIPE.verify(", "(lambda *a: None)(", "test_forgeries_are_refused"),
    "timeless": (', timestamp="header:x-at"', "", "test_stale_is_refused"),
    "clumsy": (
        "RECIPE.verify(",
        'bytes.fromhex(request.headers["x-sign"]); RECIPE.verify(',
        "test_malformed_headers_are_refused",
    ),
}


def write(folder: Path, name: str, adapter: str, webhook: str = "") -> None:
    home = folder / name
    (home / "fixtures").mkdir(parents=True)
    (home / "mappings").mkdir()
    line = f'webhook = "{name}.webhook:Receiver"' if webhook else ""
    (home / "__init__.py").touch()
    (home / "manifest.toml").write_text(MANIFEST.format(name=name, webhook=line))
    (home / "adapter.py").write_text(adapter)
    (home / "mappings" / "things.yaml").write_text(MAPPING.format(name=name))
    (home / "README.md").write_text(README)
    if webhook:
        (home / "webhook.py").write_text(webhook.replace("acme_hook", name))
    for fixture, content in FIXTURES.items():
        text = json.dumps(content).replace("NAME", name)
        (home / "fixtures" / f"{fixture}.json").write_text(text)


def test_a_minimal_adapter_passes_and_every_broken_promise_is_noticed(tmp_path: Path) -> None:
    found = failed(tmp_path)
    assert [name for name in found if name.startswith(("acme::", "acme_hook::"))] == []
    wanted = {f"{name}::{test}" for name, (*_, test) in {**FAULTS, **HOOK_FAULTS}.items()}
    assert wanted - found == set()


def failed(folder: Path) -> set[str]:
    """Vendor and name of every test that fails, over a good adapter and many broken ones."""
    write(folder, "acme", ADAPTER)
    write(folder, "acme_hook", ADAPTER, WEBHOOK)
    for name, (good, bad, _) in FAULTS.items():
        assert good in ADAPTER
        write(folder, name, ADAPTER.replace(good, bad))
    for name, (good, bad, _) in HOOK_FAULTS.items():
        assert good in WEBHOOK
        write(folder, name, ADAPTER, WEBHOOK.replace(good, bad, 1))
    names = ["acme", "acme_hook", *FAULTS, *HOOK_FAULTS]
    (folder / "test_outside.py").write_text(
        "import tomllib\nfrom pathlib import Path\n"
        "from hub import mapping\nfrom hub.registry import Manifest\n"
        "from hub.sdk.testing import contract_tests\n"
        "def manifest(name):\n"
        "    folder = Path(__file__).parent / name\n"
        "    told = tomllib.loads((folder / 'manifest.toml').read_text())\n"
        "    return Manifest(folder=folder, **told)\n"
        f"for name in {names}:\n"
        "    globals()[f'Test_{name}'] = contract_tests(manifest(name), mapping)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider",
         "-c", os.devnull, "--rootdir", str(folder), str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert " passed" in ran.stdout, ran.stdout + ran.stderr
    found = re.findall(r"^(?:FAILED|ERROR) \S*::Test_(\w+)::(\w+)", ran.stdout, re.MULTILINE)
    return {f"{name}::{test}" for name, test in found}


def test_the_clock_of_a_fixture_stands_however_busy_the_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = iter(range(0, 1000, 10))
    monkeypatch.setattr(polling, "monotonic", lambda: float(next(late)))
    with testing.clock(None):
        pages = [*polling.scan(lambda *_: ([{"id": 1}], None), None, now=http.Http("").now)]
    ended = testing.NOW - timedelta(seconds=polling.OVERLAP_S)
    assert json.loads(pages[-1].cursor) == {"since": ended.replace(microsecond=0).isoformat()}
