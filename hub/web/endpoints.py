"""What the endpoints of the API share: parameters checked, answers described and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NoReturn, TypeVar, cast

import orjson
from flask import Flask, Response, abort, current_app, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.web import lookup
from hub.web.auth import caller

Q = TypeVar("Q", bound="Query")
B = TypeVar("B", bound=BaseModel)
View = TypeVar("View", bound=Callable[..., Any])


class Query(BaseModel):
    """What may stand behind the question mark; a misspelt name is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


class Paged(Query):
    """A page of a list."""

    limit: int = Field(default=20, ge=1, le=100, description="how many at most")
    cursor: str | None = Field(
        default=None, max_length=4096, description="`next` of the page before"
    )


@dataclass(frozen=True)
class Operation:
    """What the OpenAPI document says about a view."""

    answer: type[BaseModel]
    summary: str
    query: type[Query]
    errors: tuple[int, ...]
    status: int
    body: type[BaseModel] | None = None
    tagged: bool = False


def documented(
    answer: type[BaseModel],
    summary: str,
    *,
    query: type[Query] = Query,
    errors: tuple[int, ...] = (),
    status: int = 200,
    body: type[BaseModel] | None = None,
    tagged: bool = False,
) -> Callable[[View], View]:
    """Say what a view answers; its docstring is the longer description.

    Args:
        tagged: whether the answer is ``revalidated``.
    """

    def note(view: View) -> View:
        with_body = (413, 415) if body else ()
        every = (400, 401, 403, *errors, 406, *with_body, 429, 503)
        told = Operation(answer, summary, query, every, status, body, tagged)
        view.operation = told  # type: ignore[attr-defined]
        return view

    return note


def parameters(model: type[Q]) -> Q:
    """The request's parameters, or 400 naming the faulty one."""
    repeated = [name for name in request.args if len(request.args.getlist(name)) > 1]
    if repeated:
        abort(400, f"{repeated[0]}: given more than once")
    if any(not value.isprintable() for value in request.args.values()):
        abort(400, "A parameter holds a character that cannot be printed.")
    try:
        return model.model_validate(request.args.to_dict())
    except ValidationError as exc:
        _refuse(exc)


def content(model: type[B]) -> B:
    """The request's body, or 400 naming the faulty field; 415 for what is not JSON."""
    if request.mimetype != "application/json":
        abort(415, "Send application/json.")
    try:
        return model.model_validate_json(request.get_data())
    except ValidationError as exc:
        _refuse(exc)


def _refuse(exc: ValidationError) -> NoReturn:
    fault = exc.errors(include_url=False, include_input=False, include_context=False)[0]
    abort(400, f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}")


def as_seen(document: dict[str, Any]) -> dict[str, Any]:
    """The document as this caller may see it."""
    shown: dict[str, Any] = lookup.seen_by(caller(), orjson.loads(_dumped(document)))
    return shown


def promised(told: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """What the document promises of it, and nothing else."""
    return model.model_validate(told).model_dump()


def _dumped(document: object) -> bytes:
    # SQLAlchemy's names extend str.
    return orjson.dumps(document, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def as_json(document: object, status: int = 200, *, plain: bool = False) -> Response:
    """The answer, as this caller may see it.

    Args:
        plain: it holds a link or a secret of which not a sign may be hidden.
    """
    told = _dumped(document)
    if caller().sees_masked and not plain:
        told = _dumped(lookup.seen_by(caller(), orjson.loads(told)))
    return Response(told, status, mimetype="application/json")


def revalidated(answer: Response) -> Response:
    """The answer under a tag, or 304 for whoever has it.

    The tag is a digest of the very bytes, so who sees phones masked has another one.
    """
    answer.set_etag(blake2b(answer.get_data(), digest_size=16).hexdigest())
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.vary.update(("Authorization", "Cookie"))
    return cast("Response", answer.make_conditional(request))


def install(app: Flask) -> None:
    """Tell whoever wants no JSON that there is nothing else."""
    app.before_request(_refuse_other_types)


def _refuse_other_types() -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    wanted = request.accept_mimetypes
    if wanted and hasattr(view, "operation") and not wanted.best_match(["application/json"]):
        abort(406, "Answers are application/json.")
