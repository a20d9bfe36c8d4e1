"""Tryton, the demo's ERP: parties, products, orders, invoices and shipments, on SQLite.

Creating a database takes Tryton a quarter of a minute, so it is done once per root: the fresh
database is kept, and every data folder starts from a copy of it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from demo.people import People
from demo.systems import tryton_seed
from demo.systems.base import HOST, INSIDE, System, reachable
from demo.systems.tryton_api import TrytonApi

DATABASE = "erp"
CREATE = "tryton_create.py"
FRESH_FILES = (f"{DATABASE}.sqlite", "passwords.json", "rest_key")  # the last one completes it


class Tryton(System):
    """A Tryton server with sales, invoices and stock, its REST interface switched on."""

    name = "tryton"
    package = "trytond"

    @property
    def url(self) -> str:
        """Base of both interfaces."""
        return f"http://{HOST}:{self.port}/{DATABASE}"

    @property
    def api(self) -> TrytonApi:
        """The running server's interfaces, as the administrator."""
        env = self.env()
        return TrytonApi(
            self.url, env["TRYTON_REST_KEY"], env["TRYTON_USER"], env["TRYTON_PASSWORD"]
        )

    def env(self) -> dict[str, str]:
        """Base URL, REST key and the administrator's login."""
        return {
            "TRYTON_URL": self.url,
            "TRYTON_REST_KEY": (self.home / "rest_key").read_text(encoding="utf-8"),
            "TRYTON_USER": "admin",
            "TRYTON_PASSWORD": self.password("admin"),
        }

    def seed(self, people: People) -> None:
        """Products, parties, orders, invoices and shipments."""
        self.say("adding parties, orders and invoices")
        tryton_seed.seed(self.api, people)

    def answers(self) -> bool:
        """True when the series can be asked for, which needs no login."""
        question = {"id": 0, "method": "common.server.version", "params": []}
        return reachable("POST", f"http://{HOST}:{self.port}/rpc/", json=question)

    def prepare(self, ports: Mapping[str, int]) -> None:
        """Start from a copy of the fresh database, unless this folder has one already."""
        if not (self.home / FRESH_FILES[-1]).exists():
            fresh = self.fresh_database()
            for name in FRESH_FILES:
                shutil.copy(fresh / name, self.home / name)
        write_config(self.home)

    def command(self, ports: Mapping[str, int]) -> list[str]:
        """A production WSGI server instead of Tryton's development one."""
        script = str(INSIDE / "tryton_serve.py")
        return [str(self.python), script, str(self.home), str(ports["port"])]

    def fresh_database(self) -> Path:
        """The folder of a database that knows nobody yet, created when there is none.

        A new one is made each month, because its only fiscal year lies around today.
        """
        recipe = self.pins.read_bytes() + (INSIDE / CREATE).read_bytes()
        stamp = f"{datetime.now(UTC):%Y-%m}-{hashlib.sha256(recipe).hexdigest()[:12]}"
        folder = self.program / "fresh" / stamp
        with self.locked():
            if not folder.exists():
                self.say("creating its database (needed once, about 15 s)")
                shutil.rmtree(folder.parent, ignore_errors=True)
                self._create_database(folder)
        return folder

    def _create_database(self, folder: Path) -> None:
        unfinished = folder.with_suffix(".unfinished")
        unfinished.mkdir(parents=True)
        write_config(unfinished)
        password = secrets.token_urlsafe(12)
        self.run_inside(CREATE, str(unfinished), TRYTON_PASSWORD=password)
        passwords = unfinished / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({"admin": password}), encoding="utf-8")
        unfinished.rename(folder)


def write_config(folder: Path) -> None:
    """Write Tryton's own configuration for a database in this folder."""
    lines = ["[database]", "uri = sqlite://", f"path = {folder}", "", "[session]"]
    lines += ["authentications = password", ""]
    (folder / "trytond.conf").write_text("\n".join(lines), encoding="utf-8")
