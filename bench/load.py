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
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.figures import percentile

END_OF_HEAD = b"\r\n\r\n"


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
    for n in itertools.count(job.get("first", 0)):
        body = _event(n)
        signature = hmac.digest(secret, stamp + b"." + body, "sha256").hex().encode()
        yield (
            head + b"X-Demo-Timestamp: " + stamp + b"\r\nX-Demo-Signature: " + signature
        ) + b"\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _event(n: int) -> bytes:
    """What a CRM sends of a changed contact, about 400 bytes; 5,000 contacts take turns."""
    return (
        b'{"event_id": "e%012d", "stream": "customers", "record": {"id": "C%05d", "version": '
        b'"%012d", "kind": "person", "name": "Li Na %d", "phone": "+86 138 %08d", "email": '
        b'"customer%d@example.com", "tier": "gold", "owner": "sales 7", "city": "Shanghai", '
        b'"street": "Nanjing Road %d", "tags": ["machine", "batch 4"], "created_at": '
        b'"2026-01-05T09:00:00+00:00"}}'
    ) % (n, n % 5000, n, n % 5000, n % 100_000_000, n, n % 900)


def reads(job: dict[str, Any]) -> Iterator[bytes]:
    """GET requests of these paths, over and over."""
    rest = f" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {job['token']}\r\n\r\n"
    return itertools.cycle([f"GET {path}{rest}".encode() for path in job["paths"]])


SORTS = {"webhooks": webhooks, "reads": reads}


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Send requests over so many connections for so long; how fast and how well they were answered.

    Args:
        job: ``sort``, ``port``, ``connections``, ``seconds``, and what the sort wants.
    """
    requests = SORTS[job["sort"]](job)
    _drive(requests, job["port"], job["connections"], min(1.0, job["seconds"] / 3))  # warm up
    began, cpu = time.perf_counter(), time.process_time()
    times, statuses = _drive(requests, job["port"], job["connections"], job["seconds"])
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
    requests: Iterator[bytes], port: int, connections: int, seconds: float
) -> tuple[list[float], dict[str, int]]:
    """How long each answer took, and how many there were of each status."""
    times: list[float] = []
    statuses: dict[str, int] = {}
    with selectors.DefaultSelector() as watch:
        for _ in range(connections):
            peer = Peer(socket.create_connection(("127.0.0.1", port)))
            peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            watch.register(peer.socket, selectors.EVENT_READ, peer)
            _send(peer, next(requests))
        ends_at = time.perf_counter() + seconds
        open_ = connections
        while open_:
            for key, _ in watch.select():
                peer = key.data
                status = _receive(peer)
                if not status:
                    continue
                now = time.perf_counter()
                times.append(now - peer.sent_at)
                statuses[status] = statuses.get(status, 0) + 1
                if now < ends_at:
                    _send(peer, next(requests))
                else:
                    watch.unregister(peer.socket)
                    peer.socket.close()
                    open_ -= 1
    return times, statuses


def _send(peer: Peer, request: bytes) -> None:
    peer.got.clear()
    peer.sent_at = time.perf_counter()
    peer.socket.sendall(request)


def _receive(peer: Peer) -> str:
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
