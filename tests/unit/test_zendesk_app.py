"""The app for Zendesk: what Zendesk asks of its manifest, and that the archive holds it all."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hub.registry import ROOT

APP = ROOT / "desks" / "zendesk"
LANGUAGES = ("en", "zh-cn")


def read(name: str) -> Any:
    return json.loads((APP / name).read_text("utf-8"))


def test_the_manifest_has_the_shape_zendesk_wants() -> None:
    told = read("manifest.json")
    assert told["author"].keys() == {"name", "email", "url"}
    assert told["frameworkVersion"] == "2.0"
    assert told["private"] is True
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", told["version"])
    assert told["defaultLocale"] in LANGUAGES
    places = told["location"]["support"]
    assert places.keys() <= {"ticket_sidebar", "new_ticket_sidebar", "user_sidebar"}
    for place in places.values():
        assert (APP / place["url"]).is_file()
    for parameter in told["parameters"]:
        assert parameter.keys() <= {"name", "type", "required", "default"}
        assert parameter["type"] in ("text", "checkbox", "number", "multiline")
    assert [p["name"] for p in told["parameters"]] == ["hub_url", "connection"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_is_said_in_both_languages(language: str) -> None:
    told = read(f"translations/{language}.json")["app"]
    words = ("name", "short_description", "long_description", "installation_instructions")
    assert all(told[name] for name in words)
    assert told["parameters"].keys() == {p["name"] for p in read("manifest.json")["parameters"]}
    for words_of in told["parameters"].values():
        assert all(words_of[name] for name in ("label", "helpText"))


@pytest.mark.parametrize(("name", "size"), [("logo.png", 320), ("logo-small.png", 128)])
def test_the_logos_have_the_sizes_zendesk_asks_for(name: str, size: int) -> None:
    head = (APP / "assets" / name).read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", head[16:]) == (size, size)


def test_the_page_loads_zendesks_script_and_its_own_and_holds_none() -> None:
    page = (APP / "assets/iframe.html").read_text("utf-8")
    scripts = re.findall(r"<script src=\"([^\"]+)\" defer></script>", page)
    assert scripts == [
        "https://static.zdassets.com/zendesk_app_framework_sdk/2.0/zaf_sdk.min.js",
        "app.js",
    ]
    assert page.count("<script") == 2
    assert "style=" not in page


def test_the_archive_holds_what_zendesk_needs(tmp_path: Path) -> None:
    target = f"BIN={Path(sys.executable).parent}"
    archive = tmp_path / "app.zip"
    make = ["make", "-s", "zendesk-app", f"ZENDESK_APP={archive}", target, "READY="]
    subprocess.run(make, cwd=ROOT, check=True)
    with zipfile.ZipFile(archive) as found:
        names = {name for name in found.namelist() if not name.endswith("/")}
    assert names == {
        "manifest.json",
        *(f"translations/{language}.json" for language in LANGUAGES),
        *(f"assets/{one}" for one in ("iframe.html", "app.css", "app.js")),
        *(f"assets/{one}" for one in ("logo.png", "logo-small.png")),
    }
