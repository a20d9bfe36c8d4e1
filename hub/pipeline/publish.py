"""The hub's own events → subscribers, in order, each at least once and under the same name.

A subscription moves behind an event when its receiver answered 2xx, in a transaction of its own. A
kill in between sends the event again, with the ``webhook-id`` by which receivers know it. What
fails holds back what follows: first seconds, then hours, and after three days until a person
resumes it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from hub.errors import ConfigError, HubError
from hub.pipeline.deliver import RETRY_S
from hub.pipeline.lane import Lane
from hub.registry import Hub
from hub.sdk import HookRequest, Http, connect_address
from hub.sdk.cloudevents import CloudEvent, to_binary, to_structured
from hub.sdk.http import retry_after_s
from hub.sdk.signing import STANDARD
from hub.store import audit, leases, news, subscriptions
from hub.store.news import News
from hub.store.subscriptions import Subscription

log = logging.getLogger(__name__)

BATCH_MAX = 100
TIMEOUT_S = 15.0
GIVE_UP_AFTER = timedelta(days=3)
TEST = "subscription.test"
LEASE = "subscription:"


class Message(NamedTuple):
    """What a receiver gets, before it is signed."""

    headers: Mapping[str, str]
    body: bytes


class Failure(NamedTuple):
    """Why a receiver did not take an event.

    Attributes:
        rest_s: how long it asks us to wait.
        is_gone: it wants no more at all.
    """

    reason: str
    rest_s: float = 0.0
    is_gone: bool = False


def lease_name(name: str) -> str:
    """The lease a subscription is served under."""
    return f"{LEASE}{name}"


def number(hub: Hub) -> None:
    """Give a place to all events that were committed since."""
    with hub.database.read() as conn:
        has_new = news.has_new(conn)
    while has_new:
        has_new = hub.database.run(news.number) == news.NUMBERED_MAX


def publish(hub: Hub, lane: Lane, name: str) -> None:
    """Tell a subscriber what follows, until nothing does, it fails or the lane's time is up."""
    while lane.has_time:
        with hub.database.read() as conn:
            one = subscriptions.get(conn, name)
            if one is None or one.state != subscriptions.ACTIVE or one.next_at > leases.now():
                return
            batch = news.after(conn, one.cursor, BATCH_MAX)
        if not batch or not _publish_batch(hub, lane, one, batch):
            return


def _publish_batch(hub: Hub, lane: Lane, one: Subscription, batch: list[News]) -> bool:
    if (missing := batch[0].position - one.cursor - 1) > 0:
        log.warning("events are kept no longer", extra={"subscription": one.name, "lost": missing})
    try:
        with hub.database.read() as conn:
            secrets = subscriptions.secrets(conn, hub.registry.vault, one.name)
    except ConfigError as exc:  # a key that is not here: another process may have it
        _note_failure(hub, lane, one, Failure(str(exc)))
        return False
    with lane.kept(hub), closing(_client(one)) as http:
        return _tell(hub, lane, http, one, secrets, batch)


def _tell(
    hub: Hub, lane: Lane, http: Http, one: Subscription, secrets: Sequence[str], batch: list[News]
) -> bool:
    """Whether all of the batch is told, and the subscription still as it was read."""
    now = one
    for item in batch:
        if not lane.has_time:
            return False
        if not now.wants(item.type):
            continue
        told = message(now.format, item, hub.settings.public_url)
        if failure := _send(http, now, secrets, item.name, told):
            _note_failure(hub, lane, now, failure)
            return False
        further = _advance(hub, lane, now, item.position)
        if further is None:
            return False
        now = further
    end = batch[-1].position
    return now.cursor == end or _advance(hub, lane, now, end, sent=False) is not None


def _advance(
    hub: Hub, lane: Lane, one: Subscription, end: int, *, sent: bool = True
) -> Subscription | None:
    """The subscription behind a place; None when somebody changed it meanwhile.

    Args:
        sent: whether its receiver took the event there; else it does not want it.
    """
    with hub.database.write() as conn:
        lane.hold(conn)
        goes_on = subscriptions.advance(conn, one, end, sent=sent)
    if not goes_on:
        return None
    if sent and one.attempts:
        log.info("subscription works again", extra={"subscription": one.name})
    moved = replace(one, cursor=end)
    return replace(moved, attempts=0, failing_since=None) if sent else moved


