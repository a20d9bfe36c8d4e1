"""``hub --masked``: what a terminal shows to somebody who need not see phones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from hub.cli import cli
from tests.story.test_cli import Cli

PHONE, MAIL = "13812340001", "lina01@example.com"
SECRETS = (PHONE, MAIL)
ACTING = {"apply", "check", "doctor", "reconcile", "rehearse", "resync", "secrets"}
"""They do something or ask vendors; what they print are counts and names of streams."""

ARGUMENTS = {
    "customer": [["138 1234 0001"], [MAIL], ["李娜01"]],
    "trace": [["crm/customers/C0001"], ["crm/orders/O0001"]],
    "identity explain": [["a", "b"]],
    "inbox show": [["1"]],
    "jobs show": [["1"]],
    "subscriptions show": [["shop"]],
}
"""Commands that take something; all others that print JSON are run without."""


@pytest.fixture
def hub(own_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    own_settings.write_text('[connections.crm]\nadapter = "demo"\nsample = 5\n')
    hub = Cli(own_settings)
    hub("apply")
    hub("pull", "crm")
    return hub


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command that prints JSON."""
    found = []
    for name, command in group.commands.items():
        here = (*path, name)
        if isinstance(command, click.Group):
            found += commands(command, here)
        elif any(option.name == "as_json" for option in command.params):
            found.append(here)
    return found


def shown(text: str) -> list[str]:
    plain = re.sub(r"[\s\-]", "", text)
    return [secret for secret in SECRETS if secret.replace("-", "") in plain]


def test_no_command_shows_them(hub: Cli) -> None:
    seen, leaks = set(), []
    for command in (c for c in commands() if c[0] not in ACTING):
        for arguments in ARGUMENTS.get(" ".join(command), [[]]):
            for flags in (["--json"], []):
                words = [*command, *arguments, *flags]
                leaks += [(words, s) for s in shown(hub("--masked", *words).stdout)]
                seen.update((" ".join(command), s) for s in shown(hub(*words).stdout))
    assert leaks == []
    assert {name for name, _ in seen} >= {"customer", "trace"}


def test_json_stays_json(hub: Cli) -> None:
    (whole,) = json.loads(hub("customer", PHONE, "--json").stdout)
    (seen,) = json.loads(hub("--masked", "customer", PHONE, "--json").stdout)
    assert seen["id"] == whole["id"]
    assert seen["built_at"] == whole["built_at"]
    assert seen["contacts"] != whole["contacts"]
