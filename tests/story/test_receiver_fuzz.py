"""Whatever is sent to the receiver, it answers below 500, loses nothing and goes on.

``HUB_TEST_EXAMPLES`` says how many new requests are made up, ``HUB_TEST_SEED`` makes the same
again.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from werkzeug.test import TestResponse, run_wsgi_app

from adapters.demo.webhook import RECIPE as DEMO
from adapters.feishu import webhook as feishu
from adapters.stripe.webhook import RECIPE as STRIPE
from adapters.telegram.webhook import HEADER as TELEGRAM
from adapters.twilio.webhook import BODY_HASH, HASHED
from adapters.twilio.webhook import FORM as TWILIO
from adapters.wecom.webhook import RECIPES as WECOM
from hub.registry import Hub
from hub.sdk import HookRequest, SignatureError
from hub.sdk.sealing import seal
from hub.sdk.signing import STANDARD, Recipe, body_hash
from tests.contract.test_garbage import ODD, jsons, texts
from tests.story.helpers import drain, scalar
from tests.story.test_receiver import receiver

Open = Callable[..., Hub]
SEED, EXAMPLES = os.environ.get("HUB_TEST_SEED"), int(os.environ.get("HUB_TEST_EXAMPLES", "0"))
SECRET, STANDARD_KEY = "shared-with-the-sender", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
AES_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
_numbers = itertools.count(1)


def fuzzed(test: Any, examples: int = 25) -> Any:
    """So many examples, the same each time unless new ones are asked for."""
    test = settings(
        max_examples=EXAMPLES or examples,
        derandomize=not (EXAMPLES or SEED),
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(test)
    return seed(int(SEED))(test) if SEED else test


# Differently shaped vendors, and how they sign whatever they send


@dataclass(frozen=True)
class Sender:
    """A connection, a genuine event of it, and the request that carries a body genuinely."""

    config: Mapping[str, Any]
    event: Callable[[str], Any]
    sign: Callable[[bytes], HookRequest]
    write: Callable[[Any], bytes] = lambda event: json.dumps(event).encode()


def bare(body: bytes = b"", **headers: str) -> HookRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HookRequest("POST", named, {}, body, datetime.now(UTC))


def second() -> str:
    return str(int(datetime.now(UTC).timestamp()))


def by(recipe: Recipe, secret: str, **headers: Callable[[], str]) -> Callable[[bytes], HookRequest]:
    return lambda body: recipe.sign(
        bare(body, **{name: value() for name, value in headers.items()}), secret
    )


def from_feishu(text: bytes) -> HookRequest:
    body = json.dumps({"encrypt": feishu.encrypt("key", text)}).encode()
    headers = {"x_lark_request_timestamp": second(), "x_lark_request_nonce": "n"}
    return feishu.EVENT.sign(bare(body, **headers), "key")


def from_wecom(text: bytes) -> HookRequest:
    body = f"<xml><Encrypt>{seal(AES_KEY, text, 'corp')}</Encrypt></xml>".encode()
    asked = replace(bare(body), query={"timestamp": second(), "nonce": "n"})
    return WECOM["xml:Encrypt"].sign(asked, SECRET)


def from_twilio(body: bytes) -> HookRequest:
    """Forms are signed by their fields, everything else by a hash of the body."""
    url = "http://localhost/hooks/twilio"
    try:
        return TWILIO.sign(replace(bare(body), url=url), SECRET)
    except SignatureError:
        query = {BODY_HASH: body_hash(body)}
        asked = replace(bare(body), url=f"{url}?{urlencode(query)}", query=query)
        return HASHED.sign(asked, SECRET)


def as_xml(event: Any) -> bytes:
    fields = event.items() if isinstance(event, dict) else [("x", event)]
    told = "".join(f"<{name}>{value}</{name}>" for name, value in fields)
    return f"<xml>{told}</xml>".encode("utf-8", "replace")


def as_form(event: Any) -> bytes:
    fields = event if isinstance(event, dict) else {"x": event}
    return urlencode({k: str(v) for k, v in fields.items()}, errors="replace").encode()


def customer(id_: str) -> dict[str, Any]:
    return {
        "id": id_, "version": "1", "name": "Li Na", "phone": "+86 139 1234 0001",
        "email": "li@example.com", "tier": "gold", "created_at": "2026-01-05T16:00:00+00:00",
    }  # fmt: skip


SENDERS = {
    "demo": Sender(
        {"adapter": "demo", "account": "fuzz", "webhook_secrets": [SECRET]},
        lambda id_: {"event_id": id_, "stream": "customers", "record": customer(id_)},
        by(DEMO, SECRET, x_demo_timestamp=second),
    ),
    "webhook": Sender(
        {"adapter": "webhook", "secrets": [STANDARD_KEY]},
        lambda id_: {"type": "order.updated", "timestamp": "2026-01-05T16:00:00Z",
                     "data": {"id": id_, "customer": {"id": "C1"}, "lines": [{"n": 1}]}},
        by(STANDARD, STANDARD_KEY, webhook_timestamp=second,
           webhook_id=lambda: f"m{next(_numbers)}"),
    ),
    "stripe": Sender(
        {"adapter": "stripe", "signing_secrets": [SECRET]},
        lambda id_: {"id": id_, "object": "event", "type": "customer.updated", "created": 1,
                     "data": {"object": {"id": id_, "object": "customer", "name": "Li",
                                         "email": "li@example.com", "address": {"city": "上海"}}}},
        by(STRIPE, SECRET, stripe_signature=lambda: f"t={second()}"),
    ),
    "feishu": Sender(
        {"adapter": "feishu", "encrypt_keys": ["key"]},
        lambda id_: {"schema": "2.0",
                     "header": {"event_id": id_, "event_type": "helpdesk.ticket.created_v1"},
                     "event": {"object": {"ticket_id": id_, "status": 1, "created_at": 17676288,
                                          "guest": {"id": {"open_id": "ou_1"}, "name": "李"}}}},
        from_feishu,
    ),
    "wecom": Sender(
        {"adapter": "wecom", "receive_ids": ["corp"], "tokens": [SECRET],
         "encoding_aes_keys": [AES_KEY]},
        lambda id_: {"MsgType": "event", "Event": "change_external_contact", "FromUserName": id_,
                     "CreateTime": 1767628800, "ExternalUserID": id_},
        from_wecom,
        as_xml,
    ),
    "twilio": Sender(
        {"adapter": "twilio", "auth_tokens": [SECRET]},
        lambda id_: {"MessageSid": id_, "Body": "hello", "From": "+8613912340001", "To": "+1555"},
        from_twilio,
        as_form,
    ),
    "telegram": Sender(
        {"adapter": "telegram", "secret_tokens": [SECRET]},
        lambda id_: {"update_id": int(id_),
                     "message": {"message_id": int(id_), "date": 1767628800, "text": "hello",
                                 "chat": {"id": 7, "type": "private"},
                                 "from": {"id": 7, "is_bot": False, "first_name": "Li"}}},
        lambda body: bare(body, **{TELEGRAM: SECRET}),
    ),
    "hook": Sender(
        {"adapter": "hook", "header_tokens": [SECRET], "stream_path": "about",
         "event_id_path": "id", "type_path": "what", "record_path": "told",
         "events_path": "all"},
        lambda id_: {"all": [{"id": id_, "about": "customers", "told": customer(id_)},
                             {"id": f"{id_}b", "about": "orders", "told": {"id": id_}}]},
        lambda body: bare(body, x_hub_token=SECRET),
    ),
}  # fmt: skip


def noise(length: int) -> str:
    """Text that no database can make shorter."""
    return "".join(hashlib.sha512(str(n).encode()).hexdigest() for n in range(length // 128 + 1))[
        :length
    ]


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


GARBAGE: dict[str, Any] = {
    "NUL": "a\x00b", "only NUL": "\x00", "half a character": "a\ud800b", "empty": "", "blank": "  ",
    "long": noise(4000), "very long": noise(100_000), "4 bytes each": "😀" * 900,
    "64 bits": 2**63, "400 digits": 10**400, "NaN": float("nan"), "-inf": float("-inf"),
    "before the first year": "0001-01-01T00:00:00+14:00", "no date": "0000-00-00",
    "after the last year": "9999-12-31T23:59:59-14:00", "far": 1e20, "1e999999": "1e999999",
    "none": None, "true": True, "list": [], "object": {}, "NUL in a key": {"a\x00": 1},
    "long key": {noise(4000): 1}, "path": "../../x?y#z%00/", "long mail": f"{noise(3000)}@a.cn",
    "long number": "1" * 5000, "deep 99": nested(99), "deep 190": nested(190),
    "deep 250": nested(250), "deep 255": nested(255), "deep 900": nested(900),
}  # fmt: skip
garbage = st.sampled_from(list(GARBAGE.values())) | jsons


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a JSON value, the whole of it included."""
    yield at
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*at, key))


