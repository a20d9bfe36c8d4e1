"""中文 and English: which of the two, and the catalogue, read from its .po file at start.

Reading the source file itself leaves no compiled copy that could be missing or out of date.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, cast

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, g, request, session
from flask_babel import Babel, Domain, get_locale

from hub.web.context import hub

FOLDER = Path(__file__).parent / "translations"
LANGUAGES = {"zh_CN": "中文", "en": "English"}
_SPOKEN = {"zh-CN": "zh_CN", "zh": "zh_CN", "en": "en"}


class _Catalogues(Domain):  # type: ignore[misc]  # flask-babel publishes no types
    def get_translations(self) -> NullTranslations:
        if "catalogue" not in g:
            g.catalogue = catalogue(language())
        return cast("NullTranslations", g.catalogue)


@cache
def catalogue(language: str) -> NullTranslations:
    """The translations of a language; English is what the code itself says."""
    path = FOLDER / language / "LC_MESSAGES" / "messages.po"
    if not path.is_file():
        return NullTranslations()
    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Translations(compiled)


def language_of(wish: str | None) -> str | None:
    """One of our languages for what somebody wrote, such as ``zh``, ``zh-CN`` or ``en_GB``."""
    tag = (wish or "").replace("_", "-")
    return _SPOKEN.get(tag) or _SPOKEN.get(tag.partition("-")[0])


def chosen_language() -> str:
    """What was asked for: in the address, in this session, by the account, by the browser."""
    wishes = (request.args.get("lang"), session.get("lang"), g.get("account_language"))
    for wish in wishes:
        if found := language_of(wish):
            return found
    best = request.accept_languages.best_match(list(_SPOKEN))
    return language_of(best) or hub().language


def install(app: Flask) -> None:
    """Teach the application its languages."""
    babel = Babel(
        app,
        default_locale="en",
        locale_selector=chosen_language,
        timezone_selector=lambda: hub().timezone,
    )
    babel.domain_instance = _Catalogues()
    app.jinja_env.globals.update(language=language, languages=LANGUAGES, switched=_switched)


def language() -> str:
    """The code of the reader's language; Babel's own name for it may be longer."""
    return "zh_CN" if get_locale().language == "zh" else "en"


def _switched(language: str) -> dict[str, Any]:
    """This page's parameters, in another language."""
    asked = request.args.to_dict().items()
    kept = {name: value for name, value in asked if name != "endpoint" and name[:1] != "_"}
    return {**(request.view_args or {}), **kept, "lang": language}  # the others mean more to Flask
