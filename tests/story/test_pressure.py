"""The receiver under real pressure: what is answered 2xx is stored, the rest is told to come again.

What was refused is sent again until it is taken, as every vendor does; so in the end all is there.
"""

from __future__ import annotations

import select
import shutil
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from adapters.demo.webhook import sign
from hub.registry import Hub
from tests.conftest import PORTS
from tests.story.helpers import demo
from tests.story.processes import wait_until
from tests.story.test_receiver import SECRET, body, post, receiver, stored
from webhooks import pressure
from webhooks.pressure import Bucket
from webhooks.writer import Disk

Open = Callable[..., Hub]
SENDERS = 24  # as many threads as the Procfile gives a process
EARLY = 2400
"""Refusals that would take longer than our patience if each of them were waited for."""


@pytest.fixture
def hub(open_with: Open) -> Hub:
    return open_with({"shop": demo(webhook_secrets=[SECRET])})


class Storm:
    """Senders that send each event until it is taken, all at once, until they are told to end."""

    def __init__(self, client: FlaskClient) -> None:
        self._app = client.application
        self.answers: Counter[tuple[int, str | None]] = Counter()
        self.taken: set[str] = set()
        self._lock, self._end = threading.Lock(), threading.Event()

    def __enter__(self) -> Storm:
        self._pool = ThreadPoolExecutor(SENDERS)
        self._senders = [self._pool.submit(self._send, n) for n in range(SENDERS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._pool.shutdown()
        for sender in self._senders:
            sender.result()

    def refused(self) -> int:
        return sum(n for (status, _), n in self.answers.items() if status == 503)

    def _send(self, sender: int) -> None:
        client, n = self._app.test_client(), 0
        while not self._end.is_set():
            answer = post(client, body(f"{sender}-{n}", id=f"O{sender}"))
            with self._lock:
                self.answers[answer.status_code, answer.headers.get("Retry-After")] += 1
                if answer.status_code < 300:
                    self.taken.add(f"{sender}-{n}")
            n += answer.status_code < 300
            self._end.wait(0.001)


@contextmanager
def locked(hub: Hub) -> Iterator[None]:
    """Somebody else holds the inbox for long."""
    with hub.database.engine.connect() as other:
        lock = "BEGIN IMMEDIATE" if hub.database.is_sqlite else "LOCK TABLE inbox"
        other.exec_driver_sql(lock)
        yield
        other.rollback()


def ready(client: FlaskClient) -> TestResponse:
    return client.application.test_client().get("/readyz")


def is_ready(client: FlaskClient) -> bool:
    return ready(client).status_code == 200


def everything_taken_is_there(hub: Hub, storm: Storm) -> None:
    with hub.database.read() as conn:
        found = set(conn.exec_driver_sql("SELECT event_id FROM inbox").scalars())
    assert storm.taken <= found
    answered = {status for status, _ in storm.answers}
    assert answered <= {200, 202, 503}
    assert {after for status, after in storm.answers if status == 503} <= {"5"}


def test_a_database_that_is_held_for_long_costs_nothing_but_time(hub: Hub) -> None:
    with receiver(hub.settings) as client, Storm(client) as storm:
        wait_until("events are taken", lambda: len(storm.taken) > SENDERS)
        with locked(hub):
            wait_until("they are refused", lambda: storm.refused() > 0)
            held = len(storm.taken)
            wait_until("early", lambda: storm.refused() > EARLY)
            assert ready(client).status_code == 503
            assert len(storm.taken) - held <= pressure.SLOTS
        wait_until("taken again", lambda: len(storm.taken) > held + 2 * SENDERS)
        wait_until("ready again", lambda: is_ready(client))
    everything_taken_is_there(hub, storm)


class Wire:
    """A way to PostgreSQL that can be frozen: packets go in, and nothing comes out."""

    def __init__(self) -> None:
        self.flows, self._end = threading.Event(), threading.Event()
        self.flows.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen)]

    def __enter__(self) -> Wire:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.flows.set()
        for thread in self._threads:
            thread.join()
        self._listening.close()

    @contextmanager
    def thawed(self) -> Iterator[None]:
        """In the end, whatever happened: who waits for an answer gets it."""
        try:
            yield
        finally:
            self.flows.set()

    def _listen(self) -> None:
        while not self._end.is_set():
            if select.select([self._listening], [], [], 0.05)[0]:
                near, _ = self._listening.accept()
                self._threads.append(threading.Thread(target=self._carry, args=[near]))
                self._threads[-1].start()

    def _carry(self, near: socket.socket) -> None:
        there = "127.0.0.1", PORTS["postgresql"]
        with near, socket.create_connection(there) as far, suppress(OSError):
            while not self._end.is_set():
                self.flows.wait()
                for one in select.select([near, far], [], [], 0.05)[0]:
                    some = one.recv(65536)
                    self.flows.wait()
                    if not some:
                        return
                    (far if one is near else near).sendall(some)


