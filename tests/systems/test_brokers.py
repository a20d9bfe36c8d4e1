"""The production set-up with either broker: events and pulls arrive, a restart loses nothing.

The broker only wakes workers, so what it forgets costs a moment; the storm with RabbitMQ is in
``test_crash_kill``.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from adapters.demo.account import Account
from hub.registry import Hub
from tests.conftest import need
from tests.story import storm
from tests.story.helpers import scalar
from tests.story.processes import (
    PATIENCE_S,
    PRODUCTION,
    RABBITMQ,
    REDIS,
    Installation,
    installed,
    own_queue,
    wait_until,
)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("service", "url"), [("rabbitmq", RABBITMQ), ("redis", REDIS)])
def test_events_and_pulls_become_profiles_and_a_restart_loses_nothing(
    database_url: str, tmp_path: Path, service: str, url: str
) -> None:
    need(service)
    given = storm.settings(tmp_path)
    crm = Account(tmp_path / "crm.jsonl")
    crm.put("customers", {"id": "1", "name": "李娜", "phone": "13900000001"})
    crm_settings = {"adapter": "demo", "ledger_path": str(tmp_path / "crm.jsonl"), "every_s": 1}
    given["connections"]["crm"] = crm_settings
    with (
        own_queue(url) as broker,
        installed(tmp_path, database_url, **broker, **given) as there,
        there.hub() as hub,
    ):
        for name in PRODUCTION:
            there.start_production(name)
        wait_until("hooks answer", there.is_reachable)
        wait_until("a pull became a profile", lambda: known(hub, "crm/customers/1"))
        there.kill("worker")
        senders = storm.Senders(there.hooks_port, storm.plan(random.Random(1), 500, 100), 250)
        restart_with_much_to_do(there, hub)
        wait_until("an event became a profile", lambda: known(hub, "shop/customers/C0001"))
        crm.put("customers", {"id": "2", "name": "王强", "phone": "13900000002"})
        wait_until("the senders are through", lambda: senders.done)
        storm.wait_until_drained(there, PATIENCE_S)
        wait_until("the next pull became a profile", lambda: known(hub, "crm/customers/2"))
        for name in PRODUCTION:
            assert there.alive(name), f"{name} ended by itself"
            there.stop(name)
        storm.check(hub, senders.acknowledged, tmp_path)


def restart_with_much_to_do(there: Installation, hub: Hub) -> None:
    """A killed worker has left much; ask its successor to end in good order, and start another."""
    pending = "SELECT count(*) FROM inbox WHERE state = 'received'"
    wait_until("much waits", lambda: scalar(hub, pending) > 250)
    there.start_production("worker")
    wait_until("it works again", lambda: scalar(hub, pending) < 250)
    there.stop("worker")
    there.start_production("worker")


def known(hub: Hub, ref: str) -> bool:
    sql = "SELECT count(*) FROM profile p JOIN link l ON l.customer_id = p.customer_id"
    return bool(scalar(hub, f"{sql} WHERE l.ref = :ref", ref=ref))
