"""The engine of ``rest`` against a small server: each kind of paging, and what goes wrong in it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.rest.adapter import RestAdapter
from adapters.rest.config import RestConfig
from hub.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    RejectedError,
    RemoteError,
    RetryableError,
    UnknownOutcomeError,
)
from hub.sdk import Change, RecordRef, Stream, auth
from hub.sdk.auth import MemoryTokens
from hub.sdk.testing import walk
from tests.contract.json_server import Handler, at_a_port

BIG = 2**53
START = datetime(2026, 11, 21, 8, tzinfo=UTC)


class Shelf:
    """The vendor's side: rows by id, and what happens behind each request."""

    def __init__(self, count: int = 7) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.asked: list[dict[str, Any]] = []
        self.then: dict[int, Callable[[], None]] = {}
        self.answer: Callable[[dict[str, Any]], tuple[int, Any] | None] = lambda _: None
        self.tokens = {"t0"}
        self.given = 0
        self.newest_first = self.by_change = False
        self.most = 10_000
        self.lock = threading.Lock()
        for n in range(1, count + 1):
            self.put(n)

    def put(self, n: int, *, minute: int | None = None, **fields: Any) -> None:
        at = START + timedelta(minutes=n if minute is None else minute)
        row = {"id": BIG + n, "name": f"客户{n} 𠮷🥶", "changed": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
        self.rows[n] = row | fields

    def now(self) -> list[dict[str, Any]]:
        key = "changed" if self.by_change else "id"
        return sorted(
            self.rows.values(), key=lambda r: (r[key], r["id"]), reverse=self.newest_first
        )

    def ids(self) -> set[int]:
        return {row["id"] for row in self.rows.values()}


class Vendor(Handler):
    shelf: Shelf

    def get(self) -> None:
        self.serve({})

    def post(self) -> None:
        body = self.asked()
        form = "form" in self.headers.get("Content-Type", "")
        self.serve(
            {k: v[0] for k, v in parse_qs(body.decode()).items()}
            if form
            else json.loads(body or b"{}")
        )

    def do_PUT(self) -> None:  # noqa: N802 - http.server looks it up by this name
        self.post()

    def do_PATCH(self) -> None:  # noqa: N802
        self.post()

    def serve(self, body: dict[str, Any]) -> None:
        with self.shelf.lock:
            url = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(url.query).items()}
            asked = {
                "method": self.command, "path": url.path, "query": query, "body": body,
                "headers": dict(self.headers),
            }  # fmt: skip
            self.shelf.asked.append(asked)
            told = self.shelf.answer(asked)
            status, answer = told or (200, self.page(query | body))
            if then := self.shelf.then.pop(len(self.shelf.asked), None):
                then()
        self.answer(status, answer)

    def page(self, query: dict[str, Any]) -> dict[str, Any]:
        rows = self.shelf.now()
        if since := query.get("since"):
            rows = [row for row in rows if row["changed"] >= since]
        size = min(int(query.get("size", self.shelf.most)), self.shelf.most)
        if "page" in query:
            start = (int(query["page"]) - 1) * size
        elif "after" in query:
            start = next(
                (i for i, r in enumerate(rows) if r["id"] > int(query["after"])), len(rows)
            )
        else:
            start = int(query.get("offset") or query.get("cursor", "c0")[1:])
        some, end = rows[start : start + size], start + size
        more = end < len(rows)
        here = f"http://{self.headers['Host']}/rows?size={size}&offset={end}"
        return {
            "data": {"list": some, "total": str(len(rows)), "more": more},
            "next": f"c{end}" if more else None,
            "link": here if more else "",
        }


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def vendor(shelf: Shelf) -> Iterator[str]:
    with at_a_port(Vendor, shelf=shelf) as base:
        yield base


@pytest.fixture
def adapter(vendor: str, tmp_path: Path) -> Iterator[Callable[..., RestAdapter]]:
    made: list[RestAdapter] = []

    def make(file: str, **given: Any) -> RestAdapter:
        (tmp_path / "own.toml").write_text(file.replace("BASE", vendor), "utf-8")
        config = {"system": "own.toml", "allow_networks": ["127.0.0.0/8"], **given}
        made.append(RestAdapter(RestConfig.model_validate(config, context={"folder": tmp_path})))
        return made[-1]

    yield make
    for one in made:
        one.close()


