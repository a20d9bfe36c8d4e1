"""What is wrong with a system file, in sentences: which file, which table, which key, and what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from adapters.rest.system import System

Place = tuple[str | int, ...]
Fault = tuple[Place, str]
"""Where, and what."""


def sentence(file: str, place: Place, what: str) -> str:
    """One fault as a person reads it."""
    *table, key = place or ("",)
    where = [file, f"[{'.'.join(map(str, table))}]" if table else "", str(key)]
    return f"{' '.join(part for part in where if part)}: {what}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known word as a question; "" when none is near."""
    near = get_close_matches(word, list(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def faults_of(exc: ValidationError) -> Iterator[Fault]:
    """What the models refused."""
    for error in exc.errors(include_url=False):
        loc = tuple(error["loc"])
        place, model, field = _walked(loc)
        yield place, _words(error, str(loc[-1]) if loc else "", model, field)


def _words(error: Any, key: str, model: Any, field: Any) -> str:
    match error["type"]:
        case "extra_forbidden":
            known = [name for one in _models(model) for name in one.model_fields]
            return f"there is no such key{did_you_mean(key, known)}"
        case "missing":
            return "it is missing"
        case "literal_error":
            words = [str(word) for word in _literals(field)]
            given = str(error["input"])
            return f'"{given}" is none of {", ".join(words)}{did_you_mean(given, words)}'
        case "union_tag_invalid":
            tags = [tag for one in _models(field) for tag in _tags(one)]
            given = str(error["ctx"]["tag"])
            return f'kind "{given}" is none of {", ".join(tags)}{did_you_mean(given, tags)}'
        case "union_tag_not_found":
            return "kind is missing"
    said: str = error["msg"]
    return said.removeprefix("Value error, ")


def _walked(loc: Place) -> tuple[Place, Any, Any]:
    """The place as the file has it, what stands around it, and what it should be."""
    place: list[str | int] = []
    around: Any = System
    here: Any = System
    for step in loc:
        tagged = [one for one in _models(here) if step in _tags(one)]
        if tagged and len(_models(here)) > 1:
            here = tagged[0]
            continue
        place.append(step)
        around, here = here, _below(here, step)
    return tuple(place), around, here


def _below(of: Any, step: str | int) -> Any:
    for model in _models(of):
        if step in model.model_fields:
            return model.model_fields[str(step)].annotation
    for option in _options(of):
        if get_origin(option) is dict:
            return get_args(option)[1]
        if get_origin(option) in (tuple, list):
            return get_args(option)[0]
    return None


def _options(of: Any) -> list[Any]:
    if get_origin(of) is Annotated:
        return _options(get_args(of)[0])
    if get_origin(of) in (Union, UnionType):
        return [found for option in get_args(of) for found in _options(option)]
    return [of]


def _models(of: Any) -> list[type[BaseModel]]:
    found = [one for one in _options(of) if isinstance(one, type) and not get_args(one)]
    return [one for one in found if issubclass(one, BaseModel)]


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind and get_origin(kind.annotation) is Literal else ()


def _literals(of: Any) -> list[Any]:
    options = (one for one in _options(of) if get_origin(one) is Literal)
    return [word for option in options for word in get_args(option)]
