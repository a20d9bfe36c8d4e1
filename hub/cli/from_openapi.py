"""A first system file for the adapter ``rest``, drafted from an OpenAPI description (2.0, 3.x).

What can be recognised is written down: streams from operations that list, their ids, how they are
paged, how one is let in. Where a person must look stands TODO. The file loads as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hub.errors import ConfigError
from hub.mapping.draft import draft

Json = dict[str, Any]

PAGES = {
    "page": "page pagenumber pageno pageindex pagenum p",
    "offset": "offset skip start startat",
    "keyset": "startingafter sinceid afterid",
    "cursor": "cursor pagetoken nexttoken continuation after starttoken nextcursor marker",
}
"""Kinds of paging by names of the parameter that turns the page, compared without case and _."""

SIZES = "limit perpage pagesize size count maxresults top take rows"
SINCE = (
    "updatedsince modifiedsince updatedafter modifiedafter changedsince changedfrom updatedfrom "
    "since updatedatgte lastmodified"
)
CHANGED = "updatedat updated modifiedat modified lastmodified updatetime changedat lastupdated"
IDS = "id uuid guid key number"
NEXT = "next nextcursor nextpagetoken nexttoken cursor nextpage nextlink"
MORE = "hasmore more hasnext hasnextpage"
TOTAL = "total totalcount totalresults count totalelements"

WORDS = {"type": "type event eventtype action", "record": "data object payload record resource"}
DELETED = re.compile(r"delet|remov|destroy")
DEEPEST = 6


@dataclass
class Listed:
    """One operation that lists records."""

    name: str
    path: str
    method: str
    operation: Json
    rows: str
    row: Json
    answer: Json
    headers: Json
    inside: tuple[str, ...] = ()  # parameters of the path that a connection gives
    notes: list[str] = field(default_factory=list)


def read(path: Path) -> Json:
    """The document in a file.

    Raises:
        ConfigError: it is none.
    """
    try:
        text = path.read_text("utf-8")
        told = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read") from exc
    except (yaml.YAMLError, ValueError) as exc:
        raise ConfigError(f"{path} is neither JSON nor YAML") from exc
    if not isinstance(told, dict) or not isinstance(told.get("paths"), dict):
        raise ConfigError(
            f"{path} is no OpenAPI description", hint="It has `openapi` or `swagger`, and `paths`."
        )
    return told


def drafted(document: Json, name: str) -> tuple[str, list[str]]:
    """The text of a system file, and the names of its streams."""
    drafter = _Drafter(document)
    return drafter.text(name), [one.name for one in drafter.listed]


class _Drafter:
    def __init__(self, document: Json) -> None:
        self.document = document
        self.secrets: dict[str, str] = {}
        self.values: dict[str, tuple[str, str]] = {}  # description, default
        self.skipped: list[str] = []
        self.listed = self._listed()

    def text(self, name: str) -> str:
        streams = [line for one in self.listed for line in self._stream(one)]
        auth = self._auth()
        webhook = self._webhook()
        info = self.document.get("info") or {}
        title = str(info.get("title") or name)
        base = self._base()
        head = [
            f"# {title}: drafted from its OpenAPI description. Look at every TODO; docs/rest.md",
            "# explains each key. Then: hub check, hub discover, hub mapping preview.",
            "",
            "[system]",
            f"title = {_toml(title)}",
            f"docs = {_toml(self._docs())}",
            f"checked = {datetime.now(UTC):%Y-%m-%d}",
            'base = "{base}"',
            "",
            "[values.base]",
            'description = "Address of the API"',
            *(
                [f"default = {_toml(base)}"]
                if base
                else ["# TODO: the description names no address"]
            ),
        ]
        return (
            "\n".join([*head, *self._declared(), *auth, *streams, *webhook, *self._left()]) + "\n"
        )

    # The whole

    def _docs(self) -> str:
        outside = self.document.get("externalDocs") or {}
        return str(outside.get("url") or "")

    def _base(self) -> str:
        if servers := self.document.get("servers"):
            url = str(servers[0].get("url", ""))
            for name, one in (servers[0].get("variables") or {}).items():
                url = url.replace("{" + name + "}", str(one.get("default", "")))
            return url.rstrip("/") if url.startswith("http") else ""
        if host := self.document.get("host"):
            scheme = (self.document.get("schemes") or ["https"])[0]
            return f"{scheme}://{host}{self.document.get('basePath', '')}".rstrip("/")
        return ""

    def _declared(self) -> list[str]:
        lines = []
        for name, (description, default) in self.values.items():
            lines += ["", f"[values.{name}]", f"description = {_toml(description)}"]
            lines += [f"default = {_toml(default)}"] if default else []
        for name, description in self.secrets.items():
            lines += ["", f"[secrets.{name}]", f"description = {_toml(description)}"]
        return lines

    def _auth(self) -> list[str]:
        components = self.document.get("components") or {}
        schemes = (
            components.get("securitySchemes") or self.document.get("securityDefinitions") or {}
        )
        wanted = [name for one in self.document.get("security") or [] for name in one]
        ranked = [*wanted, *schemes]
        told = [self.resolved(schemes[name]) for name in ranked if name in schemes]
        for scheme in told:
            if lines := self._auth_of(scheme):
                return ["", "[auth]", *lines]
        return ["", "# TODO: say how we are let in", "[auth]", 'kind = "none"']

    def _auth_of(self, scheme: Json) -> list[str]:
        kind, how = scheme.get("type"), str(scheme.get("scheme", "")).lower()
        words = str(scheme.get("description") or "").strip().partition("\n")[0]
        if kind == "apiKey":
            self.secrets["key"] = words or "The API key"
            name, place = str(scheme.get("name")), str(scheme.get("in"))
            if place == "cookie":
                return ['kind = "key"', f'headers = {{ Cookie = "{name}={{secrets.key}}" }}']
            table = "query" if place == "query" else "headers"
            return ['kind = "key"', f'{table} = {{ {_key(name)} = "{{secrets.key}}" }}']
        if kind == "basic" or (kind == "http" and how == "basic"):
            self.secrets["password"] = words or "Password of that user"
            self.values["user"] = ("User the hub signs in as", "")
            return ['kind = "basic"', 'user = "{user}"', 'password = "{secrets.password}"']
        if kind == "http" and how == "bearer":
            self.secrets["token"] = words or "A token that lasts"
            return ['kind = "bearer"', 'token = "{secrets.token}"']
        return self._oauth(scheme, words) if kind == "oauth2" else []

    def _oauth(self, scheme: Json, words: str) -> list[str]:
        flows = scheme.get("flows") or {}
        flow = flows.get("clientCredentials") or {}
        url = flow.get("tokenUrl") or (
            scheme.get("tokenUrl") if scheme.get("flow") == "application" else None
        )
        if not url:
            self.secrets["token"] = words or "A token that lasts"
            return [
                "# TODO: it signs people in; a token that lasts will do, where there is one",
                'kind = "bearer"',
                'token = "{secrets.token}"',
            ]
        self.values["client_id"] = ("Id of our application", "")
        self.secrets["client_secret"] = words or "Secret of our application"
        return [
            'kind = "oauth2"',
            f"token_url = {_toml(str(url))}",
            'client_id = "{client_id}"',
            'client_secret = "{secrets.client_secret}"',
            f"scope = {_toml(' '.join(flow.get('scopes') or scheme.get('scopes') or {}))}",
        ]

    # Streams

    def _listed(self) -> list[Listed]:
        found: list[Listed] = []
        names: set[str] = set()
        paths = self.document["paths"]
        for path, item in paths.items():
            for method in ("get", "post"):
                operation = (item or {}).get(method)
                one = self._list_of(str(path), method, operation) if operation else None
                if one is None:
                    continue
                if self._is_inside(str(path), found):
                    self.skipped.append(f"{method.upper()} {path}: a list inside another record")
                    continue
                while one.name in names:
                    one.name += "_2"
                names.add(one.name)
                found.append(one)
        return found

    def _list_of(self, path: str, method: str, operation: Json) -> Listed | None:
        if method == "post" and not re.search(r"list|search|query|find", path, re.IGNORECASE):
            return None
        if path.rstrip("/").endswith("}"):
            return None
        response = self._answer(operation)
        answer = self.schema(response)
        rows = self._rows(answer)
        if rows is None:
            return None
        where, row = rows
        if not self.properties(row):
            return None
        plain = [part for part in path.split("/") if part and not part.startswith("{")]
        name = re.sub(r"\W+", "_", plain[-1] if plain else "rows").strip("_").lower() or "rows"
        inside = tuple(re.findall(r"\{([^}]+)\}", path))
        return Listed(
            name, path, method, operation, where, row, answer, self._headers(response), inside
        )

    def _is_inside(self, path: str, found: list[Listed]) -> bool:
        before, brace, _ = path.partition("/{")
        return bool(brace) and any(one.path.rstrip("/") == before for one in found)

    def _rows(self, answer: Json, deep: int = 2) -> tuple[str, Json] | None:
        """Where the list is, and what a row of it is like."""
        if answer.get("type") == "array" or "items" in answer:
            return "@", self.resolved(answer.get("items") or {})
        lists, tables = [], []
        for name, one in self.properties(answer).items():
            if one.get("type") == "array" or "items" in one:
                lists.append((_path(name), self.resolved(one.get("items") or {})))
            elif self.properties(one) and deep > 1:
                tables.append((name, one))
        rows = [one for one in lists if self.properties(one[1])]
        if rows:
            return rows[0]
        for name, one in tables:
            if below := self._rows(one, deep - 1):
                return f"{_path(name)}.{below[0]}", below[1]
        return None

    def _stream(self, one: Listed) -> list[str]:
        fields = dict(self._fields(one.row))
        id_, changed = _named(fields, IDS, one.name), _named(fields, CHANGED)
        parameters = self._parameters(one)
        turning, pages = self._pages(one, parameters, id_)
        since = _named(parameters, SINCE)
        sent = dict(turning)
        if since and changed:
            sent[since] = "{since}"
        sent |= self._required(one, parameters, sent)
        words = str(one.operation.get("summary") or one.operation.get("description") or "")
        lines = ["", f"[streams.{_key(one.name)}]"]
        if words:
            lines.append(f"description = {_toml(words.strip().partition(chr(10))[0][:120])}")
        lines.append(f"id = {_toml(_path(id_ or next(iter(fields))))}")
        lines += [] if id_ else ["# TODO: which field names a row?"]
        lines += ["every_s = 600"] if not (since and changed) else []
        lines += ["", f"[streams.{_key(one.name)}.read]"]
        lines += ['method = "POST"'] if one.method == "post" else []
        lines.append(f"path = {_toml(self._with_values(one))}")
        part = "body" if one.method == "post" else "query"
        lines += [f"{part} = {_toml(sent)}"] if sent else []
        lines += [f"rows = {_toml(one.rows)}", *pages]
        lines += self._cursor(one, changed, since)
        lines += self._one(one)
        lines += self._writes(one)
        return [*lines, *self._mapping(one, fields, id_, changed)]

    def _cursor(self, one: Listed, changed: str, since: str) -> list[str]:
        if changed and since:
            return [
                "",
                f"[streams.{_key(one.name)}.cursor]",
                f"field = {_toml(_path(changed))}",
                "# TODO: the form of its times, and whether the oldest change comes first",
                '# format = "iso"',
                '# order = "changed"',
            ]
        return ["# TODO: nothing asks for what changed only, so all is read each time"]

    def _pages(
        self, one: Listed, parameters: Mapping[str, Json], id_: str
    ) -> tuple[dict[str, str], list[str]]:
        """The parameters that turn pages, and the line that says how."""
        size = _named(parameters, SIZES)
        sent = {size: "{size}"} if size else {}
        seen = dict(self._fields(one.answer))
        next_, more = _named_path(seen, NEXT), _named_path(seen, MORE)
        told = {"more": more} if more else {}
        if total := _named_path(seen, TOTAL):
            told |= {} if more else {"total": total}
        if "link" in {name.lower() for name in one.headers}:
            return sent, [f"pages = {_toml({'kind': 'link', 'next': 'header:link'})}"]
        for kind, names in PAGES.items():
            parameter = _named(parameters, names)
            if not parameter:
                continue
            if kind == "cursor" and not next_:
                kind = "keyset"
            if kind == "keyset" and not id_:
                continue
            turns = "cursor" if kind in ("cursor", "keyset") else kind
            about: dict[str, Any] = {
                "kind": kind,
                **({"next": next_} if kind == "cursor" else told),
            }
            first = self.schema(parameters[parameter]).get("default")
            if kind == "page" and first == 0:
                about["first"] = 0
            return {parameter: f"{{{turns}}}", **sent}, [f"pages = {_toml(about)}"]
        if next_:
            return sent, [f"pages = {_toml({'kind': 'link', 'next': next_})}"]
        note = "# TODO: does one answer hold all rows?"
        return sent, [note, 'pages = { kind = "none" }']

    def _required(
        self, one: Listed, parameters: Mapping[str, Json], sent: Mapping[str, str]
    ) -> dict[str, str]:
        """Parameters a request cannot do without, as values of the connection."""
        found = {}
        for name, parameter in parameters.items():
            if parameter.get("required") and name not in sent:
                value = self._value(name, parameter)
                found[name] = f"{{{value}}}"
        return found

    def _with_values(self, one: Listed) -> str:
        path = one.path
        every = {str(p.get("name")): p for p in self._all_parameters(one)}
        for name in one.inside:
            value = self._value(name, every.get(name, {}))
            path = path.replace("{" + name + "}", "{" + value + "}")
        return path

    def _value(self, name: str, parameter: Json) -> str:
        value = re.sub(r"\W+", "_", name).strip("_").lower()
        value = f"{value}_" if value in _RESERVED or not value.isidentifier() else value
        default = self.schema(parameter).get("default")
        words = str(parameter.get("description") or f"The {name}").strip().partition("\n")[0]
        self.values.setdefault(value, (words, "" if default is None else str(default)))
        return value

    def _one(self, one: Listed) -> list[str]:
        paths = self.document["paths"]
        pattern = re.compile(re.escape(one.path.rstrip("/")) + r"/\{([^}/]+)\}/?")
        for path, item in paths.items():
            match = pattern.fullmatch(str(path))
            if match and (item or {}).get("get"):
                answer = self.schema(self._answer(item["get"]))
                row = self._row_in(answer, one.row)
                where = self._with_values(one).rstrip("/") + "/{id}"
                lines = ["", f"[streams.{_key(one.name)}.one]", f"path = {_toml(where)}"]
                return [*lines, f"row = {_toml(row)}"]
        return []

    def _row_in(self, answer: Json, row: Json) -> str:
        like = set(self.properties(row))
        inside = self.properties(answer)
        if like & set(inside):
            return "@"
        for name, one in inside.items():
            if like & set(self.properties(one)):
                return _path(name)
        return "@"

    def _writes(self, one: Listed) -> list[str]:
        """Writes as comments: they want a person's eye, and `push` in the mapping."""
        paths = self.document["paths"]
        lines: list[str] = []
        where, name = self._with_values(one), _key(one.name)
        if one.method == "get" and (paths.get(one.path) or {}).get("post"):
            lines += [
                f"# [streams.{name}.create]   # TODO: with a [.lookup], or idempotent = true",
                '# method = "POST"',
                f"# path = {_toml(where)}",
                '# body = "{values}"',
                '# id = "id"',
            ]
        for path, item in paths.items():
            inner = str(path).rpartition("/{")[0]
            method = next((m for m in ("patch", "put") if (item or {}).get(m)), "")
            if inner == one.path.rstrip("/") and method and str(path).endswith("}"):
                lines += [
                    f"# [streams.{name}.update]",
                    f'# method = "{method.upper()}"',
                    f"# path = {_toml(where.rstrip('/') + '/{id}')}",
                    '# body = "{values}"',
                ]
        return lines

    def _mapping(self, one: Listed, fields: Json, id_: str, changed: str) -> list[str]:
        flat = {name: value for name, value in fields.items() if not isinstance(value, list | dict)}
        text = draft(f"rest/{one.name}", flat, key=id_, version=changed)
        told = {
            k: v for k, v in yaml.safe_load(text).items() if k not in ("from", "key", "version")
        }
        rest = [line for line in text.splitlines() if line.startswith("#")][1:]
        place = f"streams.{_key(one.name)}.mapping"
        lines = ["", "# TODO: guessed from the names of fields; read each line", f"[{place}]"]
        lines += [f"{_key(k)} = {_toml(v)}" for k, v in told.items() if k != "fields"]
        lines += ["", f"[{place}.fields]"]
        lines += [f"{_key(k)} = {_toml(v)}" for k, v in (told.get("fields") or {}).items()]
        return [*lines, *rest]

    # Webhooks

    def _webhook(self) -> list[str]:
        hooks = self.document.get("webhooks") or self.document.get("x-webhooks") or {}
        if not hooks:
            return []
        names = [str(name) for name in hooks]
        body: Json = {}
        for item in hooks.values():
            post = (self.resolved(item or {})).get("post") or {}
            body = body or self.schema(self.resolved(post.get("requestBody") or {}))
        seen = self.properties(body)
        told = {key: _named(seen, words) for key, words in WORDS.items()}
        acts = {name: "deleted" if DELETED.search(name.lower()) else "row" for name in names}
        lines = [
            "[webhook]",
            "# TODO: how it proves itself: a recipe where it signs, else a word in a header",
            'token = "header:x-hub-token"',
            *(f"{key} = {_toml(_path(name))}" for key, name in told.items() if name),
            *(["# TODO: the word that names the stream"] if len(self.listed) > 1 else []),
            *([f"stream = {_toml(_path(told['type'] or 'type'))}"] if len(self.listed) > 1 else []),
            f"operations = {_toml(acts)}",
        ]
        if not self.listed:
            lines = [f"# {line}" for line in lines]
        return ["", *lines]

    def _left(self) -> list[str]:
        if self.listed and not self.skipped:
            return []
        note = [] if self.listed else ["", "# TODO: no operation was found that lists records"]
        return [*note, "", *(f"# Left out: {one}" for one in self.skipped)]

    # The document

    def resolved(self, node: Any) -> Json:
        """The node a local reference leads to; what is merged of several is one."""
        for _ in range(DEEPEST):
            reference = node.get("$ref") if isinstance(node, dict) else None
            if not isinstance(reference, str) or not reference.startswith("#/"):
                break
            node = self.document
            for step in reference[2:].split("/"):
                step = step.replace("~1", "/").replace("~0", "~")
                node = node.get(step, {}) if isinstance(node, dict) else {}
        return node if isinstance(node, dict) else {}

    def properties(self, schema: Json, deep: int = DEEPEST) -> dict[str, Json]:
        """The fields of an object, those of what it extends included."""
        schema = self.resolved(schema)
        found: dict[str, Json] = {}
        for part in (*(schema.get("allOf") or ()), *(schema.get("oneOf") or ())[:1]):
            found |= self.properties(part, deep - 1) if deep else {}
        own = schema.get("properties")
        if isinstance(own, dict):
            found |= {str(name): self.resolved(one) for name, one in own.items()}
        return found

    def schema(self, of: Json) -> Json:
        """The schema of a response, a body or a parameter."""
        content = of.get("content")
        if isinstance(content, dict) and content:
            chosen = next((c for kind, c in content.items() if "json" in str(kind)), None)
            return self.resolved((chosen or next(iter(content.values())) or {}).get("schema") or {})
        found = of.get("schema")
        return self.resolved(found) if isinstance(found, dict) else of

    def _answer(self, operation: Json) -> Json:
        told = operation.get("responses") or {}
        ranked = [told.get(code) for code in ("200", 200, "201", "default")]
        return self.resolved(next((one for one in ranked if one), {}))

    def _headers(self, response: Json) -> Json:
        found = response.get("headers")
        return found if isinstance(found, dict) else {}

    def _all_parameters(self, one: Listed) -> Iterator[Json]:
        item = self.document["paths"][one.path]
        told = [*(item.get("parameters") or ()), *(one.operation.get("parameters") or ())]
        yield from (self.resolved(parameter) for parameter in told)

    def _parameters(self, one: Listed) -> dict[str, Json]:
        """What a request may say: parameters of the address, or fields of its body."""
        if one.method == "post":
            body = self.resolved(one.operation.get("requestBody") or {})
            told = [p for p in self._all_parameters(one) if p.get("in") == "body"]
            schema = self.schema(told[0]) if told else self.schema(body)
            needed = schema.get("required") or []
            return {n: {**s, "required": n in needed} for n, s in self.properties(schema).items()}
        found = self._all_parameters(one)
        return {str(p["name"]): p for p in found if p.get("in") == "query" and "name" in p}

    def _fields(self, schema: Json, within: str = "", deep: int = 3) -> Iterator[tuple[str, Any]]:
        """The fields of a row, dotted, each with an example where one is given."""
        for name, one in self.properties(schema).items():
            if self.properties(one) and deep > 1:
                yield from self._fields(one, f"{within}{name}.", deep - 1)
            elif one.get("type") != "array":
                yield f"{within}{name}", one.get("example", "")


