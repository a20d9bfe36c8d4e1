"""What a form asks: a TOML file a person can write, checked as a whole."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hub.sdk import ConfigError

SHIPPED = Path(__file__).with_name("forms")
LANGUAGES = ("zh", "en")

Text = str | Mapping[str, str]
"""One text for all, or one for each language: ``{zh = "…", en = "…"}``."""

Kind = Literal["text", "textarea", "email", "phone", "select", "date", "checkbox", "file"]

RESERVED = frozenset(
    {"id", "submitted_at", "language", "form", "files", "homepage", "page_token", "sample"}
)
"""Names of a row and of the page itself."""

AUTOCOMPLETE = {"name": "name", "phone": "tel", "email": "email", "company": "organization"}


class Question(BaseModel):
    """One field of a form.

    Attributes:
        name: what the mapping reads; see ``mappings/form/submissions.yaml`` for those it knows.
        options: of a ``select``: the value by what people see.
        accept: of a ``file``: endings that may be sent.
        max_files, max_bytes: of a ``file``: how many, and how large each may be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    label: Text
    kind: Kind = "text"
    hint: Text = ""
    required: bool = False
    max_length: int = Field(default=500, ge=1, le=20000)
    options: Mapping[str, Text] = Field(default_factory=dict)
    accept: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp", ".pdf")
    max_files: int = Field(default=3, ge=1, le=20)
    max_bytes: int = Field(default=5 * 1024 * 1024, ge=1)

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Question:
        if (self.kind == "select") != bool(self.options):
            raise ValueError("a select has options, and nothing else has")
        return self

    @property
    def autocomplete(self) -> str:
        """By what a browser fills it in."""
        return AUTOCOMPLETE.get(self.name, "off")


class Form(BaseModel):
    """A whole form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Text
    intro: Text = ""
    send: Text = Field(default_factory=lambda: {"zh": "提交", "en": "Send"})
    thanks: Text = Field(default_factory=lambda: {"zh": "已收到，谢谢。", "en": "Thank you."})
    questions: tuple[Question, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Form:
        names = [question.name for question in self.questions]
        if len(set(names)) != len(names):
            raise ValueError("two questions have one name")
        if taken := RESERVED.intersection(names):
            raise ValueError(f"a question cannot be called {', '.join(sorted(taken))}")
        return self


def read_form(path: Path) -> Form:
    """The form a file describes.

    Raises:
        ConfigError: there is no such file, or it is wrong; says where.
    """
    try:
        return Form.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as exc:
        shipped = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.toml")))
        raise ConfigError(f"there is no form at {path}", hint=f"Shipped: {shipped}") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path} is no TOML: {exc}") from exc
    except ValidationError as exc:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        raise ConfigError(f"{path}: {'; '.join(faults)}") from exc


def said(text: Text, language: str) -> str:
    """The text in this language; in another where there is none."""
    if isinstance(text, str):
        return text
    return text.get(language) or next(iter(text.values()), "")
