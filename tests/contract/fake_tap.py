"""A tap with customers of its own: reads them from a file, by change, with a STATE now and then.

Its config: ``file`` (JSON lines), ``each`` (rows per STATE; 0 = only at the end), ``password``,
``fail_after``, ``hang_after``, ``pid_file``, ``print`` (a line printed besides), ``activate``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

SCHEMA = {"type": "object", "properties": {"id": {}, "name": {}, "changed": {}, "sum": {}}}


def say(**message: object) -> None:
    sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--discover", action="store_true")
    for name in ("catalog", "state"):
        parser.add_argument(f"--{name}")
    args = parser.parse_args()
    config = json.loads(Path(args.config).read_text())
    if config.get("pid_file"):
        with Path(config["pid_file"]).open("a") as file:
            file.write(f"{os.getpid()}\n")
    if config.get("password") != "geheim":
        sys.exit(f"CRITICAL password={config.get('password')} is not taken")
    if args.discover:
        metadata = [{"breadcrumb": [], "metadata": {"table-key-properties": ["id"]}}]
        entries = [
            {
                "tap_stream_id": f"shop-{name}",
                "stream": name,
                "schema": SCHEMA,
                "metadata": metadata,
            }
            for name in ("people", "others")
        ]
        say(streams=entries)
        return
    run(config, args)


def run(config: dict, args: argparse.Namespace) -> None:  # type: ignore[type-arg]
    catalog = json.loads(Path(args.catalog).read_text())
    wanted = [
        e["stream"]
        for e in catalog["streams"]
        if any(not m["breadcrumb"] and m["metadata"].get("selected") for m in e["metadata"])
    ]
    assert wanted == ["people"], wanted
    state = json.loads(Path(args.state).read_text()) if args.state else {}
    since, sent = state.get("since", ""), 0
    if config.get("print"):
        sys.stdout.write(config["print"] + "\n")
    say(type="SCHEMA", stream="people", schema=SCHEMA, key_properties=["id"])
    if config.get("activate"):
        say(type="ACTIVATE_VERSION", stream="people", version=1)
    lines = [json.loads(line) for line in Path(config["file"]).read_text().splitlines()]
    for row in sorted(lines, key=lambda one: one["changed"]):
        if row["changed"] < since:
            continue
        say(type="RECORD", stream="others", record={"id": 1})
        say(type="RECORD", stream="people", record=row, version=1)
        sent += 1
        since = row["changed"]
        if config.get("each") and sent % config["each"] == 0:
            say(type="STATE", value={"since": since})
        if sent == config.get("fail_after"):
            sys.exit("ValueError: the vendor said 'token=abc123' geheim")
        if sent == config.get("hang_after"):
            time.sleep(3600)
    say(type="STATE", value={"since": since})


if __name__ == "__main__":
    main()
