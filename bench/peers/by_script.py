"""The least one can do: requests, pydantic and COPY.

``python -m bench.peers.by_script SOURCE DATABASE`` prints JSON. It keeps no cursor, no
history and no customers, and copies everything again each time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import requests
from pydantic import BaseModel

from bench.measuring import Measured

TABLE = """CREATE TABLE IF NOT EXISTS contact (
    id text PRIMARY KEY, name text, phone text, email text, company text, title text, owner text,
    tier text, city text, street text, tags jsonb, lead_source text, visits bigint,
    created_at timestamptz, updated_at timestamptz)"""


class Contact(BaseModel):
    id: str
    name: str
    phone: str
    email: str
    company: str
    title: str
    owner: str
    tier: str
    city: str
    street: str
    tags: list[str]
    lead_source: str
    visits: int
    created_at: datetime
    updated_at: datetime

    def row(self) -> tuple[Any, ...]:
        values = dict(self)
        values["tags"] = json.dumps(self.tags, ensure_ascii=False)
        return tuple(values.values())


def main() -> None:
    address, database = sys.argv[1:]
    with requests.Session() as session, psycopg.connect(database) as conn, Measured() as run:
        conn.execute(TABLE)
        conn.execute("TRUNCATE contact")
        with conn.cursor().copy("COPY contact FROM STDIN") as copy:
            for item in _items(session, address):
                copy.write_row(Contact.model_validate(item).row())
        conn.commit()
    print(json.dumps(run.told()))


def _items(session: requests.Session, address: str) -> Iterator[dict[str, Any]]:
    since: str | None = ""
    while since is not None:
        asked = {"since": since, "limit": "1000"}
        body = session.get(f"{address}/contacts", params=asked, timeout=60).json()
        yield from body["items"]
        since = body["next"]


if __name__ == "__main__":
    main()