HEAD = """
[system]
title = "Own"
base = "BASE"
"""

KINDS = {
    "none": ('path = "/rows"', 'kind = "none"'),
    "page": ('path = "/rows"\nquery = {page = "{page}", size = "{size}"}', 'kind = "page"'),
    "page in the body": (
        'path = "/rows"\nmethod = "POST"\nbody = {page = "{page}", size = "{size}"}',
        'kind = "page", total = "data.total"',
    ),
    "page with more": (
        'path = "/rows"\nquery = {page = "{page}", size = "{size}"}',
        'kind = "page", more = "data.more"',
    ),
    "page, short": (
        'path = "/rows"\nquery = {page = "{page}", size = "{size}"}',
        'kind = "page", stop = "short"',
    ),
    "offset": ('path = "/rows"\nquery = {offset = "{offset}", size = "{size}"}', 'kind = "offset"'),
    "cursor": (
        'path = "/rows"\nquery = {cursor = "{cursor}", size = "{size}"}',
        'kind = "cursor", next = "next"',
    ),
    "link": ('path = "/rows"\nquery = {size = "{size}"}', 'kind = "link", next = "link"'),
    "keyset": ('path = "/rows"\nquery = {after = "{cursor}", size = "{size}"}', 'kind = "keyset"'),
}

CHANGED = """
[streams.rows.cursor]
field = "changed"
order = "changed"
overlap_s = 0
"""


def told(kind: str, size: int = 3, more: str = "") -> str:
    request, pages = KINDS[kind]
    return f"""{HEAD}
[streams.rows]
[streams.rows.read]
{request}
rows = "data.list"
pages = {{{pages}, size = {size}}}
{more}"""


def since(kind: str, size: int = 3) -> str:
    """The same, asking for what changed."""
    file = told(kind, size, CHANGED)
    return file.replace("query = {", 'query = {since = "{since}", ')


def rows(adapter: RestAdapter) -> tuple[set[int], list[set[int]]]:
    """The ids that came, and those that came when it went on from each cursor."""
    pages, resumed = walk(adapter, Stream("rows", overlap_s=0))
    came = {row["id"] for page in pages for row in page.records}
    ways = [
        {row["id"] for page in [*pages[:n], *rest] for row in page.records}
        for n, rest in enumerate(resumed, start=1)
    ]
    return came, ways


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_everything_comes_whatever_the_size_of_a_page(
    adapter: Callable[..., RestAdapter], shelf: Shelf, kind: str, size: int
) -> None:
    one = adapter(told(kind, size))
    one.check()
    came, ways = rows(one)
    assert came == shelf.ids()
    assert all(way == came for way in ways)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_stream_is_empty(
    adapter: Callable[..., RestAdapter], shelf: Shelf, kind: str
) -> None:
    shelf.rows.clear()
    assert rows(adapter(told(kind)))[0] == set()
    assert list(adapter(told(kind)).survey(Stream("rows"), None))[-1].cursor is None


@pytest.mark.parametrize("kind", KINDS)
def test_killed_anywhere_it_goes_on_in_another_process(
    adapter: Callable[..., RestAdapter], shelf: Shelf, kind: str
) -> None:
    came: set[int] = set()
    cursor: str | None = None
    for _ in range(20):
        page = next(adapter(told(kind, 2)).pull(Stream("rows", overlap_s=0), cursor), None)
        if page is None:
            break
        came |= {row["id"] for row in page.records}
        if cursor is not None and "position" in cursor and "position" not in page.cursor:
            break
        cursor = page.cursor
    assert came == shelf.ids()


@pytest.mark.parametrize("kind", ["page", "offset", "cursor", "link", "keyset"])
def test_rows_added_while_pages_are_read(
    adapter: Callable[..., RestAdapter], shelf: Shelf, kind: str
) -> None:
    shelf.then = {1: lambda: shelf.put(8), 3: lambda: shelf.put(9)}
    assert rows(adapter(told(kind, 2)))[0] >= shelf.ids()


