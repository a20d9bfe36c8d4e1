from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po
from flask.testing import FlaskClient

import hub.web
from hub.web import i18n

ROOT = Path(hub.web.__file__).parent
KEYWORDS = {**DEFAULT_KEYWORDS, "_p": ((1, "c"), 2)}
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]


def _said() -> set[tuple[str | None, str]]:
    found = extract_from_dir(ROOT, METHODS, keywords=KEYWORDS)
    return {
        (context, message[0] if isinstance(message, tuple) else message)
        for _file, _line, message, _comments, context in found
    }


def test_everything_is_said_in_chinese_too() -> None:
    with (i18n.FOLDER / "zh_CN/LC_MESSAGES/messages.po").open("rb") as file:
        catalogue = read_po(file, locale="zh_CN")
    known = {}
    for message in catalogue:
        if message.id:
            single = message.id[0] if isinstance(message.id, tuple) else message.id
            known[message.context, single] = message
    said = _said()
    assert len(said) > 100
    assert said - known.keys() == set()
    assert known.keys() - said == set(), "no longer said"
    for (_, single), message in known.items():
        text = message.string[0] if isinstance(message.string, tuple) else message.string
        assert text, single
        assert not message.fuzzy
        assert set(re.findall(r"%\(\w+\)s", text)) == set(re.findall(r"%\(\w+\)s", single)), single


@pytest.mark.parametrize(
    ("headers", "query", "spoken"),
    [
        ({}, "", "zh-CN"),
        ({"Accept-Language": "en-GB,en;q=0.9"}, "", "en"),
        ({"Accept-Language": "zh-TW,zh;q=0.9,en;q=0.5"}, "", "zh-CN"),
        ({"Accept-Language": "fr,de"}, "", "zh-CN"),
        ({"Accept-Language": "en"}, "?lang=zh", "zh-CN"),
        ({"Accept-Language": "zh"}, "?lang=en_US", "en"),
        ({"Accept-Language": "en"}, "?lang=xx", "en"),
    ],
)
def test_which_language(
    stranger: FlaskClient, headers: dict[str, str], query: str, spoken: str
) -> None:
    page = stranger.get(f"/sign-in{query}", headers=headers).text
    assert f'<html lang="{spoken}">' in page
    assert ("登录" in page) is (spoken == "zh-CN")


def test_a_language_once_chosen_stays(stranger: FlaskClient) -> None:
    stranger.get("/sign-in?lang=en", headers={"Accept-Language": "zh"})
    assert '<html lang="en">' in stranger.get("/sign-in", headers={"Accept-Language": "zh"}).text
