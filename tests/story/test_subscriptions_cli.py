"""``hub subscriptions``: what an administrator sees and does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.story.subscriber import subscriber
from tests.story.test_cli import Cli

NETWORKS = ("--allow-networks", "127.0.0.0/8")


@pytest.fixture
def hub(own_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    own_settings.write_text('[connections.crm]\nadapter = "demo"\nsample = 5\n')
    cli = Cli(own_settings)
    cli("apply")
    return cli


def test_from_adding_to_removing(hub: Cli) -> None:
    with subscriber() as there:
        secret = hub("subscriptions", "add", "shop", there.url, *NETWORKS).stdout.strip()
        assert secret.startswith("whsec_")
        assert "shop took it" in hub("subscriptions", "test", "shop").stdout
        assert there.take()[0].is_signed_with(secret)
        there.answers(500)
        failed = hub("subscriptions", "test", "shop")
        assert failed.exit_code == 1
        assert "it answered 500" in failed.stdout
    assert hub("pull", "crm").exit_code == 0
    rotated = json.loads(hub("subscriptions", "rotate", "shop", "--json").stdout)
    (listed,) = json.loads(hub("subscriptions", "list", "--json").stdout)
    shown = json.loads(hub("subscriptions", "show", "shop", "--json").stdout)
    assert listed == shown
    assert (listed["name"], listed["state"], listed["types"]) == ("shop", "active", [])
    text = hub("subscriptions", "list").stdout + hub("subscriptions", "show", "shop").stdout
    for hidden in (secret, rotated["secret"]):
        assert hidden not in text + json.dumps(listed)
    assert hub("subscriptions", "pause", "shop").exit_code == 0
    replayed = hub("subscriptions", "replay", "shop", "--since", "2026-01-01").stdout
    assert "It is paused: hub subscriptions resume shop" in replayed
    assert "shop goes on" in hub("subscriptions", "resume", "shop").stdout
    assert hub("subscriptions", "remove", "shop").exit_code == 0
    assert "nothing here" in hub("subscriptions", "list").stdout


def test_faults_are_sentences(hub: Cli) -> None:
    url = "https://127.0.0.1/events"
    refused = hub.refuses("subscriptions", "add", "shop", url)
    assert 'allow_networks = ["127.0.0.0/8"]' in refused
    faulty = ("--type", "customer.vanished")
    assert "customer.vanished" in hub.refuses("subscriptions", "add", "s", url, *NETWORKS, *faulty)
    hub("subscriptions", "add", "shop", url, *NETWORKS)
    assert "already" in hub.refuses("subscriptions", "add", "shop", url, *NETWORKS)
    assert "no name" in hub.refuses("subscriptions", "add", "No Name", url, *NETWORKS)
    for verb in ("show", "pause", "resume", "rotate", "test", "remove"):
        assert 'no subscription "x"' in hub.refuses("subscriptions", verb, "x")
    assert hub("subscriptions", "replay", "shop").exit_code == 2
    assert hub("subscriptions", "add", "y", url, "--format", "xml").exit_code == 2