@pytest.mark.parametrize("kind", ["page", "offset", "cursor", "link"])
def test_rows_that_push_others_back_while_pages_are_read(
    adapter: Callable[..., RestAdapter], shelf: Shelf, kind: str
) -> None:
    shelf.newest_first, before = True, shelf.ids()
    shelf.then = {1: lambda: shelf.put(8), 2: lambda: shelf.put(9)}
    pages = list(adapter(told(kind, 2)).pull(Stream("rows"), None))
    assert {row["id"] for page in pages for row in page.records} >= before


@pytest.mark.parametrize("kind", ["page in the body", "offset", "keyset"])
@pytest.mark.parametrize("gone", [1, 2, 4])
def test_rows_deleted_while_pages_are_read_hide_no_others(
    adapter: Callable[..., RestAdapter], shelf: Shelf, kind: str, gone: int
) -> None:
    shelf.then = {1: lambda: shelf.rows.pop(gone), 4: lambda: shelf.rows.pop(7)}
    pages = list(adapter(told(kind, 2)).pull(Stream("rows"), None))
    assert {row["id"] for page in pages for row in page.records} >= shelf.ids()


@pytest.mark.parametrize("kind", ["page", "offset", "cursor"])
def test_in_order_of_change_rows_that_move_to_the_end_hide_no_others(
    adapter: Callable[..., RestAdapter], shelf: Shelf, kind: str
) -> None:
    shelf.by_change = True
    shelf.then = {1: lambda: shelf.put(1, minute=50), 2: lambda: shelf.put(3, minute=51)}
    pages = list(adapter(since(kind, 2)).pull(Stream("rows", overlap_s=0), None))
    seen = {(row["id"], row["changed"]) for page in pages for row in page.records}
    assert seen >= {(row["id"], row["changed"]) for row in shelf.rows.values()}


