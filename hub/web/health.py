"""Whether we live, can work, and how much waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address

import orjson
from flask import Blueprint, Flask, Response, abort, current_app, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from hub.errors import StoreError
from hub.store import alerts, certificates, leases, read
from hub.store.certificates import Certificate, StreamState
from hub.store.db import Database
from hub.store.migrate import is_current
from hub.web import auth
from hub.web.context import hub

blueprint = Blueprint("health", __name__)


class _Counts(Collector):
    """Counts read from the database when asked, so that every process tells the same."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        with self._database.read() as conn:
            waiting, states = read.backlog(conn), read.connection_states(conn)
            streams, alarms = certificates.streams(conn), alerts.every(conn)
        yield _gauge("conduit_inbox_events", "Events that wait", "state", waiting.inbox)
        yield _gauge("conduit_deliveries", "Deliveries not confirmed", "state", waiting.deliveries)
        yield GaugeMetricFamily(
            "conduit_quarantined_rows", "Rows we could not use", value=waiting.quarantine
        )
        yield GaugeMetricFamily("conduit_customers", "Customers", value=waiting.customers)
        family = GaugeMetricFamily(
            "conduit_connection_state", "1 for the state it is in", labels=["connection", "state"]
        )
        for name, state in states.items():
            family.add_metric([name, state], 1)
        yield family
        yield from _of_streams(streams)
        kinds = Counter(alarm["kind"] for alarm in alarms)
        yield _gauge("conduit_alerts", "What a person must know of", "kind", kinds)


def _of_streams(streams: Sequence[StreamState]) -> Iterator[Metric]:
    """Status of every stream, and what its newest certificate says."""
    labels = ["connection", "stream"]
    family = GaugeMetricFamily(
        "conduit_stream_status", "1 for the colour it has", labels=[*labels, "status"]
    )
    for one in streams:
        family.add_metric([one.connection, one.stream, one.status], 1)
    yield family
    for name, told, value in _CERTIFIED:
        family = GaugeMetricFamily(f"conduit_certificate_{name}", told, labels=labels)
        for one in streams:
            if one.certificate:
                family.add_metric([one.connection, one.stream], value(one.certificate))
        yield family


_CERTIFIED: tuple[tuple[str, str, Callable[[Certificate], float]], ...] = (
    (
        "age_seconds",
        "Since it was checked",
        lambda c: (leases.now() - c.checked_at).total_seconds(),
    ),
    ("complete", "Whether nothing was left", lambda c: c.complete),
    ("source_records", "Records at the source", lambda c: c.source_count),
    ("hub_records", "Records in the hub", lambda c: c.hub_count),
    ("missing", "Still not in the hub", lambda c: c.missing),
    ("stale", "Still newer at the source", lambda c: c.stale),
    ("extra", "Still in the hub, gone at the source", lambda c: c.extra),
    ("repaired", "Found and mended", lambda c: c.repaired),
)


@blueprint.get("/healthz")
def alive() -> Response:
    """The process answers."""
    return _told({"status": "ok"}, 200)


@blueprint.get("/readyz")
def ready() -> Response:
    """The database answers and has the tables this version works with."""
    try:
        with hub().database.read() as conn:
            current = _is_current(conn)
    except StoreError:
        return _told({"database": "unreachable", "schema": "unknown"}, 503)
    if not current:
        return _told({"database": "ok", "schema": "outdated"}, 503)
    return _told({"database": "ok", "schema": "current"}, 200)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus' text format, for this machine or an operator's token."""
    if not _is_this_machine() and auth.bearer_role() not in auth.OPERATORS:
        abort(401, "Ask from this machine, or send an operator's bearer token.")
    registry: CollectorRegistry = current_app.extensions["conduit-metrics"]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def install(app: Flask) -> None:
    """Add the three addresses."""
    registry = CollectorRegistry()
    registry.register(_Counts(app.extensions["hub"].database))
    app.extensions["conduit-metrics"] = registry
    app.register_blueprint(blueprint)


def _gauge(name: str, told: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, told, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _is_this_machine() -> bool:
    """A request a proxy on this machine hands on is not from this machine."""
    if not hub().proxies and {"X-Forwarded-For", "Forwarded"} & set(request.headers.keys()):
        return False
    try:
        return ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def _is_current(conn: Connection) -> bool:
    """Once current, always current: a schema is never taken back under a running process."""
    known = current_app.extensions
    known["conduit-schema"] = known.get("conduit-schema") or is_current(conn)
    return bool(known["conduit-schema"])


def _told(document: object, status: int) -> Response:
    return Response(orjson.dumps(document), status, mimetype="application/json")
