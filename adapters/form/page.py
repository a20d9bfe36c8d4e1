"""The page people fill in: no script, and a style that the policy names by its hash."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template
from markupsafe import Markup

from adapters.form.design import LANGUAGES, Form, said
from hub.sdk import Reply

HERE = Path(__file__).parent

FAULTS: dict[str, tuple[str, str]] = {
    "required": ("请填写此项。", "Please fill this in."),
    "tick": ("请勾选此项。", "Please tick this."),
    "long": ("内容过长。", "This is too long."),
    "email": ("请填写有效的邮箱地址。", "Please give a valid e-mail address."),
    "phone": ("请填写有效的电话号码。", "Please give a valid phone number."),
    "date": ("请填写日期。", "Please give a date."),
    "select": ("请选择其中一项。", "Please choose one of these."),
    "file": ("请选择文件。", "Please choose a file."),
    "files": ("文件数量过多。", "These are too many files."),
    "ending": ("不接受这种文件。", "Files of this kind are not accepted."),
    "large": ("文件过大。", "A file is too large."),
    "number": ("编号", "Number"),
    "look": ("请检查标出的内容。", "Please look at what is marked."),
    "again": ("页面已过期，请再次提交。", "This page was open for too long. Please send it again."),
    "soon": ("提交过快，请再次提交。", "That was very quick. Please send it again."),
    "trap": ("请将隐藏项留空。", "Please leave the hidden field empty."),
    "often": ("提交过于频繁，请稍后再试。", "Too many in a short time. Please try again later."),
    "unreadable": ("无法读取提交的内容。", "What was sent cannot be read."),
}


def words_in(language: str) -> dict[str, str]:
    """The page's own words."""
    return {name: texts[LANGUAGES.index(language)] for name, texts in FAULTS.items()}


def language_of(query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """As the address says, or else what the browser would rather have."""
    if query.get("lang") in LANGUAGES:
        return query["lang"]
    wanted = headers.get("accept-language", "").lower()
    places = {name: wanted.find(name) for name in LANGUAGES if name in wanted}
    return min(places, key=lambda name: places[name]) if places else LANGUAGES[0]


def page(
    form: Form,
    language: str,
    *,
    token: str = "",
    notice: str = "",
    faults: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
    done: str = "",
    status: int = 200,
    embed_origins: Sequence[str] = (),
) -> Reply:
    """The form, with what was typed and what is wrong; or, ``done``, its number."""
    css, css_hash = _style()
    words = words_in(language)
    body = _template().render(
        form=form,
        language=language,
        other=next(name for name in LANGUAGES if name != language),
        say=partial(said, language=language),
        words=words,
        css=Markup(css),  # noqa: S704 - our own file
        token=token,
        notice=words.get(notice, ""),
        faults=faults or {},
        typed=typed or {},
        done=done,
    )
    policy = [
        "default-src 'none'",
        f"style-src 'sha256-{css_hash}'",
        "form-action 'self'",
        "base-uri 'none'",
        f"frame-ancestors {' '.join(embed_origins) or chr(39) + 'none' + chr(39)}",
    ]
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(policy),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return Reply(status, body.encode(), headers)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html")


@cache
def _style() -> tuple[str, str]:
    css = (HERE / "page.css").read_text("utf-8")
    return css, base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
