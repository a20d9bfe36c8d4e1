"""The other vendors' signature vectors: each is let in, and no flipped bit of what is signed is.

A few flips leave the meaning as it was, such as the case of a letter in ``%2B`` or in a host's
name: then what is read must be the same.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from adapters.freshdesk import signing as freshdesk
from adapters.netsuite import signing as netsuite
from adapters.salesforce import signing as salesforce
from adapters.zendesk import signing as zendesk
from hub import mapping, registry
from hub.sdk import Envelope, HookRequest, Reply, SignatureError, WebhookReceiver
from hub.sdk.vendor import Vendor

DATA = Path(__file__).parents[1] / "data" / "vectors"

Json = Any


def vectors(vendor: str, scheme: str) -> list[Json]:
    found: list[Json] = json.loads((DATA / f"{vendor}.json").read_text("utf-8"))[scheme]
    return found


@dataclass(frozen=True)
class Case:
    """A request that must be let in.

    Attributes:
        timed: it carries an instant.
        open_to: parts of the request that the vendor leaves unsigned.
        meaning: what a changed body or address must still mean, where it is let in.
        wrong: headers that must be refused in the place of the genuine ones.
    """

    vendor: str
    config: Mapping[str, Any]
    request: HookRequest
    timed: bool = True
    open_to: frozenset[str] = frozenset()
    meaning: Callable[[HookRequest], object] = field(default=lambda request: request)
    wrong: Mapping[str, str] = field(default_factory=dict)

    def receiver(self, **other: Any) -> WebhookReceiver[Any]:
        return Vendor(registry.manifest(self.vendor), mapping).receiver({**self.config, **other})

    @cached_property
    def own(self) -> WebhookReceiver[Any]:
        """Its receiver: thousands of flipped bits need not have one made each."""
        return self.receiver()

    def takes(self, request: HookRequest, **other: Any) -> bool:
        receiver = self.receiver(**other) if other else self.own
        try:
            opened = receiver.open(request)
        except SignatureError:
            return False
        assert isinstance(opened, Envelope | Reply)
        return True


def request(
    second: float,
    body: str = "",
    headers: Mapping[str, str] | None = None,
    url: str = "",
    method: str = "POST",
) -> HookRequest:
    told = {name.lower(): value for name, value in (headers or {}).items()}
    query = dict(parse_qsl(urlsplit(url).query))
    at = datetime.fromtimestamp(second, UTC)
    return HookRequest(method, told, query, body.encode(), at, url=url)


UNTIMED = 1767225600


def slack_cases() -> Iterator[Case]:
    found = [(v, v["expected"]["X-Slack-Signature"]) for v in vectors("slack", "v0_hmac_sha256")]
    found += [(v, v["signature"]) for v in vectors("slack", "replay_window")]
    for v, signature in found:
        headers = {"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": v["timestamp"]}
        sent = request(int(v["timestamp"]), v["body"], headers)
        yield Case("slack", {"signing_secrets": [v["signing_secret"]]}, sent)


def fields(request: HookRequest) -> object:
    """What a form and an address mean: neither the case of a host nor of an escape matters."""
    url = urlsplit(request.url)
    form = sorted(parse_qsl(request.body.decode("latin-1"), keep_blank_values=True))
    return form, url.scheme, (url.hostname or "").lower(), url.path, url.query


def twilio_cases() -> Iterator[Case]:
    for v in vectors("twilio", "form_hmac_sha1"):
        headers = v["expected"]
        sent = request(UNTIMED, urlencode(v["params"]), headers, v["url"])
        yield twilio(sent, auth_tokens=[v["auth_token"]])
    for v in vectors("twilio", "form_port_variants"):
        for which in ("signature_with_port", "signature_without_port"):
            headers = {"X-Twilio-Signature": v["expected"][which]}
            sent = request(UNTIMED, urlencode(v["params"]), headers, v["url"])
            yield twilio(sent, auth_tokens=[v["auth_token"]])
    for v in vectors("twilio", "json_bodySHA256"):
        headers = {"X-Twilio-Signature": v["expected"]["X-Twilio-Signature"]}
        sent = request(UNTIMED, v["body"], headers, v["url"])
        yield replace(twilio(sent, auth_tokens=[v["auth_token"]]), meaning=address)
    for v in vectors("twilio", "form_hmac_sha256_sharedkey"):
        settings = {"X-Twilio-Webhooks-Signature-Settings": v["settings_header"]}
        headers = {**v["expected"], **settings}
        sent = request(UNTIMED, urlencode(v["params"]), headers, v["url"])
        made = twilio(sent, auth_tokens=["other"], shared_keys=[v["secret"]])
        yield replace(made, open_to=frozenset({"x-twilio-webhooks-signature-settings"}))


def twilio(sent: HookRequest, **config: Any) -> Case:
    return Case("twilio", config, sent, timed=False, meaning=fields)


def address(request: HookRequest) -> object:
    """What a body and an address mean: the case of scheme and host does not matter."""
    url = urlsplit(request.url)
    return request.body, url.scheme, (url.hostname or "").lower(), url.path, url.query


def stripe_cases() -> Iterator[Case]:
    for v in vectors("stripe", "v1_hmac_sha256"):
        sent = request(v["timestamp"], v["body"], v["expected"])
        yield Case("stripe", {"signing_secrets": [v["secret"]]}, sent)


def hubspot_cases() -> Iterator[Case]:
    for v in vectors("hubspot", "v3_hmac_sha256_base64"):
        headers = {**v["expected"], "X-HubSpot-Request-Timestamp": v["timestamp"]}
        url = v["uri"].replace(" ", "%20")  # as it stands in the request line
        sent = request(int(v["timestamp"]) / 1000, v["body"], headers, url, v["method"])
        yield Case("hubspot", {"client_secrets": [v["client_secret"]]}, sent, meaning=address)
    for version, scheme in (("v2", "v2_sha256"), ("v1", "v1_sha256")):
        for v in vectors("hubspot", scheme):
            config = {"client_secrets": [v["client_secret"]], "versions": [version]}
            method, url = v.get("method", "POST"), v.get("uri", "")
            sent = request(UNTIMED, v["body"], v["expected"], url, method)
            yield Case("hubspot", config, sent, timed=False, meaning=address)


def sendgrid_cases() -> Iterator[Case]:
    name = "X-Twilio-Email-Event-Webhook"
    for v in vectors("sendgrid", "ecdsa_p256_sha256"):
        headers = {f"{name}-Signature": v["signature"], f"{name}-Timestamp": v["timestamp"]}
        sent = request(int(v["timestamp"]), v["body"], headers)
        yield Case("sendgrid", {"public_keys": [v["public_key"]]}, sent)


def mailgun_cases() -> Iterator[Case]:
    """The same triple in JSON, in a form and in a form of several parts."""
    for v in vectors("mailgun", "token_hmac_sha256"):
        triple = {"timestamp": v["timestamp"], "token": v["token"], **v["expected"]}
        head = "Content-Disposition: form-data; name="
        parts = [f'{head}"{name}"\r\n\r\n{told}' for name, told in triple.items()]
        several = "\r\n--b\r\n".join(parts)
        for body in (
            json.dumps({"signature": triple, "event-data": {}}),
            urlencode(triple),
            f"--b\r\n{several}\r\n--b--\r\n",
        ):
            sent = request(int(v["timestamp"]), body)
            config = {"signing_keys": [v["signing_key"]]}
            yield Case("mailgun", config, sent, open_to=frozenset({"body"}))


def whatsapp_cases() -> Iterator[Case]:
    for v in vectors("whatsapp_cloud", "x_hub_signature_256"):
        sent = request(UNTIMED, v["body"], v["expected"])
        yield Case("whatsapp_cloud", {"app_secrets": [v["app_secret"]]}, sent, timed=False)


def shopify_cases() -> Iterator[Case]:
    for v in vectors("shopify", "webhook_hmac_sha256_base64"):
        sent = request(UNTIMED, v["body"], v["expected"])
        yield Case("shopify", {"client_secrets": [v["client_secret"]]}, sent, timed=False)
    for v in vectors("shopify", "oauth_query_hmac_hex"):
        query = urlencode({**v["params"], **v["expected"]})
        at = int(v["params"]["timestamp"])
        sent = request(at, "", {}, f"https://hub.example.com/hooks/shop?{query}", "GET")
        open_to = frozenset({"body", "url"})
        yield Case("shopify", {"client_secrets": [v["secret"]]}, sent, open_to=open_to)


def zendesk_cases() -> Iterator[Case]:
    for v in vectors("zendesk", "hmac_sha256_base64"):
        headers = {**v["expected"], "X-Zendesk-Webhook-Signature-Timestamp": v["timestamp"]}
        at = datetime.fromisoformat(v["timestamp"]).timestamp()
        sent = request(at, v["body"], headers)
        yield Case("zendesk", {"signing_secrets": [v["signing_secret"]]}, sent)


def chatwoot_cases() -> Iterator[Case]:
    for v in vectors("chatwoot", "timestamp_dot_body_sha256"):
        headers = {**v["expected"], "X-Chatwoot-Timestamp": v["timestamp"]}
        wrong = {"x-chatwoot-signature": v["wrong"]["body_only"]}
        sent = request(int(v["timestamp"]), v["body"], headers)
        yield Case("chatwoot", {"secrets": [v["secret"]], "path_tokens": []}, sent, wrong=wrong)


def body_only_cases() -> Iterator[Case]:
    for vendor, scheme, theirs, ours in (
        ("zammad", "x_hub_signature_sha1", "token", "tokens"),
        ("erpnext", "frappe_hmac_sha256_base64", "secret", "webhook_secrets"),
        ("jira", "x_hub_signature_sha256", "secret", "secrets"),
        ("teams", "outgoing_webhook_hmac", "security_token", "security_tokens"),
    ):
        for v in vectors(vendor, scheme):
            sent = request(UNTIMED, v["body"], v["expected"])
            yield Case(vendor, {ours: [v[theirs]]}, sent, timed=False)


def telegram_cases() -> Iterator[Case]:
    for v in vectors("telegram", "secret_token_header"):
        sent = request(UNTIMED, '{"update_id": 1}', v["headers"])
        config = {"secret_tokens": [v["secret_token"]]}
        yield Case("telegram", config, sent, timed=False, open_to=frozenset({"body"}))


CASES = {
    f"{case.vendor}-{number}": case
    for cases in (
        slack_cases,
        twilio_cases,
        stripe_cases,
        hubspot_cases,
        sendgrid_cases,
        mailgun_cases,
        whatsapp_cases,
        shopify_cases,
        zendesk_cases,
        chatwoot_cases,
        body_only_cases,
        telegram_cases,
    )
    for number, case in enumerate(cases())
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def test_a_vector_is_let_in(case: Case) -> None:
    assert case.takes(case.request)


def test_a_flipped_bit_of_the_body_is_not(case: Case) -> None:
    if "body" in case.open_to:
        return
    for other in flips(case.request.body):
        refused(case, replace(case.request, body=other))
    refused(case, replace(case.request, body=case.request.body + b"\n"))


def test_a_flipped_bit_of_the_address_is_not(case: Case) -> None:
    if "url" in case.open_to:
        return
    for other in others(case.request.url):
        refused(case, replace(case.request, url=other))


def test_a_flipped_bit_of_a_header_or_parameter_is_not(case: Case) -> None:
    for name, value in case.request.headers.items():
        for other in others(value) if name not in case.open_to else ():
            headers = {**case.request.headers, name: other}
            assert not case.takes(replace(case.request, headers=headers)), (name, other)
    for name, value in case.request.query.items() if not case.request.url else ():
        for other in others(value):
            query = {**case.request.query, name: other}
            assert not case.takes(replace(case.request, query=query)), (name, other)


def test_a_flipped_bit_of_the_secret_is_not(case: Case) -> None:
    used = next(name for name in [*case.config][::-1] if name != "versions" and case.config[name])
    for other in others(case.config[used][0]):
        if case.vendor == "sendgrid" and same_point(other, case.config[used][0]):
            continue
        assert not case.takes(case.request, **{used: [other]}), other
    assert not case.takes(case.request, **{used: [""]})


def test_two_secrets_while_one_is_changed(case: Case) -> None:
    used = next(name for name in [*case.config][::-1] if name != "versions" and case.config[name])
    genuine = case.config[used][0]
    other = genuine[:-2] + ("B" if genuine[-2] != "B" else "C") + genuine[-1]
    assert case.takes(case.request, **{used: [other, genuine]})
    assert case.takes(case.request, **{used: [genuine, other]})


def test_another_time_is_not(case: Case) -> None:
    at = case.request.received_at
    for seconds in (-300, 300):
        assert case.takes(replace(case.request, received_at=at + timedelta(seconds=seconds)))
    for seconds in (-301, 301, -86400, 86400):
        far = replace(case.request, received_at=at + timedelta(seconds=seconds))
        assert case.takes(far) is not case.timed


def test_what_is_known_to_be_wrong_is_not(case: Case) -> None:
    for name, value in case.wrong.items():
        headers = {**case.request.headers, name: value}
        assert not case.takes(replace(case.request, headers=headers))
    bare = replace(case.request, headers={}, query={})
    assert bare == case.request or not case.takes(bare)


def refused(case: Case, request: HookRequest) -> None:
    if case.takes(request):
        assert case.meaning(request) == case.meaning(case.request)


def same_point(one: str, other: str) -> bool:
    """Whether two texts are the same public key: X.690 has several ways to write a point."""
    try:
        points = [load_der_public_key(base64.b64decode(key, validate=True)) for key in (one, other)]
    except (ValueError, UnsupportedAlgorithm):
        return False
    return points[0] == points[1]


def flips(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


def others(text: str) -> Iterator[str]:
    for data in flips(text.encode()):
        yield data.decode("latin-1")


# What stands inside a body


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("mailgun-")])
def test_mailgun_a_flipped_bit_of_the_triple_is_not(name: str) -> None:
    case = CASES[name]
    (vector,) = vectors("mailgun", "token_hmac_sha256")
    for told in (vector["timestamp"], vector["token"], vector["expected"]["signature"]):
        before, _, after = case.request.body.partition(told.encode())
        for other in flips(told.encode()):
            forged = replace(case.request, body=before + other + after)
            assert not case.takes(forged), other


def test_sendgrid_signs_the_end_of_the_line() -> None:
    (vector,) = vectors("sendgrid", "ecdsa_p256_sha256")
    assert vector["expected"] == {"valid": True, "valid_if_trailing_crlf_stripped": False}
    case = CASES["sendgrid-0"]
    assert not case.takes(replace(case.request, body=case.request.body.rstrip()))


# Handshakes and answers


def test_slack_asks_for_its_challenge_and_keeps_its_window() -> None:
    (window,) = vectors("slack", "replay_window")
    case = CASES["slack-3"]
    for told in window["expected"]:
        asked = replace(case.request, received_at=datetime.fromtimestamp(told["now"], UTC))
        assert case.takes(asked) is told["valid"]
    wanted = vectors("slack", "v0_hmac_sha256")[1]["expected"]["http_response_body"]
    answer = case.receiver().open(case.request)
    assert isinstance(answer, Reply)
    assert (answer.status, answer.body.decode()) == (200, wanted)


def test_meta_asks_for_its_challenge() -> None:
    (vector,) = vectors("whatsapp_cloud", "hub_challenge")
    asked = replace(request(UNTIMED, method="GET"), query=vector["query"])
    config = {"app_secrets": ["k"], "verify_tokens": [vector["verify_token"]]}
    case = Case("whatsapp_cloud", config, asked)
    answer = case.receiver().open(asked)
    assert isinstance(answer, Reply)
    expected = (vector["expected"]["status"], vector["expected"]["body"])
    assert (answer.status, answer.body.decode()) == expected
    for name in ("hub.mode", "hub.verify_token"):
        for other in others(vector["query"][name]):
            assert not case.takes(replace(asked, query={**asked.query, name: other}))
    for other in [*others(vector["verify_token"]), ""]:
        assert not case.takes(asked, verify_tokens=[other])


def test_salesforce_gets_its_acknowledgement() -> None:
    (vector,) = vectors("salesforce", "outbound_message_ack")
    expected = vector["expected"]
    sent = replace(request(UNTIMED, vector["request_body"]), path="secret")
    nothing = {"header_tokens": [], "query_tokens": [], "basic_passwords": []}
    config = {**nothing, "path_tokens": ["secret"], "organization_ids": ["00D000000000001EAA"]}
    case = Case("salesforce", config, sent)
    opened = case.receiver().open(sent)
    assert isinstance(opened, Envelope)
    assert opened.reply is not None
    answer = (opened.reply.status, opened.reply.body.decode())
    assert answer == (expected["status"], expected["body"])
    assert opened.reply.headers == {"Content-Type": expected["content_type"]}
    (item,) = opened.items
    told = (item.event_id, item.type, item.order_key)
    assert told == (expected["dedupe_id"], "Contact", f"Contact/{expected['record_id']}")
    for other in others("secret"):
        assert not case.takes(replace(sent, path=other))
        assert not case.takes(sent, path_tokens=[other])
    for other in others("00D000000000001"):
        assert not case.takes(sent, organization_ids=[other])
    assert not case.takes(sent, path_tokens=[])


# How we sign our own calls


def basic(pair: tuple[str, str]) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(':'.join(pair).encode()).decode()}"}


@pytest.mark.parametrize("vector", vectors("netsuite", "tba_oauth1_hmac_sha256"))
def test_netsuite(vector: Json) -> None:
    names = ("consumer_key", "consumer_secret", "token_id", "token_secret")
    keys = netsuite.Keys(*(vector[name] for name in names))
    told = {"realm": vector["realm"], "nonce": vector["nonce"]}
    signed = netsuite.authorization(
        vector["method"], vector["url"], keys, **told, timestamp=int(vector["timestamp"])
    )
    assert {"Authorization": signed} == vector["expected"]
    for other in (keys._replace(consumer_secret="x"), keys._replace(token_secret="x")):
        forged = netsuite.authorization(
            vector["method"], vector["url"], other, **told, timestamp=int(vector["timestamp"])
        )
        assert forged != signed


@pytest.mark.parametrize("vector", vectors("salesforce", "jwt_bearer_signing_input"))
def test_salesforce_jwt(vector: Json) -> None:
    assert vector["header"] == salesforce.HEADER
    assert salesforce.signing_input(vector["payload"]) == vector["expected"]["signing_input"]


@pytest.mark.parametrize("vector", vectors("salesforce", "client_credentials_basic"))
def test_salesforce_basic(vector: Json) -> None:
    pair = salesforce.basic_auth(vector["consumer_key"], vector["consumer_secret"])
    assert basic(pair) == vector["expected"]


@pytest.mark.parametrize("vector", vectors("zendesk", "api_token_basic"))
def test_zendesk_basic(vector: Json) -> None:
    assert basic(zendesk.basic_auth(vector["email"], vector["api_token"])) == vector["expected"]


@pytest.mark.parametrize("vector", vectors("freshdesk", "api_key_basic"))
def test_freshdesk_basic(vector: Json) -> None:
    assert basic(freshdesk.basic_auth(vector["api_key"])) == vector["expected"]
