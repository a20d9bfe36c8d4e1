"""The servers on real sockets: what goes wrong there goes wrong for a real client."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import requests
from werkzeug.serving import make_server

from demo.city.crm.server import Crm


@pytest.fixture
def crm() -> Iterator[Crm]:
    site = Crm(wait=lambda _: None)
    server = make_server("127.0.0.1", 0, site, threaded=True)
    site.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def ask(crm: Crm, method: str = "GET") -> requests.Response:
    headers = {"Authorization": f"Bearer {crm.token}"}
    url = f"{crm.url}/contacts"  # type: ignore[attr-defined]
    return requests.request(method, url, headers=headers, json={"name": "n"}, timeout=5)


def test_it_answers(crm: Crm) -> None:
    crm.save("contacts", {"name": "n"})
    assert [row["name"] for row in ask(crm).json()["items"]] == ["n"]


def test_silence_is_a_lost_connection(crm: Crm) -> None:
    crm.faults.set(hang=1.0)
    with pytest.raises(requests.ConnectionError):
        ask(crm)


def test_a_lost_answer_leaves_its_write(crm: Crm) -> None:
    crm.faults.set(answer_lost=1.0)
    with pytest.raises(requests.ConnectionError):
        ask(crm, "POST")
    assert len(crm.ledger.rows("contacts")) == 1


def test_a_body_in_drops_is_whole(crm: Crm) -> None:
    crm.save("contacts", {"name": "n" * 500})
    crm.faults.set(dribble=1.0)
    assert ask(crm).json()["items"][0]["name"] == "n" * 500
