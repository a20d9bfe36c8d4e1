"""A system file, read and checked as a whole: every fault is told at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters.rest.faults import Fault, Place, did_you_mean, faults_of, sentence
from adapters.rest.system import (
    BasicAuth,
    Pattern,
    SessionAuth,
    Sign,
    Streamed,
    System,
    is_jmespath,
)
from adapters.rest.template import ARGUMENTS, names_in
from hub.sdk import ConfigError

SYSTEMS = Path(__file__).with_name("systems")

READS = ("since", "until", "page", "offset", "cursor", "size")
WRITES = ("key", "marker", "values", "fields.*")
PLACES: dict[str, tuple[str, ...]] = {
    "read": READS,
    "survey": READS,
    "one": ("id",),
    "find": ("name", "value", "size"),
    "lookup": WRITES,
    "create": WRITES,
    "update": ("id", "version", *WRITES),
    "upsert": ("id", "version", *WRITES),
    "action": ("id", "version", *WRITES),
}
"""What a template may name in each request of a stream, beside the connection's values."""

SIGNED = ("method", "path", "query", "body", "params", "nonce")
RESERVED = frozenset(
    {name for names in PLACES.values() for name in names}
    | {*SIGNED, "null", "token", "signature", "word", "secrets", "kept", "fields"}
)

TURNS = {"page": "page", "offset": "offset", "cursor": "cursor", "keyset": "cursor"}
"""What the request of a paged stream must name."""


def load(path: Path) -> System:
    """The system a file describes.

    Raises:
        ConfigError: every fault, one per line.
    """
    file = f"{path.parent.name}/{path.name}"
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        known = ", ".join(shipped())
        raise ConfigError(
            f"the system file {path} cannot be read",
            hint=f"Name one beside settings.toml, or one of: {known}.",
        ) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file} is not TOML: {exc}", hint="Mend that line.") from exc
    try:
        system = System.model_validate(_alike(told))
    except ValidationError as exc:
        raise _refusal(file, faults_of(exc)) from None
    if found := list(_faults(system)):
        raise _refusal(file, found)
    return system


def _alike(told: dict[str, Any]) -> dict[str, Any]:
    """The file, with what each stream has from the one it is like."""
    kinds = [told.get(kind) for kind in ("patterns", "streams")]
    tables = [kind for kind in kinds if isinstance(kind, dict)]
    known = {name: one for kind in tables for name, one in kind.items() if isinstance(one, dict)}
    for kind in tables:
        for name, one in kind.items():
            base = known.get(str(one.get("like", ""))) if isinstance(one, dict) else None
            if base is not None and "like" not in base:
                kind[name] = {**base, **one}
    return told


def shipped() -> list[str]:
    """The names of the systems that come with the hub."""
    return sorted(path.stem for path in SYSTEMS.glob("*.toml"))


def _refusal(file: str, found: Iterable[Fault]) -> ConfigError:
    lines = [sentence(file, *fault) for fault in found]
    return ConfigError("\n".join(lines), hint="Mend that; docs/rest.md explains every key.")


def _faults(system: System) -> Iterator[Fault]:
    names = (*system.values, *(f"secrets.{name}" for name in system.secrets))
    yield from _of_names(system)
    yield from _of_system(system, names)
    streams: dict[Place, Streamed] = {("streams", n): s for n, s in system.streams.items()}
    streams |= {("patterns", n): p for n, p in system.patterns.items()}
    for place, stream in streams.items():
        yield from _of_likeness(place, stream, {str(name): s for (_, name), s in streams.items()})
        own = tuple(stream.values) if isinstance(stream, Pattern) else ()
        yield from _of_templates(place, stream, (*names, *own))
        yield from _of_stream(place, stream)
    yield from _of_webhook(system, streams)


def _of_names(system: System) -> Iterator[Fault]:
    declared: dict[Place, str] = {("values", name): name for name in system.values}
    for pattern, found in system.patterns.items():
        declared |= {("patterns", pattern, "values", name): name for name in found.values}
    for place, name in declared.items():
        if name in RESERVED or not name.isidentifier():
            yield place, "this name has a meaning of its own here; choose another"