_RESERVED = frozenset(
    {
        "since", "until", "page", "offset", "cursor", "size", "id", "name", "value", "key",
        "marker", "values", "fields", "version", "method", "path", "query", "body", "params",
        "nonce", "null", "token", "signature", "word", "secrets", "kept",
    }
)  # fmt: skip
"""Names that mean something of their own in a system file."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def _compact(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _named(known: Mapping[str, Any], words: str, stream: str = "") -> str:
    """The first of the names that is one of the words, best word first; "" when none is."""
    listed = words.split()
    if stream:
        listed += [_compact(stream).removesuffix("s") + "id"]
    compact = {_compact(name): name for name in reversed([*known])}
    return next((compact[word] for word in listed if word in compact), "")


def _named_path(known: Mapping[str, Any], words: str) -> str:
    """The same by the last part of dotted names."""
    ends = {name.rpartition(".")[2]: name for name in reversed([*known])}
    found = _named(ends, words)
    return _path(ends[found]) if found else ""


def _path(name: str) -> str:
    """A name as JMESPath has it."""
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '\\"') + '"'


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _toml(name)


def _toml(value: Any) -> str:
    """A value in one line of TOML; null is an empty table there."""
    if value is None:
        return "{}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(str(k))} = {_toml(v)}" for k, v in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
