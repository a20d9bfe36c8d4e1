"""The city as real servers, and its people, for a hub of real processes.

Nothing is doubled and no clock is moved: the vendors answer on sockets of the loopback, post their
webhooks until each was taken, and fail as their chance says.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from werkzeug.serving import make_server

from demo.city.crm.server import Crm
from demo.city.desk.server import Desk
from demo.city.erp.server import Erp
from demo.city.faults import FAULTS, Faults
from demo.city.ledger import HUB
from demo.city.life import Life
from demo.city.site import Site
from demo.systems.base import HOST, loopback_session
from tests.city import DESK_SECRET
from tests.story.city_world import FOR_A_PERSON

FIRST_DEEDS = 600
"""So many are done before the hub comes: people enough that nobody is edited all the time."""

DEEDS_PER_S = 2.0
TROUBLE_S = (1.0, 4.0)
LAG_S, BACKDATE_S, DROP_SHARE = 10.0, 900.0, 1 / 40
PAGE = 50
PER_S = 50
"""Calls a second a vendor bears: what answers 429 bring the hub down from. One that is told nothing
begins with the few calls of a bad minute, and gets back by a tenth a minute only."""

LOOPBACK = "127.0.0.0/8"
UNRULY = sorted(FAULTS.keys() - set(FOR_A_PERSON))
SIGNED_OUT, SIGNED_OUT_S = "signed_out", 90.0
"""All access tokens of the ERP end: what is tried is the renewal, because each refresh token works
once. Not too often: refused tokens that were just had are taken for a word to a person."""


class Counted(Faults):
    """Faults that remember which of them struck."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.struck: list[str] = []

    def strikes(self, name: str) -> bool:
        struck = super().strikes(name)
        if struck:
            self.struck.append(name)
        return struck


@dataclass
class Postman:
    """Posts the webhooks of one vendor until each was taken; ``acknowledged`` counts by event."""

    site: Site
    url: str = ""
    posts: int = 0
    acknowledged: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._http = loopback_session()
        self._busy = threading.Lock()

    @property
    def is_done(self) -> bool:
        """Whether nothing waits and nothing is on its way."""
        with self._busy:
            return not self.site._hooks

    def carry(self) -> None:
        """Post what waits, once."""
        with self._busy:
            self.site.send_hooks(self._post)

    def _post(self, headers: dict[str, str], body: bytes) -> int:
        self.posts += 1
        event = headers.get("webhook-id") or json.loads(body)["event"]
        try:
            status = self._http.post(self.url, data=body, headers=headers, timeout=20).status_code
        except requests.RequestException as exc:
            self.refused[type(exc).__name__] += 1
            time.sleep(0.2)
            return 503
        if status < 300:
            self.acknowledged[event] += 1
        else:
            self.refused[str(status)] += 1
        return status


