"""A shop that sends without mercy, in a process of its own: ``python -m tests.story.sender``.

It reads a job as JSON and prints what happened. Each line repeats an event until it is
acknowledged, as vendors do, and sends some twice; all versions of a record take the same line, one
after the other, so that what must arrive is known exactly.
"""

from __future__ import annotations

import hmac
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.load import Peer, connect, receive, send

PAUSE_S = 0.1
TAKEN = {"200", "202"}


@dataclass(frozen=True)
class Job:
    """What is to be sent: ``versions`` of each of ``records``, over so many lines at once."""

    port: int
    secret: str
    records: int
    versions: int
    lines: int
    twice: float
    seed: int


@dataclass
class Line:
    """One kept connection; a new one whenever it breaks."""

    job: Job
    number: int
    answers: Counter[str] = field(default_factory=Counter)
    _peer: Peer | None = None

    def run(self) -> None:
        """Send all there is for this line, until each was acknowledged."""
        for n, version in self._events():
            event = _event(n, version)
            while (answer := self._post(event)) not in TAKEN:
                self.answers[answer] += 1
                time.sleep(PAUSE_S)
            self.answers[answer] += 1
        if self._peer:
            self._peer.socket.close()

    def _events(self) -> Iterator[tuple[int, int]]:
        rng = random.Random(f"{self.job.seed} {self.number}")
        for version in range(1, self.job.versions + 1):
            for n in range(self.number, self.job.records, self.job.lines):
                yield n, version
                if rng.random() < self.job.twice:
                    yield n, rng.randint(1, version)

    def _post(self, body: bytes) -> str:
        try:
            self._peer = peer = self._peer or connect(self.job.port)
            send(peer, _request(self.job.secret, body))
            while not (status := receive(peer)):
                pass
        except OSError as exc:
            if self._peer:
                self._peer.socket.close()
            self._peer = None
            return type(exc).__name__
        return status


def _event(n: int, version: int) -> bytes:
    row = {
        "id": f"C{n:06d}",
        "version": f"{version:09d}",
        "name": f"客户{n}",
        "tier": f"t{version}",
    }
    row |= {"phone": f"139{n:08d}", "member_no": f"M{n}"}
    said = {"event_id": f"{n}-{version}", "stream": "customers", "record": row}
    return json.dumps(said).encode()


def _request(secret: str, body: bytes) -> bytes:
    stamp = b"%d" % time.time()
    signature = hmac.digest(secret.encode(), stamp + b"." + body, "sha256").hex().encode()
    return (
        b"POST /hooks/shop HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"X-Demo-Timestamp: %b\r\nX-Demo-Signature: %b\r\nContent-Length: %d\r\n\r\n%b"
    ) % (stamp, signature, len(body), body)


def main() -> None:
    """Do the job of standard input."""
    job = Job(**json.load(sys.stdin))
    lines = [Line(job, number) for number in range(job.lines)]
    threads = [threading.Thread(target=line.run) for line in lines]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers = sum((line.answers for line in lines), Counter())
    json.dump({"answers": answers, "took_s": time.monotonic() - began}, sys.stdout)


if __name__ == "__main__":
    main()
