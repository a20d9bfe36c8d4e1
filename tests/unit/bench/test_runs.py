"""What the benchmarks are made of; that they run is seen in ``make systems``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import main
from bench.measuring import cpu_of
from bench.peers import npm
from hub.cli.run import _children
from hub.settings import Settings


def test_servers_are_started_as_hub_up_starts_them() -> None:
    commands = {child.name: child.command for child in _children(Settings())}
    assert commands["hooks"][-1] == "webhooks.app:create_app"
    assert commands["web"][-1] == "hub.web.app:create_app"
    assert "--factory" in commands["hooks"]


@pytest.mark.parametrize("name", npm.NAMES)
def test_a_peer_is_used_again_only_as_it_is_locked_now(tmp_path: Path, name: str) -> None:
    lock = (npm.HERE / name / npm.LOCK).read_bytes()
    (tmp_path / name).mkdir()
    (tmp_path / name / npm.READY).touch()
    npm._venv(tmp_path).mkdir()
    (tmp_path / name / npm.LOCK).write_bytes(lock)
    assert npm.installed(name, tmp_path) == tmp_path / name
    (tmp_path / name / npm.LOCK).write_bytes(lock.replace(b"sha512-", b"sha256-", 1))
    assert npm.installed(name, tmp_path) is None


@pytest.mark.parametrize("name", npm.NAMES)
def test_what_is_locked_is_what_is_asked_for(name: str) -> None:
    asked = json.loads((npm.HERE / name / "package.json").read_text("utf-8"))["dependencies"]
    locked = json.loads((npm.HERE / name / npm.LOCK).read_text("utf-8"))["packages"]
    assert {wanted: locked[f"node_modules/{wanted}"]["version"] for wanted in asked} == asked


def test_processors_are_counted_while_a_process_runs() -> None:
    used = cpu_of(os.getpid())
    assert used is not None
    sum(range(3_000_000))
    assert (cpu_of(os.getpid()) or 0.0) >= used
    assert cpu_of(2**30) is None


@pytest.mark.parametrize("words", [["pull", "--sizes", "many"], ["--json", "x.json"], ["speed"]])
def test_wrong_words_are_refused(words: list[str]) -> None:
    assert CliRunner().invoke(main, words).exit_code == 2