def put(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """The value with something else at a place; itself when the place is gone already."""
    if not at:
        return new
    value = deepcopy(value)
    inner = value
    try:
        for key in at[:-1]:
            inner = inner[key]
        inner[at[-1]] = new
    except (LookupError, TypeError):
        pass
    return value


@st.composite
def bodies(draw: st.DrawFn, sender: Sender) -> bytes:
    """A body that its sender means, though nobody can."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.binary(max_size=100) | st.sampled_from(ODD))
    event = sender.event(str(next(_numbers)))
    for at in draw(st.lists(st.sampled_from(list(places(event))), min_size=1, max_size=3)):
        event = put(event, at, draw(garbage))
    return sender.write(event)


@pytest.fixture
def hub(open_with: Open) -> Hub:
    return open_with({name: dict(sender.config) for name, sender in SENDERS.items()})


@pytest.fixture
def client(hub: Hub) -> Iterator[FlaskClient]:
    with receiver(hub.settings) as client:
        yield client


def send(client: FlaskClient, name: str, body: bytes) -> TestResponse:
    request = SENDERS[name].sign(body)
    return client.post(
        f"/hooks/{name}",
        query_string=urlencode(request.query),
        data=request.body,
        headers=dict(request.headers),
    )


def states(hub: Hub) -> dict[str, int]:
    with hub.database.read() as conn:
        rows = conn.exec_driver_sql("SELECT state, count(*) FROM inbox GROUP BY state")
        return {row[0]: row[1] for row in rows}


def genuine_goes_on(hub: Hub, client: FlaskClient, name: str) -> None:
    """A genuine event is taken, and nothing in front of it holds it up."""
    sender = SENDERS[name]
    before = states(hub)
    assert send(client, name, sender.write(sender.event(f"9{next(_numbers)}"))).status_code < 300
    drain(hub)
    assert states(hub)["done"] > before.get("done", 0)
    assert set(states(hub)) <= {"done", "quarantined"}


@pytest.mark.parametrize("name", SENDERS)
def test_genuine_garbage_is_kept_or_refused_and_holds_nobody_up(
    hub: Hub, client: FlaskClient, name: str
) -> None:
    @fuzzed
    @given(body=bodies(SENDERS[name]))
    def taken(body: bytes) -> None:
        before = sum(states(hub).values())
        answer = send(client, name, body)
        assert answer.status_code < 300 or 400 <= answer.status_code < 500
        told = answer.get_json(silent=True) or {}
        if told.get("event"):
            assert sum(states(hub).values()) > before
            assert scalar(hub, "SELECT count(*) FROM inbox WHERE id = :id", id=told["event"]) == 1

    taken()
    drain(hub)
    genuine_goes_on(hub, client, name)


ODD_PLACES = [
    ("customers", "id"), ("customers", "name"), ("customers", "phone"), ("customers", "email"),
    ("customers", "created_at"), ("customers", "unknown"), ("customers", "version"),
    ("orders", "customer_id"), ("orders", "lines"), ("tickets", "subject"), ("messages", "text"),
]  # fmt: skip


def test_no_value_holds_up_its_lane(hub: Hub, client: FlaskClient) -> None:
    """One row of many names: a value that fits nowhere must fail alone."""
    taken = 0
    for value in GARBAGE.values():
        events: list[dict[str, Any]] = [
            {
                "stream": s,
                "event_id": f"v{next(_numbers)}",
                "record": {**customer("C1"), key: value},
            }
            for s, key in ODD_PLACES
        ]
        events += [
            {"stream": "customers", "id": value}, {"stream": value, "record": customer("C1")},
            {"stream": "customers", "id": value, "deleted": True}, {"event_id": value},
            {"stream": value, "id": "1", "deleted": True}, {"stream": "orders", "record": value},
        ]  # fmt: skip
        status = send(client, "demo", json.dumps({"events": events}).encode()).status_code
        assert status < 300 or 400 <= status < 500
        taken += status < 300
    assert taken > len(GARBAGE) / 2
    drain(hub)
    genuine_goes_on(hub, client, "demo")


def test_however_deep_a_row_is_nested_its_lane_goes_on(hub: Hub, client: FlaskClient) -> None:
    """There is a depth that each reader and writer just bears, and the next does not."""
    for depth in [*range(98, 104), *range(185, 205), *range(248, 258), *range(900, 1000, 4)]:
        record = json.dumps({**customer(f"C{depth}"), "deep": 0})
        record = record.replace('"deep": 0', f'"deep": {"[" * depth}{"]" * depth}')
        event = f'{{"event_id": "d{depth}", "stream": "customers", "record": {record}}}'
        assert send(client, "demo", event.encode()).status_code < 300
    drain(hub)
    genuine_goes_on(hub, client, "demo")


def test_events_whose_odd_names_differ_are_different_events(hub: Hub, client: FlaskClient) -> None:
    ids = ["a", "a\x00", "\x00a", "\x00", "\x00\x00", "\ud800", "\ud801", "?", noise(600)]
    for id_ in [*ids, noise(601)]:
        event = {**SENDERS["demo"].event("1"), "event_id": id_}
        answer = send(client, "demo", json.dumps(event).encode())
        assert (answer.status_code, answer.json["duplicate"]) == (202, False), repr(id_)
    assert states(hub) == {"received": len(ids) + 1}


# Described to programs

DOCUMENT = Path(__file__).parents[2] / "docs" / "hooks.openapi.json"
load_all_checks()
UNWANTED = [
    CHECKS.get_one(name)
    for name in ("positive_data_acceptance", "ignored_auth", "unsupported_method")
]
"""Acceptance depends on the sender's proof, which no schema can describe; PUT is some vendor's."""


@pytest.mark.parametrize("proven", [False, True])
def test_any_request_is_answered_as_described(open_with: Open, *, proven: bool) -> None:
    """Anybody, and a sender whose one word opens the door to whatever he writes."""
    hub = open_with({"shop": {"adapter": "hook", "header_tokens": [SECRET], "stream": "customers"}})
    schema = schemathesis.openapi.from_dict(json.loads(DOCUMENT.read_text("utf-8")))
    headers = {"X-Hub-Token": SECRET} if proven else {}
    with receiver(hub.settings) as client:
        schema.app = client.application
        for operation in (found.ok() for found in schema.get_all_operations()):

            @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
            def answer(case: Any) -> None:
                if case.path_parameters:
                    case.path_parameters["connection"] = "shop"
                case.call_and_validate(headers=headers, excluded_checks=UNWANTED)

            fuzzed(answer, 10)()
        drain(hub)
        assert bool(states(hub)) is proven
        assert set(states(hub)) <= {"done", "quarantined"}


# Strangers


names = st.sampled_from([*SENDERS, "other", "", "x" * 3000, "%00", "\x00", "é"])
paths = st.one_of(
    st.builds("/hooks/{}".format, names),
    st.builds("/hooks/{}/{}".format, names, texts),
    texts,
    st.sampled_from(["/", "//", "//hooks/demo", "/hooks//demo", "/hooks", "/hooks/demo//", "*"]),
)
HEADERS = (
    "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_HOST", "HTTP_TRANSFER_ENCODING", "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_CONTENT_ENCODING", "HTTP_COOKIE",
    "HTTP_X_DEMO_SIGNATURE", "HTTP_X_DEMO_TIMESTAMP", "HTTP_AUTHORIZATION", "HTTP_RANGE",
    "HTTP_STRIPE_SIGNATURE", "HTTP_X_TWILIO_SIGNATURE", "HTTP_X_LARK_SIGNATURE", "HTTP_EXPECT",
    "HTTP_WEBHOOK_ID", "HTTP_WEBHOOK_SIGNATURE", "HTTP_X_HUB_TOKEN", "HTTP_Ã\x00", "REMOTE_ADDR",
)  # fmt: skip
odd_values = texts | st.sampled_from(
    ["9" * 30, str(2**63), "-1", "chunked", "a,b" * 2000, "multipart/form-data; boundary=\x00",
     "application/json; charset=klingon", "[::1", "a..b:99999", "\x00", "\xff" * 400]
)  # fmt: skip
methods = st.sampled_from(
    ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "", "x" * 90, "P\x00"]
)


def latin(text: str) -> str:
    """As a WSGI server gives bytes to an application."""
    return text.encode("utf-8", "replace").decode("latin-1")


@st.composite
def environs(draw: st.DrawFn) -> dict[str, Any]:
    """A request as a server might hand it over, and some that none would."""
    body = draw(st.binary(max_size=200) | st.sampled_from(ODD))
    told = draw(st.dictionaries(st.sampled_from(HEADERS), odd_values.map(latin), max_size=6))
    return {
        "REQUEST_METHOD": draw(methods),
        "PATH_INFO": latin(draw(paths)),
        "SCRIPT_NAME": "",
        "QUERY_STRING": latin(
            draw(texts | st.sampled_from(["echostr=x", "a&a=%00&=%ff%", "&" * 99]))
        ),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8361",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": draw(st.booleans()),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(body)),
        **told,
    }


@pytest.mark.parametrize("proxies", [0, 1])
def test_strangers_are_refused_whatever_they_send(open_with: Open, proxies: int) -> None:
    hub = open_with({n: dict(s.config) for n, s in SENDERS.items()}, proxies=proxies)
    with receiver(hub.settings) as client:

        @given(environ=environs())
        def refused(environ: dict[str, Any]) -> None:
            _, status, _ = run_wsgi_app(client.application, environ, buffered=True)
            known = environ["REQUEST_METHOD"] == "OPTIONS" and not environ["PATH_INFO"].startswith(
                "/hooks"
            )
            assert 400 <= int(status[:3]) < 500 or known, status

        fuzzed(refused, 100)()
        client.application.extensions["hub.refusals"].flush()
        assert scalar(hub, "SELECT count(*) FROM refusal") > 0
        assert states(hub) == {}
        genuine_goes_on(hub, client, "demo")