def _of_system(system: System, names: tuple[str, ...]) -> Iterator[Fault]:
    about = system.system
    yield from _unknown(("system", "base"), about.base, names)
    yield from _unknown(("system", "headers"), about.headers, names)
    if about.check:
        for key, template in about.check.templates():
            yield from _unknown(("system", "check", key), template, names)
    if system.codec:
        yield from _unknown(("codec", "item"), system.codec.item, (*names, "name", "value"))
    if isinstance(system.auth, SessionAuth):
        yield from _of_session(system.auth, names)
    else:
        for key, template in system.auth.model_dump().items():
            yield from _unknown(("auth", key), template, names)
    if system.sign:
        yield from _of_sign(system.sign, names)
        if isinstance(system.auth, BasicAuth):
            yield ("auth", "kind"), "a signed request cannot show user and password as well"


def _of_session(auth: SessionAuth, names: tuple[str, ...]) -> Iterator[Fault]:
    kept: tuple[str, ...] = ()
    for index, step in enumerate(auth.first):
        for key, template in step.templates():
            yield from _unknown(("auth", "first", index, key), template, (*names, *kept))
        kept += tuple(f"kept.{name}" for name in step.keep)
    for key, template in auth.login.templates():
        yield from _unknown(("auth", "login", key), template, (*names, *kept))
    for key in ("headers", "query", "body"):
        yield from _unknown(("auth", key), getattr(auth, key), (*names, *kept, "token"))
    if not (auth.headers or auth.query or auth.body):
        yield ("auth", "headers"), 'nothing shows the token; such as {Authorization = "{token}"}'
    if not auth.token.startswith(("cookie:", "header:")):
        yield from _path(("auth", "token"), auth.token)


def _of_sign(sign: Sign, names: tuple[str, ...]) -> Iterator[Fault]:
    yield from _unknown(("sign", "parts"), sign.parts, (*names, *SIGNED))
    yield from _unknown(("sign", "key"), sign.key, names)
    for key in ("headers", "query", "body"):
        shown = (*names, *SIGNED, "signature")
        yield from _unknown(("sign", key), getattr(sign, key), shown)
    if sign.digest.startswith("hmac") and not sign.key:
        yield ("sign", "key"), f"{sign.digest} needs one"
    if not sign.digest.startswith("hmac") and "secrets." not in "".join(sign.parts):
        yield ("sign", "parts"), f"{sign.digest} proves nothing without a secret among them"
    if not (sign.headers or sign.query or sign.body):
        yield ("sign", "headers"), 'nothing shows the signature; such as {X-Sign = "{signature}"}'


def _of_likeness(place: Place, stream: Streamed, known: dict[str, Streamed]) -> Iterator[Fault]:
    other = known.get(stream.like)
    if stream.like and (other is None or other is stream):
        yield (*place, "like"), f'there is no "{stream.like}"{did_you_mean(stream.like, known)}'
    elif other is not None and other.like:
        yield (*place, "like"), f"{stream.like} is itself like another; name that one"


def _of_templates(place: Place, stream: Streamed, names: tuple[str, ...]) -> Iterator[Fault]:
    for kind, request in stream.requests():
        for key, template in request.templates():
            yield from _unknown((*place, kind, key), template, (*names, *PLACES[kind]))
    if stream.codec:
        item = (*place, "codec", "item")
        yield from _unknown(item, stream.codec.item, (*names, "name", "value"))


def _of_stream(place: Place, stream: Streamed) -> Iterator[Fault]:
    for kind in ("read", "survey"):
        read = getattr(stream, kind)
        if read is None:
            continue
        pages, used = read.pages, {name for _, t in read.templates() for name in names_in(t)}
        turned = TURNS.get(pages.kind)
        if turned and not any(name.rpartition(":")[2] == turned for name in used):
            yield (*place, kind, "pages"), f"no part of the request names {{{turned}}}"
        if pages.kind in ("cursor", "link") and not pages.next:
            yield (*place, kind, "pages", "next"), f"{pages.kind} pages need it"
        if pages.next and pages.next != "header:link":
            yield from _path((*place, kind, "pages", "next"), pages.next)
        if pages.cap and not (stream.cursor and stream.cursor.order == "changed"):
            yield (*place, kind, "pages", "cap"), 'it works with cursor.order = "changed" only'
    yield from _of_changes(place, stream)
    yield from _of_writes(place, stream)