def test_more_rows_of_one_instant_than_fit_a_page(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    shelf.by_change = True
    for n in range(1, 8):
        shelf.put(n, minute=5)
    assert rows(adapter(since("page", 2)))[0] == shelf.ids()


def test_a_vendor_that_gives_fewer_rows_than_asked_for(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    shelf.most = 2
    for kind in ("page", "page in the body", "offset", "keyset", "page with more"):
        assert rows(adapter(told(kind, 5)))[0] == shelf.ids(), kind


def test_a_row_without_a_readable_time_stops_nobody(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    shelf.put(3, changed="0000-not-a-time")
    assert rows(adapter(since("page", 100)))[0] == shelf.ids()


def test_behind_the_end_some_give_the_last_page_again(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    def clamped(asked: dict[str, Any]) -> tuple[int, Any]:
        start = min(int(asked["query"]["page"]) - 1, 2) * 3
        return 200, {"data": {"list": shelf.now()[start : start + 3]}}

    shelf.answer = clamped
    assert rows(adapter(told("page")))[0] == shelf.ids()


def test_a_page_that_does_not_turn_is_told(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    same = {"data": {"list": shelf.now()[:3], "more": True}}
    shelf.answer = lambda _: (200, same)
    with pytest.raises(RemoteError, match="same page"):
        rows(adapter(told("page with more")))


def test_a_cursor_that_was_forgotten_costs_that_read_only(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    first = next(adapter(told("cursor")).pull(Stream("rows"), None))

    def forgotten(asked: dict[str, Any]) -> tuple[int, Any] | None:
        return (400, {"error": "unknown cursor"}) if "cursor" in asked["query"] else None

    shelf.answer = forgotten
    shelf.then = {len(shelf.asked) + 1: lambda: setattr(shelf, "answer", lambda _: None)}
    pages = list(adapter(told("cursor")).pull(Stream("rows"), first.cursor))
    assert {row["id"] for page in pages for row in page.records} == shelf.ids()


def test_an_address_of_another_host_is_not_followed(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    elsewhere = {"data": {"list": shelf.now()[:1]}, "link": "https://evil.example.com/rows?x=1"}
    shelf.answer = lambda _: (200, elsewhere)
    with pytest.raises(ConfigError, match="another address"):
        rows(adapter(told("link")))


def test_a_survey_tells_ids_and_versions_and_goes_on_from_each_cursor(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    mapping = '[streams.rows.mapping]\nto = "Person"\nfields = {name = "name"}\n'
    shelf.by_change = True
    one = adapter(since("page", 2) + mapping)
    pages = list(one.survey(Stream("rows"), None))
    seen = {s.id: s.version for page in pages for s in page.sightings}
    assert seen == {
        str(row["id"]): row["changed"].replace("Z", ".000000Z") for row in shelf.rows.values()
    }
    rest = list(one.survey(Stream("rows"), pages[0].cursor))
    assert {s.id for page in [pages[0], *rest] for s in page.sightings} == set(seen)


# Log-ins

SESSION = (
    HEAD
    + """
[secrets.password]
description = "The password"
[auth]
kind = "session"
login = {method = "POST", path = "/login", body = {user = "hub", password = "{secrets.password}"}}
token = "token"
expires_in = "lasts"
headers = {Authorization = "{token}"}
[answers]
code = "code"
fine = ["0", "200"]
auth = ["401"]
busy = ["429"]
words = "message"
"""
    + told("page", 3).replace(HEAD, "")
)


def door(shelf: Shelf, *, by_status: bool) -> Callable[[dict[str, Any]], tuple[int, Any] | None]:
    """A vendor that hands out tokens and takes the newest only."""

    def answer(asked: dict[str, Any]) -> tuple[int, Any] | None:
        if asked["path"] == "/login":
            if asked["body"]["password"] != "secret-4711":
                return 200, {"code": 5001, "message": "wrong password secret-4711"}
            shelf.given += 1
            shelf.tokens = {f"t{shelf.given}"}
            return 200, {"code": "200", "token": f"t{shelf.given}", "lasts": 7200}
        if asked["headers"].get("Authorization") in shelf.tokens:
            return None
        return (401, {}) if by_status else (200, {"code": 401, "message": "token expired"})

    return answer


@pytest.mark.parametrize("by_status", [True, False])
def test_a_token_that_ends_in_flight_is_renewed_once(
    adapter: Callable[..., RestAdapter],
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    *,
    by_status: bool,
) -> None:
    shelf.answer = door(shelf, by_status=by_status)
    shelf.tokens.clear()
    one = adapter(SESSION, secrets={"password": "secret-4711"})
    old = datetime.now(UTC) - timedelta(minutes=30)
    one.tokens = MemoryTokens(auth.Tokens("t0", since=old))
    one.check()
    assert shelf.given == 1
    shelf.then = {len(shelf.asked) + 2: lambda: shelf.tokens.clear()}
    soon = datetime.now(UTC) + timedelta(minutes=5)
    monkeypatch.setattr(auth, "now", lambda: soon)
    came = {row["id"] for page in one.pull(Stream("rows"), None) for row in page.records}
    assert came == shelf.ids()
    assert shelf.given == 2


def test_a_log_in_that_is_refused_shows_no_password(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    shelf.answer = lambda _: (200, {"code": 5001, "message": "wrong password nope-1234"})
    with pytest.raises(AuthError) as caught:
        adapter(SESSION, secrets={"password": "nope-1234"}).check()
    assert "nope-1234" not in f"{caught.value} {caught.value.hint}"
    assert "wrong password" in caught.value.hint


def test_a_token_in_a_cookie_an_address_and_a_body(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    shelf.answer = door(shelf, by_status=True)
    carried = """headers = {Authorization = "{token}", Cookie = "sid={token}"}
query = {token = "{token}"}"""
    one = adapter(
        SESSION.replace('headers = {Authorization = "{token}"}', carried),
        secrets={"password": "secret-4711"},
    )
    one.check()
    asked = shelf.asked[-1]
    assert (asked["headers"]["Cookie"], asked["query"]["token"]) == ("sid=t1", "t1")


SIGNED = (
    HEAD
    + """
[values.app]
description = "App"
[secrets.key]
description = "Key"
[sign]
parts = ["{method}", "{path}", "{query}", "{now:ms}", "{nonce}", "{body}"]
separator = "\\n"
key = "{secrets.key}"
headers = {X-Sign = "{signature}", X-Time = "{now:ms}", X-Nonce = "{nonce}", X-App = "{app}"}
"""
)


def test_a_signature_is_of_what_is_sent(adapter: Callable[..., RestAdapter], shelf: Shelf) -> None:
    file = SIGNED + told("page").replace(HEAD, "")
    adapter(file, values={"app": "a1"}, secrets={"key": "k"}).check()
    asked = shelf.asked[-1]
    sent = {name.lower(): value for name, value in asked["headers"].items()}
    message = "\n".join(["GET", "/rows", "page=1&size=3", sent["x-time"], sent["x-nonce"], ""])
    assert sent["x-sign"] == hmac.new(b"k", message.encode(), hashlib.sha256).hexdigest()
    assert sent["x-app"] == "a1"
    assert len(sent["x-time"]) == 13


def test_a_signature_of_sorted_parameters_in_the_body(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    file = (
        SIGNED.split("[sign]")[0]
        + """
[sign]
parts = ["{params}", "{secrets.key}"]
pair = ""
joint = ""
digest = "md5"
encoding = "HEX"
body = {sign = "{signature}"}
"""
        + told("page in the body").replace(HEAD, "")
    )
    adapter(file, values={"app": "a1"}, secrets={"key": "k"}).check()
    expected = hashlib.md5(b"page1size3k").hexdigest().upper()  # noqa: S324 - the vendor's choice
    assert shelf.asked[-1]["body"] == {"page": 1, "size": 3, "sign": expected}


def test_what_is_encrypted_for_the_vendor_only_it_can_read(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    told_key = base64.b64encode(public).decode()

    def opened(sealed: str) -> str:
        return private.decrypt(base64.b64decode(sealed), PKCS1v15()).decode()

    def answer(asked: dict[str, Any]) -> tuple[int, Any] | None:
        if asked["path"] == "/key":
            return 200, {"spk": told_key, "secrit": "s3cr1t"}
        if asked["path"] == "/token":
            fits = opened(asked["headers"]["secret"]) == "s3cr1t"
            return (200, {"token": "tok"}) if fits else (401, {})
        fits = asked["headers"]["token"] == "tok" and opened(asked["headers"]["userid"]) == "77"
        return None if fits else (401, {})

    shelf.answer = answer
    file = (
        HEAD
        + """
[values.user]
description = "User"
[auth]
kind = "session"
token = "token"
headers = {token = "{token}", userid = "{rsa:kept.spk:user}"}
[auth.login]
method = "POST"
path = "/token"
headers = {secret = "{rsa:kept.spk:kept.secret}"}
[[auth.first]]
method = "POST"
path = "/key"
body = {}
keep = {spk = "spk", secret = "secrit"}
"""
        + told("page").replace(HEAD, "")
    )
    assert rows(adapter(file, values={"user": "77"}))[0] == shelf.ids()


# Errors, single records, writes

WRITES = (
    told("page", 3)
    + """
[answers]
code = "code"
fine = ["1"]
auth = ["10"]
busy = ["20"]
conflict = ["30"]
gone = ["98"]
words = "msg"
[streams.rows.one]
path = "/rows/{id}"
row = "row"
gone = ["404", "99"]
[streams.rows.create]
method = "POST"
path = "/rows"
headers = {Idempotency-Key = "{uuid:key}"}
body = {data = "{values}", ref = "{marker}"}
id = "row.id"
idempotent = true
[streams.rows.update]
method = "PATCH"
path = "/rows/{id}"
body = "{values}"
[codec]
item = {value = "{value}"}
"""
)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, {"code": 10, "msg": "expired"}, AuthError),
        (200, {"code": "20", "msg": "slow"}, RetryableError),
        (200, {"code": 30, "msg": "newer"}, ConflictError),
        (200, {"code": 40, "msg": "no"}, RejectedError),
        (400, {"code": 20, "msg": "slow"}, RetryableError),
        (400, {"code": 10, "msg": "expired"}, AuthError),
        (422, {"code": 41, "msg": "no"}, RejectedError),
        (409, {"msg": "newer"}, ConflictError),
        (503, {"code": 40}, RetryableError),
    ],
)
def test_no_is_understood_with_whatever_status(
    adapter: Callable[..., RestAdapter],
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: Any,
    error: type[Exception],
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    shelf.answer = lambda _: (status, body)
    with pytest.raises(error) as caught:
        adapter(WRITES).push(Stream("rows"), Change("5", {"name": "x"}, "k"))
    assert type(caught.value) is error or isinstance(caught.value, RejectedError)
    if "msg" in body:
        assert body["msg"] in f"{caught.value.hint}"  # type: ignore[attr-defined]


def test_a_record_that_is_gone_and_one_that_was_refused(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    one, ref = adapter(WRITES), RecordRef("rows", f"{BIG + 1}")
    shelf.answer = lambda _: (200, {"row": {"id": BIG + 1}})
    assert one.fetch(ref) == {"id": BIG + 1}
    for gone in (
        (404, {"msg": "none"}),
        (200, {"code": 99}),
        (400, {"code": "99"}),
        (200, {"code": 98}),
    ):
        shelf.answer = lambda _, gone=gone: gone  # type: ignore[misc]
        assert one.fetch(ref) is None
    shelf.answer = lambda _: (400, {"code": 97})
    with pytest.raises(RejectedError):
        one.fetch(ref)


def test_an_idempotent_write_is_sent_again_with_the_same_key(
    adapter: Callable[..., RestAdapter], shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    shelf.answer = lambda _: (502, None) if len(shelf.asked) == 1 else (200, {"row": {"id": BIG}})
    one = adapter(WRITES)
    receipt = one.push(Stream("rows"), Change(None, {"name": "王 𠮷"}, "k", "hub-1"))
    assert (receipt.id, one.looks_up) == (str(BIG), True)
    first, second = shelf.asked
    assert first["body"] == second["body"] == {"data": {"name": {"value": "王 𠮷"}}, "ref": "hub-1"}
    assert first["headers"]["Idempotency-Key"] == second["headers"]["Idempotency-Key"]


def test_a_write_that_is_not_is_sent_once_and_waits_for_a_person(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    one = adapter(WRITES.replace("idempotent = true", ""))
    shelf.answer = lambda _: (502, None)
    with pytest.raises(UnknownOutcomeError):
        one.push(Stream("rows"), Change(None, {"name": "x"}, "k"))
    assert (len(shelf.asked), one.looks_up) == (1, False)


def test_a_made_record_without_an_id_is_not_taken_for_a_failure(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    shelf.answer = lambda _: (200, {"row": {}})
    with pytest.raises(UnknownOutcomeError, match="no id"):
        adapter(WRITES).push(Stream("rows"), Change(None, {"name": "x"}, "k"))


def test_fields_as_a_list_and_a_condition_with_nothing_to_say(
    adapter: Callable[..., RestAdapter], shelf: Shelf
) -> None:
    file = WRITES.replace(
        'item = {value = "{value}"}', 'each = "list"\nitem = {id = "{name}", value = "{value}"}'
    ).replace(
        'body = {data = "{values}", ref = "{marker}"}',
        'body = {data = "{values}", none = "{null}", cond = {"{if}" = "fields.x", x = 1}}',
    )
    shelf.answer = lambda _: (200, {"row": {"id": 1}})
    adapter(file).push(Stream("rows"), Change(None, {"a": 1, "b": None, "c": [2]}, "k"))
    data = [{"id": "a", "value": 1}, {"id": "b"}, {"id": "c", "value": [2]}]
    assert shelf.asked[-1]["body"] == {"data": data, "none": None}


def test_discover_names_what_rows_have(adapter: Callable[..., RestAdapter], shelf: Shelf) -> None:
    shelf.put(2, address={"city": "上海", "geo": {"x": 1.5}}, tags=["a"], note=None)
    (found,) = adapter(since("page")).discover()
    assert (found.stream, found.key, found.version) == ("rows", "id", "changed")
    assert found.fields["address.city"] == "上海"
    assert found.fields["address.geo.x"] == 1.5
    assert {"id", "name", "changed", "tags", "note"} <= found.fields.keys()
