"""Other hubs as senders: flows of a real Node-RED and a real n8n post to the real receiver.

Either is given customers and tells two connections of each: one signed as Standard Webhooks say,
one as GitHub signs. With ``?changed=…`` the body grows after it was signed. The flows and the
workflow stand in ``senders``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from bench import rig
from bench.peers import npm
from hub.registry import Hub
from hub.store import refusals
from tests.conftest import REQUIRED
from tests.story.helpers import customer, scalar
from tests.story.processes import PATIENCE_S, Installation, installed, wait_until
from tests.story.storm import wait_until_drained

SENDERS = Path(__file__).parent / "senders"
SHOP_SECRET = "whsec_" + base64.b64encode(b"a text, for n8n signs with texts").decode()
DESK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
CONNECTIONS: dict[str, Any] = {
    "shop": {"adapter": "webhook", "secrets": [SHOP_SECRET]},
    "desk": {
        "adapter": "hook",
        "secrets": [DESK_SECRET],
        "recipe": {
            "signature": "header:x-hub-signature-256",
            "parts": ["body"],
            "prefix": "sha256=",
        },
        "event_id_path": "header:x-github-delivery",
        "stream": "customers",
        "record_path": "data",
    },
}
FIRST, LATER = "2026-11-21T12:00:00Z", "2026-11-21T12:05:00Z"


def test_flows_of_node_red_are_let_in(database_url: str, tmp_path: Path) -> None:
    folder = needed(npm.NODE_RED, npm.install(npm.NODE_RED))
    with (
        receiver(tmp_path, database_url) as (there, environment),
        npm.node_red(folder, environment, SENDERS / "node_red.json") as sender,
    ):
        url = f"http://127.0.0.1:{sender.port}"
        wait_until("its flows run", lambda: knows(f"{url}/ready"))
        check(there, f"{url}/hooks/customers")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_workflow_of_n8n_is_let_in(database_url: str, tmp_path: Path) -> None:
    folder = needed(npm.N8N, npm.installed(npm.N8N))
    with (
        receiver(tmp_path, database_url) as (there, environment),
        rig.database("postgresql", tmp_path) as its_own,
    ):
        environment |= {"PEER_DATABASE": its_own, "N8N_BLOCK_ENV_ACCESS_IN_NODE": "false"}
        with npm.n8n(folder, environment, SENDERS / "n8n.json") as sender:
            check(there, f"http://127.0.0.1:{sender.port}/hooks/customers")


def needed(name: str, folder: Path | None) -> Path:
    """Where the peer is; without it the test is skipped, unless the environment promises it."""
    if folder is not None:
        return folder
    reason = f"{name} is not installed: make bench-peers"
    if name in REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def receiver(tmp_path: Path, database_url: str) -> Iterator[tuple[Installation, dict[str, str]]]:
    """The hub as ``hub up`` runs it, and what a sender's flow must know of it."""
    with installed(tmp_path, database_url, connections=CONNECTIONS) as there:
        there.start_up()
        wait_until("the receiver answers", there.is_reachable)
        url = f"http://127.0.0.1:{there.hooks_port}"
        yield there, {"HUB_URL": url, "SHOP_SECRET": SHOP_SECRET, "DESK_SECRET": DESK_SECRET}


def check(there: Installation, sender: str) -> None:
    """All it signed is kept once and becomes customers; nothing that was changed is."""
    given = [person(number, FIRST) for number in range(20)]
    assert sent(sender, given) == [[202, 202]] * 20
    assert sent(sender, given) == [[200, 200]] * 20  # a flow that is run again repeats its events
    assert sent(sender, [person(0, LATER)]) == [[202, 202]]
    assert sent(sender, [person(1, LATER)], changed="!") == [[401, 401]]
    wait_until_drained(there, PATIENCE_S)
    with there.hub() as hub:
        wait_until("both refusals are told", lambda: refused(hub) == {"shop": 1, "desk": 1})
        assert scalar(hub, "SELECT count(*) FROM inbox WHERE state = 'done'") == 42
        assert scalar(hub, "SELECT count(*) FROM inbox") == 42
        assert scalar(hub, "SELECT count(*) FROM record") == 40
        names = [name_of(hub, number) for number in (0, 1, 19)]
    assert names == ["王小明 0 12:05", "王小明 1 12:00", "王小明 19 12:00"]


def person(number: int, at: str) -> dict[str, Any]:
    """One customer as of an instant; the name tells which."""
    phone = f"+86138100000{number:02}"
    name = f"王小明 {number} {at[11:16]}"
    return {"id": f"C-{number}", "name": name, "phone": phone, "updated_at": at}


def name_of(hub: Hub, number: int) -> str:
    """The name of the one customer whom both connections told of."""
    found = customer(hub, "phone", person(number, FIRST)["phone"])
    assert {member.source.connection for member in found.members} == {"shop", "desk"}
    assert found.name
    return str(found.name.value)


def sent(sender: str, customers: list[dict[str, Any]], changed: str = "") -> list[list[int]]:
    """What the receiver answered to each customer's events, by the shop's and the desk's door.

    A flow that is told to come again later (503) is run again.
    """
    answers = [_told(sender, customers, changed)]
    while any(503 in one for one in answers[-1]):
        answers.append(_told(sender, customers, changed))
    doors = zip(*answers, strict=True)
    return [[_first(door) for door in zip(*told, strict=True)] for told in doors]


def _told(sender: str, customers: list[dict[str, Any]], changed: str) -> list[list[int]]:
    given = {"changed": changed}
    told = requests.post(sender, json=customers, params=given, timeout=PATIENCE_S)
    assert told.status_code == 202, told.text
    return [one["statuses"] for one in told.json()]


def _first(statuses: tuple[int, ...]) -> int:
    """What was said when it was not too busy to say."""
    return next(status for status in statuses if status != 503)


def refused(hub: Hub) -> dict[str, int]:
    """How many unproven requests were counted, by connection."""
    with hub.database.read() as conn:
        rows, _ = refusals.page(conn)
    return {row["connection"]: row["count"] for row in rows if row["status"] == 401}


def knows(url: str) -> bool:
    return requests.get(url, timeout=PATIENCE_S).ok
