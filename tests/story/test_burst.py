"""A burst through the front door: every record's events are applied in the order they were sent.

``HUB_TEST_BURST`` says how many events; the seconds are printed (``pytest -s``).
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import orjson
import zstandard
from flask.testing import FlaskClient

from adapters.demo.webhook import sign
from hub import pipeline
from hub.errors import StoreError
from hub.pipeline import due
from hub.pipeline.lane import leased
from hub.registry import Hub
from tests.story.helpers import demo, scalar
from tests.story.processes import PATIENCE_S
from tests.story.test_receiver import receiver

EVENTS = int(os.environ.get("HUB_TEST_BURST", "2000"))
RECORDS, SENDERS, WORKERS = 200, 8, 6
BATCHES = (1, 1, 1, 5, 25)
CONNECTIONS = ("shop", "crm")
SECRET = "shared-with-the-sender"
PENDING = "SELECT count(*) FROM inbox WHERE state IN ('received', 'retry')"

Sent = dict[str, list[int]]
"""By record the numbers of its events, in order."""


def events(sender: int) -> Iterator[tuple[str, int]]:
    """A sender's events as (record, number): its records are its own, so their order is clear."""
    chance, mine = random.Random(sender), range(sender, RECORDS, SENDERS)
    for number in range(EVENTS // SENDERS):
        yield f"O{chance.choice(mine)}", number


def send(client: FlaskClient, sender: int) -> Sent:
    """Send each batch until it is taken, now and then once more."""
    chance, sent, waiting = random.Random(-sender), defaultdict(list), list(events(sender))
    connection = CONNECTIONS[sender % len(CONNECTIONS)]
    while waiting:
        size = chance.choice(BATCHES)
        batch, waiting = waiting[:size], waiting[size:]
        for record, number in batch:
            sent[f"{connection}/orders/{record}"].append(number)
        told = [
            {
                "event_id": f"{sender}-{number}",
                "stream": "orders",
                "record": {"id": record, "number": str(number)},
            }
            for record, number in batch
        ]
        data = json.dumps({"events": told}).encode()
        times = 2 if chance.random() < 0.05 else 1
        while times:
            headers = sign(SECRET, data, datetime.now(UTC))
            answer = client.post(f"/hooks/{connection}", data=data, headers=headers)
            assert answer.status_code in (200, 202, 503)
            times -= answer.status_code < 300
    return sent


def work(hub: Hub, names: list[str]) -> None:
    with suppress(StoreError), leased(hub, *names) as lane:  # what was in the way is tried again
        if lane is not None:
            pipeline.ingest(hub, lane)


def drained(hub: Hub, senders: list[Future[Sent]]) -> None:
    """Hand lanes to workers, as the relay does, until everything that was sent is applied."""
    deadline = time.monotonic() + PATIENCE_S + EVENTS / 50
    with ThreadPoolExecutor(WORKERS) as workers:
        at_work: list[Future[None]] = []
        while not all(sender.done() for sender in senders) or scalar(hub, PENDING):
            assert time.monotonic() < deadline, "it is not drained in time"
            with suppress(StoreError):
                at_work += [workers.submit(work, hub, names) for names in due.lanes(hub)]
            for done in [one for one in at_work if one.done()]:
                done.result()
                at_work.remove(done)
            time.sleep(0.01)


def applied(hub: Hub) -> Sent:
    """By record the numbers it had, one after another."""
    found: Sent = defaultdict(list)
    zstd = zstandard.ZstdDecompressor()
    with hub.database.read() as conn:
        for ref, payload in conn.exec_driver_sql("SELECT ref, payload FROM history ORDER BY id"):
            found[ref].append(int(orjson.loads(zstd.decompress(payload))["number"]))
        for ref, payload in conn.exec_driver_sql("SELECT ref, payload FROM raw"):
            found[ref].append(int(orjson.loads(payload)["number"]))
    return found


def test_a_burst_is_applied_in_order_per_record(open_with: Callable[..., Hub]) -> None:
    hub = open_with({name: demo(webhook_secrets=[SECRET]) for name in CONNECTIONS})
    began = time.monotonic()
    with receiver(hub.settings) as client, ThreadPoolExecutor(SENDERS) as pool:
        clients = [client.application.test_client() for _ in range(SENDERS)]
        senders = [pool.submit(send, one, n) for n, one in enumerate(clients)]
        drained(hub, senders)
        sent = {ref: numbers for sender in senders for ref, numbers in sender.result().items()}
    print(f"{EVENTS} events sent and drained in {time.monotonic() - began:.0f} s")  # noqa: T201
    assert applied(hub) == sent
    count = sum(map(len, sent.values()))
    assert scalar(hub, "SELECT count(*) FROM inbox WHERE state = 'done'") == count