def _note_failure(hub: Hub, lane: Lane, one: Subscription, failure: Failure) -> None:
    since = one.failing_since or leases.now()
    gives_up = failure.is_gone or leases.now() - since >= GIVE_UP_AFTER
    facts = {"subscription": one.name, "reason": failure.reason}
    with hub.database.write() as conn:
        lane.hold(conn)
        if not gives_up:
            subscriptions.fail(conn, one, failure.reason, _after_s(one, failure))
        elif subscriptions.disable(conn, one, failure.reason):
            audit.note(conn, "hub", "disable", f"subscription:{one.name}")
            log.error("subscription disabled", extra=facts)
    if not gives_up and not one.attempts:
        log.warning("subscription fails", extra=facts)


def _after_s(one: Subscription, failure: Failure) -> float:
    base = RETRY_S[min(one.attempts, len(RETRY_S) - 1)]
    return max(failure.rest_s, base * random.uniform(0.8, 1.2))  # noqa: S311 - jitter


def probe(hub: Hub, name: str) -> Failure | None:
    """Send a subscriber an event that means nothing, whatever state it is in; why it failed.

    Raises:
        ConfigError: there is no such subscription.
    """
    with hub.database.read() as conn:
        one = subscriptions.named(conn, name)
        secrets = subscriptions.secrets(conn, hub.registry.vault, name)
    told = News(0, 0, TEST, name, "", {"id": name}, leases.now())
    with closing(_client(one)) as http:
        sent = message(one.format, told, hub.settings.public_url)
        return _send(http, one, secrets, told.name, sent)


def message(format_: str, item: News, source: str) -> Message:
    """An event as a receiver gets it.

    Args:
        source: the address of this hub, under which it can be asked for more.
    """
    data = {**item.data, **_address(item, source)}
    if item.cause:
        data["cause"] = item.cause
    at = item.at.isoformat().replace("+00:00", "Z")
    if format_ == "standard":
        body = orjson.dumps({"type": item.type, "timestamp": at, "data": data})
        return Message({"content-type": "application/json"}, body)
    attributes: dict[str, str | int | bool] = {
        "specversion": "1.0",
        "id": item.name,
        "source": source,
        "type": f"conduit.{item.type}",
        "subject": item.subject,
        "time": at,
        "datacontenttype": "application/json",
    }
    write = to_binary if format_ == "cloudevents-binary" else to_structured
    return Message(*write(CloudEvent(attributes, data)))


def _address(item: News, source: str) -> dict[str, Any]:
    """Where the customer an event is about can be asked for."""
    named = item.subject if item.type.startswith("customer.") else item.data.get("customer_id")
    return {"customer_url": f"{source.rstrip('/')}/api/v1/customers/{named}"} if named else {}


def signed(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], id_: str, at: datetime
) -> dict[str, str]:
    """The headers with name, instant and one signature per secret, as Standard Webhooks says."""
    stamp = {"webhook-id": id_, "webhook-timestamp": str(int(at.timestamp()))}
    request = HookRequest("POST", stamp, {}, body, at)
    made = [STANDARD.sign(request, s).headers["webhook-signature"] for s in secrets]
    return {**headers, **stamp, "webhook-signature": " ".join(made)}


def _send(
    http: Http, one: Subscription, secrets: Sequence[str], id_: str, told: Message
) -> Failure | None:
    """Why it was not taken; None when it was."""
    headers = signed(told.headers, told.body, secrets, id_, leases.now())
    try:
        answer = http.request("POST", one.url, data=told.body, headers=headers, any_status=True)
    except HubError as exc:
        return Failure(f"{exc}. {exc.hint}".rstrip(". "))
    if 200 <= answer.status_code < 300:
        return None
    rest_s = retry_after_s(answer) or 0.0
    return Failure(f"it answered {answer.status_code}", rest_s, answer.status_code == 410)


def _client(one: Subscription) -> Http:
    """A client that reaches what this subscription may; its errors do not tell the address."""
    path = urlsplit(one.url).path
    hidden = [path] if len(path) > 1 else []
    networks = one.allow_networks
    return Http(one.url, allow_networks=networks, timeout_s=TIMEOUT_S, hidden=hidden)


def check_address(url: str, allow_networks: Sequence[str]) -> None:
    """Return when events may be sent there.

    Raises:
        ConfigError: it is no address of the web, leads into a network that is not allowed, or would
            go through the internet in clear.
        RetryableError: the name cannot be resolved now.
    """
    try:
        parts = urlsplit(url)
        networks = [ip_network(network) for network in allow_networks]
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username:
            raise ConfigError(
                "the address is none of the web, or names a user",
                hint="Give one such as https://example.com/events; messages are signed.",
            )
        address, _ = connect_address(parts.hostname, port, allow_networks)
    except ValueError as exc:
        raise ConfigError("the address or a network is malformed") from exc
    if parts.scheme == "http" and not any(ip_address(address) in network for network in networks):
        raise ConfigError("events would go through the internet in clear", hint="Use https.")
