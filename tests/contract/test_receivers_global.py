"""What the other vendors' receivers promise beside the vectors."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
import responses
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.chatwoot import webhook as chatwoot
from adapters.erpnext import webhook as erpnext
from adapters.hubspot import webhook as hubspot
from adapters.jira import webhook as jira
from adapters.shopify import webhook as shopify
from adapters.slack import webhook as slack
from adapters.sns import webhook as sns
from adapters.stripe import webhook as stripe
from adapters.teams import webhook as teams
from adapters.twilio import webhook as twilio
from adapters.whatsapp_cloud import webhook as whatsapp
from adapters.zammad import webhook as zammad
from adapters.zendesk import webhook as zendesk
from hub import mapping, registry
from hub.sdk import (
    ConfigError,
    Deleted,
    Envelope,
    HookRequest,
    Item,
    RecordRef,
    Reply,
    Row,
    SignatureError,
    WebhookReceiver,
)
from hub.sdk.proof import attest
from hub.sdk.signing import Recipe, body_hash
from hub.sdk.testing import NOW
from hub.sdk.vendor import Vendor
from hub.store import inbox

SECOND, MS = str(int(NOW.timestamp())), str(int(NOW.timestamp() * 1000))
KEY = "b3V0Z29pbmcgd2ViaG9vayBleGFtcGxl"
URL = "https://hub.example.com/hooks/a"
NOTHING = {"header_tokens": [], "path_tokens": [], "query_tokens": [], "basic_passwords": []}


def receiver(vendor: str, **config: Any) -> WebhookReceiver[Any]:
    return Vendor(registry.manifest(vendor), mapping).receiver(config)


def post(body: Any = b"", **more: Any) -> HookRequest:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers, query = more.pop("headers", {}), more.pop("query", {})
    return HookRequest("POST", headers, query, content, NOW, **more)


def items(found: WebhookReceiver[Any], request: HookRequest) -> list[Item]:
    opened = found.open(request)
    assert isinstance(opened, Envelope)
    return list(opened.items)


def said(found: WebhookReceiver[Any], item: Item) -> list[Any]:
    return list(found.parse(item.body))


def refuses(found: WebhookReceiver[Any], request: HookRequest) -> None:
    with pytest.raises(SignatureError):
        found.open(request)


# Whatever is in a proven body, it is kept


def signed(recipe: Recipe, body: bytes, **more: Any) -> HookRequest:
    return recipe.sign(post(body, **more), KEY)


def by_header(vendor: str, body: bytes) -> HookRequest:
    config = Vendor(registry.manifest(vendor), mapping).config({**NOTHING, "header_tokens": [KEY]})
    return attest(config, post(body))  # type: ignore[arg-type]


SIGNERS: dict[str, tuple[dict[str, Any], Callable[[bytes], HookRequest]]] = {
    "slack": (
        {"signing_secrets": [KEY]},
        lambda body: signed(slack.RECIPE, body, headers={"x-slack-request-timestamp": SECOND}),
    ),
    "twilio": (
        {"auth_tokens": [KEY]},
        lambda body: signed(twilio.HASHED, body, query={"bodySHA256": body_hash(body)}, url=URL),
    ),
    "stripe": (
        {"signing_secrets": [KEY]},
        lambda body: signed(stripe.RECIPE, body, headers={"stripe-signature": f"t={SECOND}"}),
    ),
    "hubspot": (
        {"client_secrets": [KEY]},
        lambda body: signed(
            hubspot.RECIPES["v3"], body, headers={"x-hubspot-request-timestamp": MS}, url=URL
        ),
    ),
    "whatsapp_cloud": ({"app_secrets": [KEY]}, lambda body: signed(whatsapp.RECIPE, body)),
    "shopify": ({"client_secrets": [KEY]}, lambda body: signed(shopify.RECIPE, body)),
    "zendesk": (
        {"signing_secrets": [KEY]},
        lambda body: signed(
            zendesk.RECIPE, body, headers={"x-zendesk-webhook-signature-timestamp": NOW.isoformat()}
        ),
    ),
    "chatwoot": (
        {"secrets": [KEY]},
        lambda body: signed(chatwoot.RECIPE, body, headers={"x-chatwoot-timestamp": SECOND}),
    ),
    "zammad": ({"tokens": [KEY]}, lambda body: signed(zammad.RECIPE, body)),
    "erpnext": ({"webhook_secrets": [KEY]}, lambda body: signed(erpnext.RECIPE, body)),
    "jira": ({"secrets": [KEY]}, lambda body: signed(jira.RECIPE, body)),
    "teams": ({"security_tokens": [KEY]}, lambda body: signed(teams.RECIPE, body)),
    "telegram": (
        {"secret_tokens": [KEY]},
        lambda body: post(body, headers={"x-telegram-bot-api-secret-token": KEY}),
    ),
    **{
        vendor: ({**NOTHING, "header_tokens": [KEY]}, lambda body, v=vendor: by_header(v, body))
        for vendor in ("dynamics365", "servicenow", "freshdesk")
    },
    "hook": (
        {**NOTHING, "header_tokens": [KEY], "stream": "customers"},
        lambda body: by_header("hook", body),
    ),
}

NAMES = (
    "id", "type", "event", "events", "data", "object", "entry", "changes", "value", "messages",
    "statuses", "contacts", "from", "ticket", "article", "issue", "comment", "webhookEvent",
    "doctype", "name", "doc", "conversation", "message", "update_id", "chat", "payload", "user",
    "fields", "table", "record", "operation", "sys_id", "subscriptionType", "MessageName",
    "PrimaryEntityName", "PrimaryEntityId", "admin_graphql_api_id", "deleted", "ticket_id", "field",
)  # fmt: skip
words = st.sampled_from([*NAMES, "", "\ud800", "message_created", "jira:issue_updated", "x" * 600])
leaves = st.none() | st.booleans() | st.integers() | st.floats() | words
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)
bodies = (
    st.binary(max_size=60)
    | values.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(words, words, max_size=4).map(
        lambda told: urlencode(told, errors="replace").encode()
    )
    | words.map(
        lambda word: f"<a b='1'><{word or 'x'}>{word}</{word or 'x'}></a>".encode(
            "utf-8", "replace"
        )
    )
    | st.sampled_from([b"", b"[]", b"{}", b"[" * 20_000, b"<a>" * 20_000, b"9" * 5000, b"\x00"])
)


@pytest.mark.parametrize("vendor", SIGNERS)
@settings(max_examples=100, deadline=None)
@given(body=bodies)
def test_whatever_is_proven_is_kept(vendor: str, body: bytes) -> None:
    config, sign = SIGNERS[vendor]
    found = receiver(vendor, **config)
    opened = found.open(sign(body))
    if isinstance(opened, Reply):
        assert vendor == "slack"
        assert b"url_verification" in body
        return
    assert opened.items
    inbox.rows_for(vendor, opened.items, {}, NOW)  # each can be stored
    if len(opened.items) == 1 and vendor not in ("hubspot", "whatsapp_cloud"):
        assert opened.items[0].body == body
    rows = [row for item in opened.items for row in readable(found, item)]
    assert all(isinstance(row, Row | RecordRef | Deleted) for row in rows)


def readable(found: WebhookReceiver[Any], item: Item) -> list[Any]:
    try:
        return said(found, item)
    except Exception:  # noqa: BLE001 - it goes into quarantine, with its bytes
        return []


def test_a_bad_event_of_a_batch_takes_no_others_along() -> None:
    good = {"eventId": 1, "subscriptionId": 2, "occurredAt": 3, "objectId": 4}
    batch = [{**good, "subscriptionType": "contact.deletion"}, {"odd": 1}, 7]
    config, sign = SIGNERS["hubspot"]
    found = receiver("hubspot", **config)
    told = items(found, sign(json.dumps(batch).encode()))
    assert [item.event_id for item in told] == ["2/1/3/4", None, None]
    assert [json.loads(item.body) for item in told] == batch
    assert said(found, told[0]) == [Deleted("contacts", "4")]


def test_whatsapp_keeps_each_message_and_state_of_several_accounts() -> None:
    message = {"from": "1", "id": "wamid.1", "timestamp": "1", "type": "text"}
    value = {"messages": [message, {**message, "id": "wamid.2", "from": "2"}]}
    value["contacts"] = [{"wa_id": "2", "profile": {"name": "B"}}]  # type: ignore[list-item]
    states = {
        "statuses": [{"id": "wamid.0", "status": s, "recipient_id": "1"} for s in ("sent", "read")]
    }
    changes = [{"field": "messages", "value": v} for v in (value, states)]
    body = {
        "entry": [
            {"id": "1", "changes": changes},
            {"id": "2", "changes": [{"field": "flows", "value": {}}]},
        ]
    }
    config, sign = SIGNERS["whatsapp_cloud"]
    found = receiver("whatsapp_cloud", **config)
    told = items(found, sign(json.dumps(body).encode()))
    assert [item.event_id for item in told] == [
        "wamid.1",
        "wamid.2",
        "wamid.0/sent",
        "wamid.0/read",
        None,
    ]
    assert [item.order_key for item in told][:2] == ["contacts/1", "contacts/2"]
    rows = [row for item in told for row in said(found, item)]
    assert [row.raw["contact"] for row in rows] == [None, value["contacts"][0]]


# What headers beside the signature say


def test_shopify_topics() -> None:
    config, sign = SIGNERS["shopify"]
    found = receiver("shopify", **config)
    order = {"id": 7, "admin_graphql_api_id": "gid://shopify/Order/7"}
    for topic, body, wanted in (
        ("orders/delete", {"id": 7}, [Deleted("orders", "7")]),
        ("customers/delete", {"id": 8}, [Deleted("customers", "8")]),
        ("orders/updated", order, [Row("orders", order)]),
        ("customers/redact", {"shop_id": 1, "customer": {"id": 8}}, []),
        ("refunds/create", {"id": 9, "admin_graphql_api_id": "gid://shopify/Refund/9"}, []),
    ):
        bare = sign(json.dumps(body).encode())
        told = {"x-shopify-topic": topic, "x-shopify-webhook-id": "w1"}
        (item,) = items(found, replace(bare, headers={**bare.headers, **told}))
        assert (item.event_id, item.type) == ("w1", topic)
        assert said(found, item) == wanted
        if topic.startswith("orders"):
            assert item.order_key == "orders/7"


@pytest.mark.parametrize(
    ("vendor", "name", "event"),
    [
        ("chatwoot", "x-chatwoot-delivery", {"event": "contact_updated", "id": 1}),
        ("zammad", "x-zammad-delivery", {"ticket": {"id": 1}}),
        ("jira", "x-atlassian-webhook-identifier", {"webhookEvent": "x", "issue": {"id": "1"}}),
    ],
)
def test_the_name_of_a_delivery_stays_over_its_tries(vendor: str, name: str, event: Any) -> None:
    config, sign = SIGNERS[vendor]
    bare = sign(json.dumps(event).encode())
    (item,) = items(receiver(vendor, **config), replace(bare, headers={**bare.headers, name: "d1"}))
    assert item.event_id == "d1"
    assert item.order_key
    assert item.order_key.endswith("/1")


# Vendors with ways of their own


def test_chatwoot_unsigned_only_by_a_secret_path_and_without_a_secret() -> None:
    event = {"event": "contact_updated", "id": 1}
    old = receiver("chatwoot", secrets=[], path_tokens=["token"])
    assert items(old, post(event, path="token"))
    for path in ("", "tokem", "token/x"):
        refuses(old, post(event, path=path))
    refuses(receiver("chatwoot", secrets=[KEY], path_tokens=["token"]), post(event, path="token"))
    refuses(receiver("chatwoot", secrets=[], path_tokens=[]), post(event))


def test_twilio_bodies_that_are_no_form() -> None:
    found = receiver("twilio", auth_tokens=[KEY], shared_keys=["shared"])
    genuine = SIGNERS["twilio"][1](b'{"a": 1}')
    assert items(found, genuine)
    refuses(found, replace(genuine, body=b'{"a": 2}'))
    refuses(found, replace(genuine, query={}))
    settings_ = "x-twilio-webhooks-signature-settings"
    for told in ("algorithm=HMAC_MD5", "", "key=1", "HMAC_SHA256", "algorithm=HMAC_SHA256"):
        refuses(found, replace(genuine, headers={**genuine.headers, settings_: told}))


def test_twilio_asks_by_get_and_is_answered_in_silence() -> None:
    found = receiver("twilio", auth_tokens=[KEY])
    asked = replace(post(url=f"{URL}?a=1", query={"a": "1"}), method="GET")
    opened = found.open(twilio.FORM.sign(asked, KEY))
    assert isinstance(opened, Envelope)
    assert opened.reply is not None
    assert opened.reply.body == b"<Response/>"


def test_slack_commands_and_interactions_are_answered_empty() -> None:
    config, sign = SIGNERS["slack"]
    found = receiver("slack", **config)
    submitted = {"type": "view_submission", "user": {"id": "U1"}, "trigger_id": "t2", "view": {}}
    for fields, named in (
        ({"command": "/c360", "user_id": "U1", "trigger_id": "t1"}, ("t1", "users/U1", "/c360")),
        ({"payload": json.dumps(submitted)}, ("t2", "users/U1", "view_submission")),
        ({"ssl_check": "1"}, (None, None, "")),
        ({"payload": "{"}, (None, None, "")),
    ):
        opened = found.open(sign(urlencode(fields).encode()))
        assert isinstance(opened, Envelope)
        assert (opened.reply and opened.reply.status, opened.reply and opened.reply.body) == (
            200,
            b"",
        )
        (item,) = opened.items
        assert (item.event_id, item.order_key, item.type) == named


def test_stripe_takes_any_of_several_signatures() -> None:
    body, found = b'{"id": "evt_1", "type": "x"}', receiver("stripe", signing_secrets=[KEY])
    both = {"stripe-signature": f"t={SECOND},v1={'0' * 64}"}
    assert items(found, stripe.RECIPE.sign(post(body, headers=both), KEY))
    test = replace(post(body), headers={"stripe-signature": f"t={SECOND},v0={'0' * 64}"})
    refuses(found, test)


def test_hubspot_believes_only_the_versions_it_is_told() -> None:
    for version in ("v1", "v2"):
        genuine = hubspot.RECIPES[version].sign(post(b"[]", url=URL), KEY)
        assert items(receiver("hubspot", client_secrets=[KEY], versions=[version]), genuine)
        refuses(receiver("hubspot", client_secrets=[KEY]), genuine)


def test_mailgun_a_field_that_comes_twice_counts_as_it_comes_last() -> None:
    found = receiver("mailgun", signing_keys=[KEY])
    triple = json.loads(found.sample(NOW).body)["signature"]
    mail = {"from": "a@example.com", "timestamp": "1", "token": "t", "signature": "s"}
    for pairs in ([*mail.items(), *triple.items()], [*triple.items(), *mail.items()]):
        request = post(urlencode(pairs).encode())
        if dict(pairs)["token"] == "t":
            refuses(found, request)
        else:
            (item,) = items(found, request)
            assert item.event_id == triple["token"]


def test_mailgun_believes_the_main_account_for_its_subaccounts() -> None:
    sample = json.loads(receiver("mailgun", signing_keys=[KEY]).sample(NOW).body)
    theirs = {**sample["signature"], "signature": "0" * 64}
    by_us = {**theirs, "parent-signature": sample["signature"]["signature"]}
    found = receiver("mailgun", signing_keys=[KEY])
    assert items(found, post({**sample, "signature": by_us}))
    refuses(found, post({**sample, "signature": theirs}))
    refuses(found, post({**sample, "signature": {**by_us, "token": "other"}}))


def test_mailgun_gives_more_time_when_told_to() -> None:
    late = NOW + timedelta(minutes=50)
    genuine = replace(receiver("mailgun", signing_keys=[KEY]).sample(NOW), received_at=late)
    refuses(receiver("mailgun", signing_keys=[KEY]), genuine)
    assert items(receiver("mailgun", signing_keys=[KEY], tolerance_s=3600), genuine)


def test_graph_believes_a_batch_when_each_repeats_our_word() -> None:
    found = receiver("graph", client_states=["old", "new"], path_tokens=["p"])
    one = {"resource": "r", "changeType": "updated"}
    told = [{**one, "clientState": state} for state in ("old", "new")]
    assert len(items(found, post({"value": told}, path="p"))) == 2
    for value in ([*told, one], [*told, {**one, "clientState": "other"}], [], {}, 1, None):
        refuses(found, post({"value": value}, path="p"))
    refuses(found, post({"value": told}))
    asked = post(query={"validationToken": "<script>é"}, path="p")
    answer = found.open(asked)
    assert isinstance(answer, Reply)
    assert answer.body.decode() == "<script>é"
    assert answer.headers["Content-Type"].startswith("text/plain")
    refuses(found, replace(asked, path="q"))


def test_teams_refuses_an_old_activity() -> None:
    config, sign = SIGNERS["teams"]
    for minutes, taken in ((0, True), (4, True), (-6, False), (6, False)):
        at = (NOW + timedelta(minutes=minutes)).isoformat()
        activity = {"id": "1", "type": "message", "conversation": {"id": "c"}, "timestamp": at}
        request = sign(json.dumps(activity).encode())
        if taken:
            opened = receiver("teams", **config, answer="好").open(request)
            assert isinstance(opened, Envelope)
            assert opened.reply is not None
            assert json.loads(opened.reply.body) == {"type": "message", "text": "好"}
        else:
            refuses(receiver("teams", **config), request)


def test_salesforce_keeps_each_notification_of_a_message() -> None:
    found = receiver("salesforce", **{**NOTHING, "path_tokens": ["p"]})
    body = found.sample(NOW).body.decode()
    start = body.index("<Notification>")
    end = body.index("</notifications>")
    one = body[start:end]
    two = one.replace("sample-", "other-")
    told = items(found, post((body[:start] + one + two + body[end:]).encode(), path="p"))
    assert [(item.event_id or "").partition("-")[0] for item in told] == ["sample", "other"]
    bomb = '<!DOCTYPE x [<!ENTITY a "b">]>' + body
    for wrong in (bomb, body.replace("00D", "00E"), "<a/>", "", body[:-1]):
        refuses(found, post(wrong.encode(), path="p"))


# Any sender


RECIPE = {"signature": "header:x-sign", "parts": ["body"]}


def test_hook_needs_a_proof() -> None:
    event = {"id": "1"}
    for config in ({}, {"secrets": [KEY]}):
        refuses(receiver("hook", **{**NOTHING, "secrets": [], **config}), post(event))
    both = {**NOTHING, "recipe": RECIPE, "secrets": [KEY], "path_tokens": ["p"], "stream": "orders"}
    genuine = Recipe(**RECIPE).sign(post(event, path="p"), KEY)  # type: ignore[arg-type]
    assert items(receiver("hook", **both), genuine)
    refuses(receiver("hook", **both), replace(genuine, path=""))
    refuses(receiver("hook", **both), replace(genuine, headers={}))
    refuses(receiver("hook", **{**both, "secrets": []}), genuine)
    for faulty in ({"signature": "header:x", "parts": ["cookie"]}, {"signature": "header:x"}):
        with pytest.raises(ValueError, match="recipe"):
            receiver("hook", **{**NOTHING, "recipe": faulty})


@pytest.mark.parametrize(
    "more",
    [
        {"timestamp": "header:x-at", "parts": ["header:x-at", "body"]},
        {"timestamp": "query:at", "parts": ["query:at", "body"]},
        {"signature": "query:sign"},
        {"signature": "json:sign", "parts": ["json:hub_sample"]},
        {"digest": "sha256", "parts": ["secret", "body"]},
        {"parts": ["method", "url", "body"]},
    ],
)
def test_hook_signs_a_sample_by_its_recipe(more: dict[str, Any]) -> None:
    config = {**NOTHING, "recipe": {**RECIPE, **more}, "secrets": [KEY], "stream": "customers"}
    found = receiver("hook", **config)
    found.address = URL
    sample = found.sample(NOW)
    (item,) = items(found, sample)
    assert said(found, item) == []
    refuses(receiver("hook", **{**config, "secrets": ["other"]}), sample)


@pytest.mark.parametrize(
    ("config", "body", "named", "wanted"),
    [
        ({"stream": "orders"}, '{"id": 5}', (None, "orders/5", ""), Row("orders", {"id": 5})),
        ({"stream": "orders"}, "id=5&a=%E4%BD%A0", (None, "orders/5", ""),
         Row("orders", {"id": "5", "a": "你"})),
        ({"stream": "orders", "id_path": "no.#"}, '<o><no x="1"> 5 </no><l>1</l><l>2</l></o>',
         (None, "orders/5", ""), Row("orders", {"no": {"@x": "1", "#": "5"}, "l": ["1", "2"]})),
        ({"stream_path": "t", "type_path": "e", "event_id_path": "n.0"},
         '{"id": "5", "t": "tickets", "e": "made", "n": ["e1"]}', ("e1", "tickets/5", "made"),
         Row("tickets", {"id": "5", "t": "tickets", "e": "made", "n": ["e1"]})),
        ({"stream": "orders", "type_path": "e", "deleted_types": ["gone"], "record_path": "r"},
         '{"e": "gone", "r": {"id": 5}}', (None, "orders/5", "gone"), Deleted("orders", "5")),
        ({"stream": "orders", "order_key_path": "k"}, '{"id": 5, "k": "a"}', (None, "a", ""),
         Row("orders", {"id": 5, "k": "a"})),
    ],
)  # fmt: skip
def test_hook_finds_by_paths(
    config: dict[str, Any], body: str, named: tuple[Any, ...], wanted: Row | Deleted
) -> None:
    found = receiver("hook", **{**NOTHING, "path_tokens": ["p"], **config})
    (item,) = items(found, post(body.encode(), path="p"))
    assert (item.event_id, item.order_key, item.type) == named
    assert item.body == body.encode()
    assert said(found, item) == [wanted]


def test_hook_takes_no_stream_it_was_not_told() -> None:
    config = {**NOTHING, "path_tokens": ["p"], "stream_path": "t", "streams": {"sale": "orders"}}
    found = receiver("hook", **config)
    for word, taken in (("sale", True), ("orders", False), ("", False)):
        (item,) = items(found, post({"id": 1, "t": word}, path="p"))
        if taken:
            assert said(found, item)[0].stream == "orders"
        else:
            with pytest.raises(ConfigError):
                said(found, item)


def test_hook_reads_the_id_of_an_event_in_a_header() -> None:
    config = {**NOTHING, "path_tokens": ["p"], "stream": "orders", "event_id_path": "header:X-Id"}
    (item,) = items(receiver("hook", **config), post({"id": 1}, path="p", headers={"x-id": "e1"}))
    assert item.event_id == "e1"


# Amazon SNS: the certificate comes from the topic's own region, or not at all


ARN = "arn:aws:sns:eu-west-1:123456789012:orders"
HOST = "https://sns.eu-west-1.amazonaws.com"
NOTE = {
    "Type": "Notification",
    "MessageId": "m1",
    "TopicArn": ARN,
    "Message": "hello",
    "Timestamp": "2026-11-21T12:00:00.000Z",
}
ASKED = {
    **NOTE,
    "Type": "SubscriptionConfirmation",
    "Token": "t",
    "SubscribeURL": f"{HOST}/?Action=ConfirmSubscription&Token=t",
}


@cache
def issued() -> tuple[Any, str]:
    """A private key, and its certificate."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    made = made.public_key(key.public_key())
    made = made.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    made = made.not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
    pem = made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    return key, pem


