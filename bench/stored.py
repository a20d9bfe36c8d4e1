"""One changed record among many that are stored.

``python -m bench.stored URL IN.jsonl`` prints milliseconds as JSON.

The store is filled by COPY with what the hub itself would have written of the records: the same
code makes the rows, and the engine that takes all at once says whose they are.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection

from bench import figures
from bench.backends import Backends
from hub.identity import train, weights
from hub.identity.matching import Batch, resolve
from hub.identity.resolve import Evidence, new_id
from hub.identity.traits import Ref, Traits, dumps, name_of, read_traits
from hub.models import Level
from hub.pipeline.absorb import settle
from hub.store import evidence, leases
from hub.store import weights as stored_weights
from hub.store.db import Database, identity_lock
from hub.store.migrate import migrate
from hub.store.schema import to_us

SEEN, WARM = 1050, 50
"""Records that are changed, one after the other, and how many of them are not counted."""


def main() -> None:
    url, source = sys.argv[1], Path(sys.argv[2])
    database = Database(url)
    migrate(database)
    lines = source.read_bytes().splitlines()
    with database.read() as conn:
        is_empty = evidence.count(conn) == 0
    if is_empty:  # else somebody filled it before
        fill(database, url, [read_traits(orjson.loads(line)) for line in lines])
    told = [orjson.loads(line) for line in random.Random(5).sample(lines, min(SEEN, len(lines)))]
    runs = changes(database, told)
    deque(islice(runs, WARM), maxlen=0)  # the first find nothing in any cache
    with Backends(url) as backends:
        took, cpu = (sorted(column) for column in zip(*runs, strict=True))
    database.close()
    db_ms = None if backends.cpu_s is None else backends.cpu_s / len(took) * 1000
    of = figures.percentile
    clock = {"p50": of(took, 0.5), "p99": of(took, 0.99)}
    print(json.dumps({**clock, "cpu_p50": of(cpu, 0.5), "cpu_p99": of(cpu, 0.99), "db": db_ms}))


def fill(database: Database, url: str, records: list[Traits]) -> None:
    """Store the records as customers, and the weights they teach."""
    batch = Batch(records)
    learned = train.learn(batch, weights.shipped())
    with database.write() as conn:
        stored_weights.add(conn, learned, actor="bench")
    groups = resolve(batch, learned)
    with psycopg.connect(url) as conn:
        for table, rows in _tables(records, groups):
            with conn.cursor().copy(f"COPY {table} FROM STDIN") as copy:  # type: ignore[call-overload]
                for row in rows:
                    copy.write_row(row)
        conn.commit()
        conn.autocommit = True
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")


def _tables(
    records: list[Traits], groups: list[list[Ref]]
) -> Iterator[tuple[str, Iterable[tuple[Any, ...]]]]:
    ids = [new_id() for _ in groups]
    now = to_us(leases.now())
    yield "customer (id, created_at)", ((id_, now) for id_ in ids)
    links = zip(ids, groups, strict=True)
    yield "link (ref, customer_id)", ((name_of(ref), id_) for id_, group in links for ref in group)
    yield "evidence (ref, traits)", ((name_of(t.ref), dumps(t)) for t in records)
    held = ((*placed, name_of(t.ref)) for t in records for placed in evidence.placed(t))
    yield "holder (key, claimed, ref)", held
    known = ((*key, name_of(t.ref), "recorded") for t in records for key in _keys(t))
    yield "identifier (type, value, ref, level)", known


def _keys(t: Traits) -> list[tuple[str, str]]:
    """What the record would be looked up by."""
    found = [("phone", value) for value in t.phones] + [("email", value) for value in t.emails]
    return list(dict.fromkeys([*found, *t.ids]))


def changes(database: Database, told: list[dict[str, Any]]) -> Iterator[tuple[float, float]]:
    """Milliseconds for each of these records to be decided on anew, commit included.

    By the clock, and of a processor in this process.

    By turns somebody has another number, has one more mailbox, and is written like somebody else.
    """
    chance = random.Random(5)
    for n, record in enumerate(told):
        other = chance.choice(told)
        changed: dict[str, Any] = (
            {"phones": [f"139{chance.randrange(10**8):08}"]},
            {"emails": [*record["emails"], f"m{chance.randrange(10**9)}@example.com"]},
            {"name": other["name"]} if other["kind"] == record["kind"] else {"phones": []},
        )[n % 3]
        t = read_traits(record | changed)
        item = Evidence(name_of(t.ref), dict.fromkeys(_keys(t), Level.RECORDED), t)
        begun, cpu_s = time.perf_counter(), time.thread_time()
        database.run(lambda conn, item=item: _settle(conn, item))
        took_s = time.perf_counter() - begun, time.thread_time() - cpu_s
        yield took_s[0] * 1000, took_s[1] * 1000


def _settle(conn: Connection, item: Evidence) -> None:
    identity_lock(conn)
    settle(conn, [item], (), actor="bench")


if __name__ == "__main__":
    main()
