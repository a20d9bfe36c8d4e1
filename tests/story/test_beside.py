"""Lanes drained at the same moment: no transaction undoes what another one did beside it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hub import pipeline
from hub.pipeline import due
from hub.pipeline.lane import leased
from hub.registry import Hub
from hub.sdk import Item
from tests.story import storm
from tests.story.helpers import demo, receive, scalar

Open = Callable[..., Hub]
WORKERS = 8


def item(stream: str, **record: str) -> Item:
    said = {"event_id": record["id"], "stream": stream, "record": {"version": "1", **record}}
    return Item(json.dumps(said).encode(), record["id"], f"{stream}/{record['id']}")


def drain_at_once(hub: Hub) -> None:
    """Drain every lane, several of them at the same time."""

    def work(names: list[str]) -> None:
        with leased(hub, *names) as lane:
            if lane is not None:
                pipeline.ingest(hub, lane)

    with ThreadPoolExecutor(WORKERS) as pool:
        while groups := due.lanes(hub):
            list(pool.map(work, groups))


def test_every_fact_reaches_the_profile_of_its_customer(open_with: Open) -> None:
    hub = open_with({"shop": demo()})
    rng = random.Random(1)
    for n in range(10):
        customers = [item("customers", id=f"C{n}-{c}", name=f"{n}-{c}") for c in range(3)]
        orders = [
            item("orders", id=f"O{n}-{c}-{o}", number=f"{o}", customer_id=f"C{n}-{c}")
            for c in range(3)
            for o in range(8)
        ]
        coming = [*customers, *orders]
        rng.shuffle(coming)
        receive(hub, "shop", *coming)
        drain_at_once(hub)
        storm.check_profiles(hub)
    assert scalar(hub, "SELECT count(*) FROM inbox WHERE state <> 'done'") == 0
    assert scalar(hub, "SELECT count(*) FROM profile") == 30


def test_one_customer_of_many_records_is_one_customer(open_with: Open) -> None:
    hub = open_with({"shop": demo()})
    for n in range(5):
        coming = [
            item("customers", id=f"C{n}-{c}", name=f"客户{n}", phone=f"1391234560{n}")
            for c in range(12)
        ]
        receive(hub, "shop", *coming)
        drain_at_once(hub)
        storm.check_profiles(hub)
    assert scalar(hub, "SELECT count(*) FROM profile") == 5
