"""``make city``: three vendors that behave badly, people who edit in all of them, and a real hub.

``python -m demo.city [--once] [--seconds N] [--seed N] [--root DIR]``; with ``--once`` people rest
after so many seconds, nothing goes wrong any more, and it ends with 0 once everybody agrees.
Everything listens on the loopback only.
"""

from __future__ import annotations

import argparse
import base64
import logging
import os
import random
import secrets
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from werkzeug.serving import BaseWSGIServer, make_server

from demo.city import REGISTERED
from demo.city.crm.server import Crm
from demo.city.desk.server import Desk
from demo.city.erp.server import Erp
from demo.city.life import Life, disagreements, living
from demo.city.site import Site, utc_now
from demo.hub import HubProcess
from demo.systems import SystemFailedError
from demo.systems.base import HOST, free_ports, loopback_session

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Path(__file__).with_name("settings.toml")
TICK_S = 0.2
TOLD_EVERY, TROUBLE_EVERY = 25, 40
SETTLE_S = 600.0
LAG_S, BACKDATE_S = 20.0, 900.0
UNRULY = (
    "lag", "backdated", "busy", "busy_without_word", "down", "page", "hang", "answer_lost",
    "gateway", "hook_lost", "hook_twice", "hooks_reordered", "added", "retyped", "rewritten",
)  # fmt: skip
"""What is left out takes longer than somebody watches, or wants an administrator."""

ENDED = {"confirmed", "skipped"}


class Town:
    """The servers, the people and the hub."""

    def __init__(self, root: Path, seed: int) -> None:
        token = secrets.token_urlsafe(12)
        desk_secret = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
        self.crm = Crm(seed=seed, token=token)
        self.erp = Erp(seed=seed + 1, token=token, cap=50)
        self.desk = Desk(seed=seed + 2, token=token, secret=desk_secret)
        self.sites: tuple[Site, ...] = self.crm, self.erp, self.desk
        for site in self.sites:
            site.ledger.lag_s, site.ledger.backdate_s = LAG_S, BACKDATE_S
        self.life = Life(self.crm, self.erp, self.desk, seed=seed)
        self.chance = random.Random(seed)  # noqa: S311 - chance that can be repeated
        web, hooks = free_ports(2)
        self.hub = HubProcess(root / "city", (web, hooks))
        self._http = loopback_session()

    def start(self, running: ExitStack) -> None:
        """Bring everything up; ``running`` ends it."""
        told = {"CITY_TOKEN": self.crm.token, "CITY_CRM_SECRET": self.crm.secret}
        told |= {"CITY_DESK_SECRET": self.desk.secret}
        for site in self.sites:
            server = make_server(HOST, 0, site, threaded=True)
            running.callback(_end, server)
            threading.Thread(target=server.serve_forever, name=site.name, daemon=True).start()
            told[f"CITY_{site.name.upper()}"] = f"http://{HOST}:{server.server_port}"
        paths = os.pathsep.join([str(ROOT), str(REGISTERED)])
        running.callback(self.hub.stop)
        self.hub.start(SETTINGS.read_text("utf-8"), {**told, "PYTHONPATH": paths})

    def trouble(self) -> None:
        """One system gets better, or worse in a new way."""
        site = self.chance.choice(self.sites)
        if site.faults.on and self.chance.random() < 0.5:
            site.faults.clear()
        else:
            site.faults.set(**{self.chance.choice(UNRULY): self.chance.choice((0.1, 0.3, 0.6))})

    def send_hooks(self) -> None:
        """Send the webhooks that wait."""
        for site in self.sites:
            url = f"{self.hub.hooks}/{site.name}"
            site.send_hooks(
                lambda headers, body, url=url: (
                    self._http.post(  # type: ignore[misc]
                        url, data=body, headers=headers, timeout=10
                    ).status_code
                )
            )

    def calm(self) -> datetime:
        """Nothing goes wrong from now on; the instant."""
        for site in self.sites:
            site.faults.clear()
        return utc_now()


