"""For vendors that say no with status 200: the code in the body decides, by a table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, NoReturn

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from hub.errors import AuthError, ConflictError, GoneError, HubError, RejectedError, RetryableError

_compiled = lru_cache(maxsize=256)(jmespath.compile)

SAID_MAX = 300


def at(path: str, body: Any) -> Any:
    """What a JMESPath leads to in a decoded body; None when it leads nowhere."""
    try:
        return _compiled(path).search(body)
    except JMESPathError:  # a function that got another type than it takes
        return None


def _is_a_path(path: str) -> str:
    try:
        _compiled(path or "@")
    except JMESPathError as exc:
        raise ValueError(f"{path!r} is no JMESPath") from exc
    return path


JsonPath = Annotated[str, AfterValidator(_is_a_path)]
"""Where something is in a decoded body (JMESPath), in a configuration; "" = nowhere."""


class Answers(BaseModel):
    """What the code in an answer means; give it to ``Http`` as ``raise_for_body``.

    Codes are compared as text, so that 0, "0" and 0.0 … of one vendor need no second entry; a code
    that is in no list refuses the request. An answer without a code is fine.

    Attributes:
        code: where the code is (JMESPath), such as ``errcode``.
        fine: codes of success.
        auth: token or credentials are not taken: a token is renewed once, then a person is asked.
        busy: asked too often, or the vendor cannot now: tried again later.
        conflict: the vendor holds a newer copy, or has this already.
        gone: there is no such record; ``Http.find`` then gives None.
        words: where the vendor's own sentence is; shown to the administrator.
        hints: what to do, by code, where the vendor's sentence does not say it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    code: JsonPath
    fine: tuple[str, ...] = ("0",)
    auth: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    conflict: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    words: JsonPath = ""
    hints: Mapping[str, str] = Field(default_factory=dict)

    @field_validator("fine", "auth", "busy", "conflict", "gone", mode="before")
    @classmethod
    def _as_told(cls, codes: Any) -> Any:
        return tuple(map(_text, codes)) if isinstance(codes, list | tuple) else codes

    def __call__(self, body: Any) -> None:
        """Return when the body says that it went well.

        Raises:
            AuthError, RetryableError, ConflictError, GoneError: its code is in that list.
            RejectedError: its code is in none.
        """
        found = at(self.code, body)
        if found is not None and _text(found) not in self.fine:
            self._raise(_text(found), body)

    def _raise(self, code: str, body: Any) -> NoReturn:
        said = f"the vendor answered with code {code[:40]}"
        hint = self.hints.get(code) or self._words(body)
        error: HubError
        if code in self.auth:
            error = AuthError(said, hint=hint)
        elif code in self.busy:
            error = RetryableError(said, hint=hint, maybe_done=False)
        elif code in self.gone:
            error = GoneError(said, hint=hint)
        else:
            error = (ConflictError if code in self.conflict else RejectedError)(said, hint=hint)
        error.code = code
        raise error

    def _words(self, body: Any) -> str:
        found = at(self.words, body) if self.words else None
        return "" if found is None else str(found)[:SAID_MAX]


def _text(code: Any) -> str:
    if isinstance(code, bool):
        return "true" if code else "false"
    return str(int(code)) if isinstance(code, float) and code.is_integer() else str(code)