def noted(told: dict[str, str], *, name: str, version: str = "2", **more: str) -> HookRequest:
    """A message signed as SNS does, its certificate at an address of that name."""
    names = sns.SIGNED_IN_CONFIRMS if told["Type"] in sns.CONFIRMS else sns.SIGNED
    text = "".join(f"{n}\n{told[n]}\n" for n in names if n in told).encode()
    digest = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303 - SNS's older one
    signature = base64.b64encode(issued()[0].sign(text, PKCS1v15(), digest)).decode()
    address = f"{HOST}/SimpleNotificationService-{name}.pem"
    around = {"SignatureVersion": version, "Signature": signature, "SigningCertURL": address}
    return post({**told, **around, **more})


@pytest.fixture
def vendor_side() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def test_sns_fetches_the_certificate_once(vendor_side: responses.RequestsMock) -> None:
    request = noted(NOTE, name="once")
    vendor_side.get(f"{HOST}/SimpleNotificationService-once.pem", body=issued()[1])
    for _ in range(2):
        (item,) = items(receiver("sns"), request)
        assert (item.event_id, item.body) == ("m1", request.body)
    assert len(vendor_side.calls) == 1


def test_sns_confirms_at_its_own_host_only(vendor_side: responses.RequestsMock) -> None:
    vendor_side.get(f"{HOST}/SimpleNotificationService-confirm.pem", body=issued()[1])
    vendor_side.get(f"{HOST}/", body="<ok/>")
    answer = receiver("sns").open(noted(ASKED, name="confirm"))
    assert isinstance(answer, Reply)
    assert answer.status == 200
    assert vendor_side.calls[1].request.url == ASKED["SubscribeURL"]
    for url in (
        "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription",
        "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription",
        "https://u@sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.eu-west-1.amazonaws.com:8443/?Action=ConfirmSubscription",
        "https://sns.eu-west-1.amazonaws.com/other?Action=ConfirmSubscription",
        "https://169.254.169.254/",
        "https://[",
        "",
    ):
        refuses(receiver("sns"), noted({**ASKED, "SubscribeURL": url}, name="confirm"))
    assert len(vendor_side.calls) == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-a.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-a.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/SimpleNotificationService-a.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-a.pem/../x",
        "https://sns.eu-west-1.amazonaws.com/?x=SimpleNotificationService-a.pem",
        "https://[",
        "",
    ],
)
def test_sns_fetches_from_nowhere_else(url: str, vendor_side: responses.RequestsMock) -> None:
    refuses(receiver("sns"), noted(NOTE, name="x", SigningCertURL=url))
    assert not vendor_side.calls