def through(wire_port: int, url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"127.0.0.1:{wire_port}"))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("busy", [True, False])
def test_a_server_that_says_nothing_any_more_holds_few_and_the_rest_are_told(
    hub: Hub, *, busy: bool
) -> None:
    """Whether it froze while much was sent, or in the quiet when even the connections are stale."""
    with Wire() as wire:
        url = through(wire.port, hub.settings.database)
        with receiver(hub.settings.model_copy(update={"database_url": url})) as client:
            assert post(client, body("first")).status_code == 202
            if not busy:
                client.application.extensions["hub.registry"].forget()
                wire.flows.clear()
            with Storm(client) as storm, wire.thawed():
                if busy:
                    wait_until("events are taken", lambda: len(storm.taken) > SENDERS)
                    wire.flows.clear()
                wait_until("early", lambda: storm.refused() > EARLY)
                assert ready(client).status_code == 503
                held = len(storm.taken)
                wire.flows.set()
                wait_until("taken again", lambda: len(storm.taken) > held + 2 * SENDERS)
                wait_until("ready again", lambda: is_ready(client))
    everything_taken_is_there(hub, storm)


def test_an_installation_without_tables_takes_nothing_and_says_so(
    open_with: Open, database_url: str, tmp_path: Path
) -> None:
    hub = open_with({"shop": demo(webhook_secrets=[SECRET])})
    with receiver(hub.settings) as client:
        assert is_ready(client)
        with hub.database.write() as conn:
            conn.exec_driver_sql("ALTER TABLE inbox RENAME TO elsewhere")
            conn.exec_driver_sql("ALTER TABLE connection RENAME TO elsewhere_too")
        client.application.extensions["hub.registry"].forget()
        answer = post(client, body())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        wait_until("not ready", lambda: not is_ready(client))
        told = ready(client)
        assert (told.headers["Retry-After"], told.mimetype) == ("5", "application/problem+json")
        assert "the database takes nothing" in told.json["detail"]


def test_ready_writes_nothing(hub: Hub) -> None:
    with receiver(hub.settings) as client:
        answer = ready(client)
    assert (answer.status_code, answer.json) == (200, {"status": "ready"})
    assert stored(hub) == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_disk_that_fills_is_refused_before_it_is_full(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    gib, free = 1024**3, 400 * 1024**2  # the reserve is half a GiB
    usage = shutil._ntuple_diskusage  # type: ignore[attr-defined]
    with receiver(hub.settings) as client:
        assert post(client, body("e1")).status_code == 202
        monkeypatch.setattr(
            shutil, "disk_usage", lambda _: usage(100 * gib, 100 * gib - free, free)
        )
        wait_until("refused", lambda: post(client, body("e2")).status_code == 503)
        answer = post(client, body("e3"))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
        assert "the disk is nearly full" in ready(client).json["detail"]
        before = stored(hub)
        assert {post(client, body(f"f{n}")).status_code for n in range(50)} == {503}
        assert stored(hub) == before
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100 * gib, 0, 100 * gib))
        wait_until("taken again", lambda: post(client, body("e3")).status_code == 202)
        assert is_ready(client)


@pytest.mark.parametrize(
    ("free", "total", "reserve", "short"),
    [(99, 10_000, 100, True), (100, 10_000, 100, False), (6, 100, 100, False), (4, 100, 100, True),
     (0, 0, 100, False), (5, 10_000, 0, False)],
)  # fmt: skip
def test_the_reserve_is_never_most_of_a_small_disk(
    free: int, total: int, reserve: int, *, short: bool
) -> None:
    assert pressure.is_short(free, total, reserve) is short


def test_a_disk_that_cannot_be_asked_is_left_to_the_database(tmp_path: Path) -> None:
    assert not Disk(tmp_path / "gone", 2**60).is_short()


def test_who_sends_too_much_is_told_when_and_nobody_else_is(open_with: Open) -> None:
    slow = demo(webhook_secrets=[SECRET], hooks_per_s=0.01)
    hub = open_with({"shop": slow, "other": demo(webhook_secrets=[SECRET])})
    with receiver(hub.settings) as client:
        for _ in range(5):
            assert post(client, body(), **{"x-demo-signature": "00" * 32}).status_code == 401
        assert post(client, body("e1")).status_code == 202  # strangers used nothing up
        answers = [post(client, body(f"e{n}")) for n in range(2, 12)]
        assert {answer.status_code for answer in answers} == {429}
        assert all(50 < int(answer.headers["Retry-After"]) <= 100 for answer in answers)
        data = body("o1")
        told = client.post("/hooks/other", data=data, headers=sign(SECRET, data, datetime.now(UTC)))
        assert told.status_code == 202
        assert is_ready(client)
    assert stored(hub) == 2


@given(
    per_s=st.floats(0.01, 500),
    waits=st.lists(st.floats(0, 20), max_size=60),
    began=st.floats(0, 1e6),
)
@settings(derandomize=True, deadline=None)
def test_a_bucket_gives_what_it_promised_and_no_more(
    per_s: float, waits: list[float], began: float
) -> None:
    bucket, now, given_out = Bucket(per_s, began), began, 0
    for wait in waits:
        now += wait
        left_s = bucket.take(now)
        given_out += left_s == 0
        if left_s:
            now += left_s
            assert bucket.take(now) == 0, "it came when it was told to"
            given_out += 1
    assert given_out <= per_s * (now - began) + max(1.0, per_s) + 0.01
