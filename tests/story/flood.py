"""As many events as the receiver takes, while it is killed, and an exact count where they end.

Unlike the storm (``storm.py``) nothing is out of order, so not only the newest version of each
record must arrive but every single one: applied once, in order.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sqlalchemy import text

from hub.registry import ROOT, Hub
from tests.story import storm
from tests.story.processes import PATIENCE_S, Installation, wait_until
from tests.story.sender import Job

TWICE = 0.05
LINES = 16
SHOP = {"adapter": "demo", "webhook_secrets": [storm.SECRET], "fresh_s": 0}
"""What it sends is in no account that could be compared with."""

INBOX = """
    SELECT count(*) AS events, sum(CASE WHEN state = 'done' THEN 1 ELSE 0 END) AS done,
        (SELECT count(*) FROM quarantine) AS held FROM inbox
"""
LINKED = "SELECT count(DISTINCT customer_id) AS customers, count(*) AS records FROM link"
APPLIED = """
    WITH applied AS (
        SELECT ref, version, 1 AS newest, 0 AS id FROM raw
        UNION ALL SELECT ref, version, 0, id FROM history
    ), ordered AS (
        SELECT ref, version,
            lag(version) OVER (PARTITION BY ref ORDER BY newest, id) AS before FROM applied
    )
    SELECT count(*) AS applied, count(DISTINCT ref) AS records,
        sum(CASE WHEN before >= version THEN 1 ELSE 0 END) AS disordered,
        min(version) AS first, max(version) AS last FROM ordered
"""


def flood(
    there: Installation,
    kill: Callable[[], None],
    *,
    records: int,
    versions: int,
    every_s: float,
    seed: int,
    patience_s: float = PATIENCE_S,
) -> dict[str, Any]:
    """Send everything while the receiver is killed now and then; the figures of what then holds."""
    job = Job(there.hooks_port, storm.SECRET, records, versions, LINES, TWICE, seed)
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.story.sender"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        try:
            sender.stdin.write(json.dumps(asdict(job)).encode())
            sender.stdin.close()
            kills = _kill_while(there, sender, kill, every_s, patience_s)
            told = json.load(sender.stdout)
        finally:
            sender.kill()
    storm.wait_until_drained(there, patience_s)
    took_s = time.monotonic() - began
    with there.hub() as hub:
        applied = check(hub, records, versions)
    answers = told["answers"]
    return {
        "seed": seed,
        "seconds": round(told["took_s"]),
        "events": records * versions,
        "records": records,
        "repeated": answers.get("200", 0),
        "refused": {k: v for k, v in sorted(answers.items()) if k not in ("200", "202")},
        "kills": {"hooks": kills},
        "quiet_s": round(took_s - told["took_s"]),
        **applied,
    }


def _kill_while(
    there: Installation,
    sender: subprocess.Popen[bytes],
    kill: Callable[[], None],
    every_s: float,
    patience_s: float,
) -> int:
    """How often the receiver was killed, each time so long after it was up, until all was sent."""
    kills, ends_at = 0, time.monotonic() + patience_s
    while True:
        assert time.monotonic() < ends_at, "the sender never got through"
        try:
            assert sender.wait(every_s) == 0
        except subprocess.TimeoutExpired:
            kill()
            kills += 1
            wait_until("hooks answer again", there.is_reachable)
        else:
            return kills


def check(hub: Hub, records: int, versions: int) -> dict[str, int]:
    """Every event is in the inbox once and done; every version was applied once and in order."""
    with hub.database.read() as conn:
        found = [
            dict(conn.execute(text(query)).one()._mapping) for query in (INBOX, APPLIED, LINKED)
        ]
    assert found == [
        {"events": records * versions, "done": records * versions, "held": 0},
        {
            "applied": records * versions,
            "records": records,
            "disordered": 0,
            "first": f"{1:09d}",
            "last": f"{versions:09d}",
        },
        {"customers": records, "records": records},
    ]
    return {name: found[1][name] for name in ("applied", "disordered")}
