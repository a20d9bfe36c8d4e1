"""The load generator, a process of its own: ``python -m bench.load < job.json`` prints JSON.

Every connection is kept open and always has one request under way. One thread watches raw sockets:
that costs a few per cent of what a Python server needs, and it says itself how busy it was.
"""

from __future__ import annotations

import hmac
import itertools
import json
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.contacts import TWIN_EVERY, contact
from bench.figures import percentile

CONTACTS = 5000
SAID = ("id", "name", "phone", "email", "tier", "city", "street", "tags", "created_at")
END_OF_HEAD = b"\r\n\r\n"
ANSWER_S = 30.0


@dataclass(slots=True)
class Peer:
    """One kept connection and the request under way on it."""

    socket: socket.socket
    sent_at: float = 0.0
    got: bytearray = field(default_factory=bytearray)


def webhooks(job: dict[str, Any]) -> Iterator[bytes]:
    """Signed demo webhooks without end, each with an event of its own."""
    secret, path = job["secret"].encode(), job["path"]
    stamp = str(int(time.time())).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
    known = _templates()
    for n in itertools.count(job.get("first", 0)):
        body = _event(n, known)
        signature = hmac.digest(secret, stamp + b"." + body, "sha256").hex().encode()
        yield (
            head + b"X-Demo-Timestamp: " + stamp + b"\r\nX-Demo-Signature: " + signature
        ) + b"\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _event(n: int, known: Sequence[bytes]) -> bytes:
    """What a CRM sends when a contact got another owner, about 450 bytes; they take turns."""
    return known[n % CONTACTS] % (n, n, n)


def _templates() -> list[bytes]:
    """An event of each contact, without its numbers."""
    told = []
    for n in range(CONTACTS):
        person = {**contact(n * TWIN_EVERY), "id": f"C{n:05d}"}
        row = {name: person[name] for name in SAID} | {"version": "%012d", "owner": "销售%d"}
        event = {"event_id": "e%012d", "stream": "customers", "record": row}
        told.append(json.dumps(event, ensure_ascii=False).encode())
    return told


def reads(job: dict[str, Any]) -> Iterator[bytes]:
    """GET requests of these paths, over and over."""
    rest = f" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {job['token']}\r\n\r\n"
    return itertools.cycle([f"GET {path}{rest}".encode() for path in job["paths"]])


SORTS = {"webhooks": webhooks, "reads": reads}


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Send requests over so many connections for so long; how fast and how well they were answered.

    Args:
        job: ``sort``, ``port``, ``connections``, ``seconds``, and what the sort wants; ``per_s``
            sends so many a second instead of one after the other.
    """
    requests, per_s = SORTS[job["sort"]](job), job.get("per_s", float("inf"))
    where = job["port"], job["connections"]
    _drive(requests, *where, min(1.0, job["seconds"] / 3), per_s)  # warm up
    began, cpu = time.perf_counter(), time.process_time()
    times, statuses = _drive(requests, *where, job["seconds"], per_s)
    took_s, busy_s = time.perf_counter() - began, time.process_time() - cpu
    times.sort()
    return {
        "answers": len(times),
        "per_s": len(times) / took_s,
        "p50_ms": percentile(times, 0.50) * 1000,
        "p99_ms": percentile(times, 0.99) * 1000,
        "statuses": statuses,
        "generator_busy": busy_s / took_s,
    }


def _drive(
    requests: Iterator[bytes], port: int, connections: int, seconds: float, per_s: float
) -> tuple[list[float], dict[str, int]]:
    """How long each answer took since it was due, and how many there were of each status."""
    times: list[float] = []
    statuses: dict[str, int] = {}
    idle = deque(connect(port) for _ in range(connections))
    with selectors.DefaultSelector() as watch:
        for peer in idle:
            watch.register(peer.socket, selectors.EVENT_READ, peer)
        began = now = due_at = time.perf_counter()
        sent = 0
        while now < began + seconds or len(idle) < connections:
            on = now < began + seconds
            while idle and on and due_at <= now:
                send(peer := idle.popleft(), next(requests))
                if per_s < float("inf"):
                    peer.sent_at = due_at  # what is late is late because of the server
                sent += 1
                due_at = began + sent / per_s
            ready = watch.select(max(0.0, due_at - now) if idle and on else ANSWER_S)
            if not ready and not (idle and on):
                raise ConnectionError(f"the server did not answer for {ANSWER_S:g} s")
            for key, _ in ready:
                if status := receive(key.data):
                    times.append(time.perf_counter() - key.data.sent_at)
                    statuses[status] = statuses.get(status, 0) + 1
                    idle.append(key.data)
            now = time.perf_counter()
    for peer in idle:
        peer.socket.close()
    return times, statuses


def connect(port: int) -> Peer:
    """A connection to the server, kept open."""
    peer = Peer(socket.create_connection(("127.0.0.1", port)))
    peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def send(peer: Peer, request: bytes) -> None:
    """Begin a request on an idle connection."""
    peer.got.clear()
    peer.sent_at = time.perf_counter()
    peer.socket.sendall(request)


def receive(peer: Peer) -> str:
    """The status once the answer is complete, until then ""."""
    got = peer.socket.recv(65536)
    if not got:
        raise ConnectionError("the server closed a connection in the middle of the measurement")
    peer.got += got
    end = peer.got.find(END_OF_HEAD)
    if end < 0:
        return ""
    head = peer.got[:end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        raise ConnectionError("an answer without Content-Length cannot be measured")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0])
    if len(peer.got) < end + len(END_OF_HEAD) + length:
        return ""
    return bytes(head[9:12]).decode()


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