def _of_changes(place: Place, stream: Streamed) -> Iterator[Fault]:
    if stream.cursor and stream.read:
        used = {name for _, t in stream.read.templates() for name in names_in(t)}
        if not any(name.rpartition(":")[2] == "since" for name in used):
            yield (*place, "cursor"), "no part of the request names {since}"
    rule, shown = stream.deleted.rule, stream.survey or stream.read
    if rule == "flag" and not stream.deleted.flag:
        yield (*place, "deleted", "flag"), "it is missing"
    if rule != "sweep":
        return
    if shown is None:
        yield (*place, "deleted", "rule"), "nothing can be swept without [read] or [survey]"
    elif not (_is_steady(stream, shown.pages.kind) or shown.pages.total or stream.one):
        yield (
            (*place, "deleted", "rule"),
            "by page numbers a row may slip past unseen, and would be taken for deleted; "
            "give [one], pages.total, or another kind of pages",
        )


def _is_steady(stream: Streamed, kind: str) -> bool:
    changed = stream.cursor is not None and stream.cursor.order == "changed"
    return kind != "page" or (changed and stream.survey is None)


def _of_writes(place: Place, stream: Streamed) -> Iterator[Fault]:
    if stream.lookup and not stream.create:
        yield (*place, "lookup"), "it is for [create], which is missing"
    if stream.action and (stream.create or stream.update or stream.upsert):
        yield (*place, "action"), "a stream is written by it alone, or by the others"
    if stream.mapping is not None:
        pushed = "push" in stream.mapping
        if pushed and not stream.writable:
            yield (*place, "mapping", "push"), "the stream has no [create], [update] or the like"
        if stream.writable and not pushed:
            yield (*place, "mapping", "push"), "it is missing, and the stream can be written"


def _of_webhook(system: System, streams: dict[Place, Streamed]) -> Iterator[Fault]:
    hook = system.webhook
    if hook is None:
        return
    if (hook.recipe is None) == (not hook.token):
        yield (
            ("webhook", "recipe"),
            "give either a recipe or a token, so that nobody else is believed",
        )
    if hook.event_id and not hook.event_id.startswith("header:"):
        yield from _path(("webhook", "event_id"), hook.event_id)
    if hook.handshake:
        yield from _unknown(("webhook", "handshake", "body"), hook.handshake.body, ("word",))
        if not hook.handshake.word.startswith(("query:", "json:")):
            yield ("webhook", "handshake", "word"), "write query:NAME or json:NAME"
    acts = {*hook.operations.values(), hook.otherwise}
    for place, stream in streams.items():
        if "ref" in acts and stream.one is None:
            yield (*place, "one"), "it is missing, and webhooks only name its records (ref)"
    if not hook.stream and len(streams) > 1:
        yield ("webhook", "stream"), "it is missing, and there are several streams"


def _path(place: Place, path: str) -> Iterator[Fault]:
    try:
        is_jmespath(path)
    except ValueError as exc:
        yield place, str(exc)


def _unknown(place: Place, template: Any, known: tuple[str, ...]) -> Iterator[Fault]:
    for name in names_in(template):
        if problem := _problem(name, known):
            yield place, problem


def _problem(name: str, known: tuple[str, ...]) -> str:
    step, colon, rest = name.partition(":")
    if name == "null" or step == "now":
        return ""
    arguments = rest.split(":") if colon else [name]
    if colon and step not in ARGUMENTS:
        return f"{{{name}}}: there is no step {step}{did_you_mean(step, [*ARGUMENTS, 'now'])}"
    if colon and len(arguments) != ARGUMENTS[step]:
        return f"{{{name}}}: {step} takes {ARGUMENTS[step]} name(s)"
    for argument in arguments:
        if argument not in known and not _is_field(argument, known):
            return f"{{{argument}}} has no value here{did_you_mean(argument, known)}"
    return ""


def _is_field(name: str, known: tuple[str, ...]) -> bool:
    return name.startswith("fields.") and "fields.*" in known