def test_sns_is_asked_to_try_again_while_the_certificate_cannot_be_had(
    vendor_side: responses.RequestsMock,
) -> None:
    address = f"{HOST}/SimpleNotificationService-later.pem"
    request = noted(NOTE, name="later")
    for trouble in ({"status": 503}, {"status": 302, "headers": {"Location": "https://x.example"}}):
        vendor_side.get(address, **trouble)  # type: ignore[arg-type]
        answer = receiver("sns").open(request)
        assert isinstance(answer, Reply)
        assert (answer.status, answer.headers) == (503, {"Retry-After": "30"})
        vendor_side.remove("GET", address)
    vendor_side.get(address, status=404)
    refuses(receiver("sns"), request)
    vendor_side.remove("GET", address)
    vendor_side.get(address, body="no certificate")
    refuses(receiver("sns"), request)


def test_sns_refuses_what_was_not_signed() -> None:
    found = receiver("sns", certificates=[issued()[1]])
    told = {**NOTE, "Subject": "s"}
    for version in ("1", "2"):
        genuine = noted(told, name="x", version=version)
        assert items(found, genuine)
        message = json.loads(genuine.body)
        for name in (*told, "Signature", "SignatureVersion"):
            for value in ("", message[name] + "x", None, [message[name]]):
                refuses(found, post({**message, name: value}))
            fewer = {key: value for key, value in message.items() if key != name}
            refuses(found, post(fewer))
    genuine = noted(told, name="x")
    refuses(receiver("sns", certificates=[json_fixture_certificate()]), genuine)
    refuses(receiver("sns", certificates=["x"]), genuine)
    refuses(receiver("sns", topic_arns=[ARN + "2"], certificates=[issued()[1]]), genuine)
    for body in (b"", b"[]", b"\xff", b"{", b"null"):
        refuses(found, post(body))


def json_fixture_certificate() -> str:
    """Another certificate."""
    fixture = Vendor(registry.manifest("sns"), mapping).fixtures["notification"]
    found: str = fixture["config"]["certificates"][0]
    return found


@pytest.mark.parametrize(
    ("seconds", "taken"), [(3590, True), (3601, False), (-3590, True), (-3601, False)]
)
def test_sns_keeps_an_hour(seconds: int, *, taken: bool) -> None:
    found = receiver("sns", certificates=[issued()[1]])
    at = datetime.fromisoformat(NOTE["Timestamp"]) + timedelta(seconds=seconds)
    request = replace(noted(NOTE, name="x"), received_at=at)
    if taken:
        assert items(found, request)
    else:
        refuses(found, request)


def test_sns_refuses_a_certificate_of_another_year() -> None:
    told = {**NOTE, "Timestamp": "2027-06-01T12:00:00Z"}
    late = replace(noted(told, name="x"), received_at=datetime(2027, 6, 1, 12, tzinfo=UTC))
    refuses(receiver("sns", certificates=[issued()[1]]), late)