class Town:
    """Three vendors, the people who work there, and what goes wrong."""

    def __init__(self, seed: int) -> None:
        told: dict[str, Any] = {"wait": _wait_shortly, "page_max": PAGE}
        self.crm = Crm(seed=seed, **told)
        self.erp = Erp(seed=seed, cap=PAGE, **told)
        self.desk = Desk(seed=seed, secret=DESK_SECRET, **told)
        self.sites: tuple[Site, ...] = self.crm, self.erp, self.desk
        self.faults = {site.name: Counted(seed + n) for n, site in enumerate(self.sites)}
        for site in self.sites:
            site.faults = site.ledger.faults = self.faults[site.name]
            site.ledger.lag_s, site.ledger.backdate_s = LAG_S, BACKDATE_S
        self.life = Life(self.crm, self.erp, self.desk, seed=seed)
        self.random = random.Random(seed)
        self.postmen = {site.name: Postman(site) for site in (self.crm, self.desk)}
        self.signed_out, self._signed_in = 0, time.monotonic()
        self._over = threading.Event()
        for _ in range(FIRST_DEEDS):
            self.life.step()
        self._earlier = self.writes

    def site(self, name: str) -> Site:
        """The vendor of that name."""
        return next(site for site in self.sites if site.name == name)

    @property
    def streams(self) -> list[tuple[str, str]]:
        """Every (connection, stream) there is."""
        return [(site.name, stream) for site in self.sites for stream in site.streams]

    @contextmanager
    def open(self) -> Iterator[dict[str, dict[str, Any]]]:
        """Within the block the vendors answer; yields what settings.toml says of them."""
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        told = {}
        with ExitStack() as running:
            for site in self.sites:
                server = make_server(HOST, 0, site, threaded=True)
                running.callback(server.server_close)
                running.callback(server.shutdown)
                threading.Thread(target=server.serve_forever, name=site.name, daemon=True).start()
                told[site.name] = _connection(site, f"http://{HOST}:{server.server_port}")
            yield told

    @contextmanager
    def alive(self, hooks_port: int) -> Iterator[None]:
        """Within the block webhooks are posted, and people work until ``rest``."""
        done = threading.Event()
        with ThreadPoolExecutor(4, thread_name_prefix="town") as pool:
            works = [pool.submit(self._every, self._over, _deed_gap, self.life.step)]
            works += [pool.submit(self._every, self._over, self._trouble_gap, self.trouble)]
            for postman in self.postmen.values():
                postman.url = f"http://{HOST}:{hooks_port}/hooks/{postman.site.name}"
                works += [pool.submit(self._every, done, lambda: 0.1, postman.carry)]
            try:
                yield
            finally:
                self._over.set()
                done.set()
            for work in works:
                work.result()

    @staticmethod
    def _every(over: threading.Event, gap: Callable[[], float], do: Callable[[], Any]) -> None:
        while not over.wait(gap()):
            do()

    def _trouble_gap(self) -> float:
        return self.random.uniform(*TROUBLE_S)

    def trouble(self) -> None:
        """One system gets better, or worse in a new way."""
        site = self.random.choice(self.sites)
        if site.faults.on and self.random.random() < 0.5:
            site.faults.clear()
            return
        name = self.random.choice([*UNRULY, SIGNED_OUT])
        if name == SIGNED_OUT:
            self._sign_out()
            return
        site.faults.set(**{name: self.random.choice((0.1, 0.3, 0.6))})

    def _sign_out(self) -> None:
        if time.monotonic() - self._signed_in > SIGNED_OUT_S:
            self.erp._grants.clear()
            self.signed_out += 1
            self._signed_in = time.monotonic()

    def rest(self) -> None:
        """Nobody edits anything any more, and nothing goes wrong."""
        self._over.set()
        for site in self.sites:
            site.faults.clear()

    @property
    def writes(self) -> int:
        """Everything that was ever written."""
        return sum(len(site.ledger.entries) for site in self.sites)

    def told(self) -> dict[str, Any]:
        """What happened here, in figures."""
        entries = [entry for site in self.sites for entry in site.ledger.entries]
        struck = Counter(name for faults in self.faults.values() for name in faults.struck)
        made = Counter(entry.verb for entry in entries if entry.who == HUB)
        return {
            "edits": sum(entry.who != HUB for entry in entries) - self._earlier,
            "writes": dict(sorted(made.items())),
            "faults": dict(sorted((struck + Counter({SIGNED_OUT: self.signed_out})).items())),
            "webhooks": self._webhooks(struck),
        }

    def _webhooks(self, struck: Counter[str]) -> dict[str, int]:
        postmen = self.postmen.values()
        return {
            "posted": sum(postman.posts for postman in postmen),
            "acknowledged": sum(postman.acknowledged.total() for postman in postmen),
            "refused": sum(postman.refused.total() for postman in postmen),
            "twice": struck["hook_twice"],
            "lost": struck["hook_lost"],
        }


def _connection(site: Site, url: str) -> dict[str, Any]:
    """What settings.toml says of a vendor."""
    told: dict[str, Any] = {"adapter": site.name, "url": url, "allow_networks": [LOOPBACK]}
    told |= {"page_size": PAGE, "every_s": 3, "fresh_s": 120, "overlap_s": 60}
    told["requests_per_s"] = PER_S
    if site.name == "erp":
        return told | {"client_secret": site.token}
    return told | {"token": site.token, "webhook_secrets": [site.secret]}


def _deed_gap() -> float:
    return 1 / DEEDS_PER_S


def _wait_shortly(seconds: float) -> None:
    time.sleep(seconds * DROP_SHARE)
