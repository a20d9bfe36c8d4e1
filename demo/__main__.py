"""``make demo``: a real ERP, a real help desk and a real mailbox become one customer 360.

``python -m demo [--once] [--root DIR]``; with ``--once`` it ends after the show and leaves
``report.json`` in the folder. Everything listens on the loopback only.
"""

from __future__ import annotations

import argparse
import base64
import json
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from demo import people, scenes
from demo.hub import HubProcess
from demo.scenes import HERO_PHONE, Stage
from demo.systems import Mailbox, Roundup, System, SystemFailedError, Tryton, together
from demo.systems.base import free_ports

T = TypeVar("T")
SETTINGS = Path(__file__).with_name("settings.toml")
WIDTH = 78


def say(line: str = "") -> None:
    """Print one line at once, also into a pipe."""
    print(line, flush=True)


def timed(stage_seconds: dict[str, float], what: str, step: Callable[[], T]) -> T:
    """The step's result; its seconds are noted and printed."""
    began = time.monotonic()
    say(f"… {what}")
    found = step()
    stage_seconds[what] = round(time.monotonic() - began, 1)
    say(f"✓ {what}  ({stage_seconds[what]:.1f} s)")
    return found


def main() -> int:
    """Run the demo; 0 when all went well."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the show")
    parser.add_argument("--root", type=Path, default=Path(".demo"), help="where everything is kept")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    root: Path = asked.root.resolve()
    systems = (Tryton(root, 0, say), Roundup(root, 0, say), Mailbox(root, 0, say))
    web, hooks = _hub_ports()
    hub = HubProcess(root / "hub", (web, hooks))
    try:
        stage = Stage(hub, *systems, people.load())
        _show(stage, systems)
        stage.seconds["in all"] = round(time.monotonic() - began, 1)
        report = _report(stage, systems)
        (root / "report.json").write_text(
            json.dumps(report, ensure_ascii=False, indent=2) + "\n", "utf-8"
        )
        _print_report(stage, report)
        if not asked.once:
            _stay(stage)
    except SystemFailedError as exc:
        say(f"✗ {exc}")
        return 1
    except KeyboardInterrupt:
        say("\nstopping …")
    finally:
        hub.stop()
        together(systems, lambda system: system.stop())
    return 0


def _show(stage: Stage, systems: tuple[System, ...]) -> None:
    seconds = stage.seconds
    timed(seconds, "install", lambda: together(systems, lambda s: s.install()))
    timed(seconds, "start", lambda: together(systems, lambda s: s.start()))
    timed(seconds, "seed", lambda: together(systems, lambda s: s.seed(stage.people)))
    timed(seconds, "hub start", lambda: _start_hub(stage))
    timed(seconds, "first load", lambda: scenes.load(stage))
    issue = timed(seconds, "a customer mails in", lambda: scenes.customer_mails_in(stage))
    timed(seconds, "an agent closes the issue", lambda: scenes.agent_closes_it(stage, issue))
    timed(seconds, "the shop sends an order", lambda: scenes.shop_sends_an_order(stage))
    timed(seconds, "all writes confirmed", lambda: scenes.confirm_writes(stage))


def _start_hub(stage: Stage) -> None:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    stage.shop_secret = f"whsec_{key}"
    base, _, database = stage.tryton.url.rpartition("/")
    env = {"TRYTON_BASE": base, "TRYTON_DATABASE": database, "SHOP_SECRET": stage.shop_secret}
    for system in (stage.tryton, stage.roundup, stage.mailbox):
        env |= system.env()
    stage.roundup.send_events_to(f"{stage.hub.hooks}/desk")
    stage.hub.start(SETTINGS.read_text("utf-8"), env)


def _hub_ports() -> tuple[int, int]:
    """The usual ones, or free ones where they are taken."""
    for port in (8360, 8361):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                first, second = free_ports(2)
                return first, second
    return 8360, 8361


def _report(stage: Stage, systems: tuple[System, ...]) -> dict[str, Any]:
    status = stage.hub.status()
    rows: dict[str, int] = {}
    for stream in status["streams"]:
        rows[stream["connection"]] = rows.get(stream["connection"], 0) + stream["records"]
    names = {"tryton": "erp", "roundup": "desk", "mailbox": "mail"}
    hero = stage.hub.customer(phone=HERO_PHONE) or {}
    return {
        "systems": [
            {"name": s.name, "version": s.version(), "records": rows[names[s.name]]}
            for s in systems
        ],
        "customers": status["customers"],
        "source_records": sum(rows.values()),
        "merged": {
            "customer_id": hero.get("id"),
            "sources": sorted({m["source"]["connection"] for m in hero.get("members", ())}),
        },
        "not_merged": _not_merged(stage),
        "webhook": stage.webhook,
        "writes": stage.writes,
        "seconds": stage.seconds,
    }


def _not_merged(stage: Stage) -> dict[str, Any]:
    """The two who share a switchboard number, as the hub knows them."""
    found = stage.hub.search(phone="021-6288 0000")
    names = sorted(item["name"] for item in found)
    if len(names) < 2:
        raise SystemFailedError("the shared switchboard number merged two people")
    return {"reason": "one switchboard number under differing names", "customers": names}


def _print_report(stage: Stage, report: dict[str, Any]) -> None:
    say("─" * WIDTH)
    for system in report["systems"]:
        say(f"  {system['name']:<10} {system['version']:<10} {system['records']:>5} records")
    say(
        f"  {report['source_records']} source records became {report['customers']} customers; "
        f"not merged: {' / '.join(report['not_merged']['customers'])} "
        f"({report['not_merged']['reason']})"
    )
    say("─" * WIDTH)
    _print_profile(stage.hub.customer(phone=HERO_PHONE) or {})
    say("─" * WIDTH)
    for write in report["writes"]:
        say(f"  wrote {write['kind']} {write['ref']} to {write['system']}, confirmed")
    say(f"  webhook → profile in {report['webhook']['ms_to_profile']} ms")
    for what, took in report["seconds"].items():
        say(f"  {what:<32} {took:>8.1f} s")


def _print_profile(hero: dict[str, Any]) -> None:
    name = hero["name"]
    others = ", ".join(
        f"{o['value']} [{o['source']['connection']}]" for o in name.get("others", ())
    )
    say(
        f"  {name['value']} [{name['source']['connection']}]"
        + (f"  also {others}" if others else "")
    )
    for contact in hero["contacts"]:
        known = " ".join(
            f"[{n}]" for n in dict.fromkeys(s["connection"] for s in contact["sources"])
        )
        say(f"  {contact['type']:<8} {contact['value']:<24} {contact['level']:<9} {known}")
    for title, facts in (("orders", "orders"), ("invoices", "invoices"), ("timeline", "timeline")):
        for fact in hero.get(facts, ())[:6]:
            where = fact["source"]["connection"]
            kind = fact["kind"] if title == "timeline" else ""
            words = f"{fact['summary'][:34]:<36} {fact.get('status', ''):<10}"
            say(f"  {title:<9} {kind:<8} {words} [{where}]")
    members = {m["source"]["connection"] for m in hero["members"]}
    named = ", ".join(sorted(members))
    say(f"  {len(hero['members'])} records from {len(members)} systems: {named}")


def _stay(stage: Stage) -> None:
    password = secrets.token_urlsafe(9)
    stage.hub.run("user", "add", "demo", "--role", "admin", "--password", password)
    hero = stage.hub.customer(phone=HERO_PHONE) or {}
    say("─" * WIDTH)
    say(f"  card      {stage.hub.web}/card?customer={hero['id']}")
    say(f"  sign in   {stage.hub.web}  as demo, password {password}")
    say(f"  API       {stage.hub.web}/api/v1/openapi.json")
    tryton, roundup = stage.tryton.env(), stage.roundup.env()
    login = f"{tryton['TRYTON_USER']} / {tryton['TRYTON_PASSWORD']}"
    say(f"  Tryton    {tryton['TRYTON_URL']}  ({login})")
    say(
        f"  Roundup   {roundup['ROUNDUP_URL'].removesuffix('rest')}  "
        f"({roundup['ROUNDUP_AGENT']} / {roundup['ROUNDUP_AGENT_PASSWORD']})"
    )
    say(f"  mailbox   imap://127.0.0.1:{stage.mailbox.port}, smtp on {stage.mailbox.smtp_port}")
    say("  Ctrl-C stops everything.")
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
