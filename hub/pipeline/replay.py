"""Once more, from what is stored."""

from __future__ import annotations

import orjson
from sqlalchemy import Connection

from hub.pipeline.absorb import Arrived, absorb
from hub.registry import Hub
from hub.sdk import Row
from hub.store import quarantine

BATCH_MAX = 200


def replay_quarantine(hub: Hub, connection: str) -> tuple[int, int]:
    """Try the rows held of a connection again; how many were taken in, how many are still held."""
    live = hub.registry.get(connection)
    with hub.database.read() as conn:
        held = quarantine.held(conn, connection, BATCH_MAX)
    arrived = [
        Arrived(Row(row["stream"], orjson.loads(row["body"])), row["at"], row["inbox_id"])
        for row in held
    ]
    ids = [row["id"] for row in held]

    def finish(conn: Connection) -> None:
        quarantine.mark(conn, ids, "replayed")

    absorb(hub, live, arrived, finish)
    with hub.database.read() as conn:
        still = len(quarantine.held(conn, connection, BATCH_MAX))
    return len(held) - still, still