def main() -> int:
    """Run the city; 0 when all agree in the end, or when nobody waits for the end."""
    parser = argparse.ArgumentParser(prog="python -m demo.city", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when everybody agrees")
    parser.add_argument("--seconds", type=float, default=60.0, help="of unruly life before that")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10_000))
    parser.add_argument("--root", type=Path, default=Path(".demo"), help="where everything is kept")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    say(f"the city, seed {asked.seed}")
    town = Town(asked.root.resolve(), asked.seed)
    try:
        with ExitStack() as running:
            for _ in range(20):
                town.life.step()
            town.start(running)
            say(f"  web {town.hub.web}   Ctrl-C stops everything.")
            _live(town, asked.seconds if asked.once else None)
            return _settle(town)
    except SystemFailedError as exc:
        say(f"✗ {exc}")
        return 1
    except KeyboardInterrupt:
        say("\nstopping …")
        return 0


def _live(town: Town, seconds: float | None) -> None:
    """People and chance at work, for so long or for ever."""
    ends_at = time.monotonic() + seconds if seconds is not None else float("inf")
    tick = 0
    while time.monotonic() < ends_at:
        tick += 1
        town.life.step()
        town.send_hooks()
        if tick % TROUBLE_EVERY == 0:
            town.trouble()
        if tick % TOLD_EVERY == 0:
            tell(town, town.hub.status())
        time.sleep(TICK_S)


def _settle(town: Town) -> int:
    """Wait until all agree."""
    calm_at = town.calm()
    say("everybody rests; nothing goes wrong any more")
    ends_at = time.monotonic() + SETTLE_S
    left = [""]
    time.sleep(LAG_S)  # what searches hid comes to light
    while left and time.monotonic() < ends_at:
        time.sleep(3.0)
        town.send_hooks()
        with suppress(SystemFailedError):  # not complete yet; the status says what is not
            town.hub.run("reconcile")
        status = town.hub.status()
        tell(town, status)
        left = list(faults(town, status, calm_at))
        say(f"  {len(left)} things to be settled, such as: {left[0]}" if left else "✓ all agree")
    for one in left:
        say(f"✗ {one}")
    return 1 if left else 0


def tell(town: Town, status: dict[str, Any]) -> None:
    """What each ledger holds, what the hub holds, and what waits."""
    say("─" * 78)
    streams = {(one["connection"], one["stream"]): one for one in status["streams"]}
    for site in town.sites:
        counts = [
            f"{stream} {streams[site.name, stream]['records']}/{len(living(site, stream))}"
            f" {streams[site.name, stream]['status']}"
            for stream in site.streams
        ]
        say(f"  {site.name:<5} {'   '.join(counts)}   {' '.join(site.faults.on)}")
    waiting = Counter[str]()
    for one in status["deliveries"]:
        waiting[one["state"]] += one["count"]
    said = "   ".join(f"{state} {n}" for state, n in sorted(waiting.items()))
    say(f"  writes {said}   customers {status['customers']}")


def faults(town: Town, status: dict[str, Any], calm_at: datetime) -> Iterator[str]:
    """What does not agree yet."""
    for one in status["streams"]:
        site = next(site for site in town.sites if site.name == one["connection"])
        place = f"{one['connection']}/{one['stream']}"
        if one["records"] != len(living(site, one["stream"])):
            yield f"{place}: {one['records']} records of {len(living(site, one['stream']))}"
        told = one["certificate"]
        if told is None or not told["complete"]:
            yield f"{place}: no certificate"
        elif datetime.fromisoformat(told["began_at"]) < calm_at:
            yield f"{place}: its certificate is older than the calm"
    for one in status["deliveries"]:
        if one["state"] not in ENDED:
            yield f"{one['count']} writes to {one['connection']} are {one['state']}"
    yield from disagreements(town.sites)
    for site in town.sites:
        yield from (f"{site.name} got twice: {what}" for what in site.ledger.twice())


def say(line: str) -> None:
    """Print one line at once, also into a pipe."""
    print(line, flush=True)


def _end(server: BaseWSGIServer) -> None:
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    sys.exit(main())
