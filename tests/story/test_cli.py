"""What a person sees: one sentence, a hint and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.cli import cli
from hub.registry import ROOT
from hub.settings import settings


class Cli:
    """The ``hub`` program, run in this process."""

    def __init__(self, settings_path: Path) -> None:
        self.settings = settings_path

    def __call__(self, *arguments: str) -> Result:
        settings.cache_clear()
        done = CliRunner().invoke(cli, arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def refuses(self, *arguments: str) -> str:
        done = self(*arguments)
        assert done.exit_code == 1, done.output
        return done.output


@pytest.fixture
def hub(own_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    own_settings.write_text('[connections.crm]\nadapter = "demo"\nsample = 5\n')
    return Cli(own_settings)


def test_the_program_itself_ends_with_a_sentence_and_exit_code_1(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[connections.crm\n")
    done = subprocess.run(
        [sys.executable, "-m", "hub", "apply"],
        env={**os.environ, "HUB_SETTINGS": str(broken)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "not valid TOML" in done.stderr
    assert "Traceback" not in done.stderr


def test_from_nothing_to_a_customer_in_a_terminal(hub: Cli) -> None:
    assert "add" in hub("apply").stdout
    assert hub("check").exit_code == 0
    assert hub("pull", "crm").exit_code == 0
    (found,) = json.loads(hub("customer", "138 1234 0001", "--json").stdout)
    assert found["name"]["value"] == "李娜01"
    assert "李娜01" in hub("customer", "lina").stdout
    status = json.loads(hub("status", "--json").stdout)
    assert status["customers"] == 5
    assert {s["stream"]: s["records"] for s in status["streams"]}["orders"] == 5
    shown = json.loads(hub("mapping", "preview", "crm", "orders", "--id", "O0002").stdout)
    assert shown["records"][0]["kind"] == "Order"
    assert hub("doctor").exit_code == 0


def test_before_anything_the_schema_is_asked_for(hub: Cli) -> None:
    assert "hub apply" in hub.refuses("status")


def test_wrong_toml(hub: Cli) -> None:
    hub.settings.write_text("[connections.crm\n")
    assert "not valid TOML" in hub.refuses("apply")


def test_an_unknown_setting_and_a_misspelt_adapter(hub: Cli) -> None:
    hub.settings.write_text('cows = 3\n[connections.crm]\nadapter = "demo"\n')
    assert "cows" in hub.refuses("apply")
    hub.settings.write_text('[connections.crm]\nadapter = "domo"\n')
    assert 'no adapter "domo"' in hub.refuses("apply")


def test_every_fault_of_every_connection_at_once(hub: Cli) -> None:
    hub.settings.write_text(
        '[connections.a]\nadapter = "demo"\npage_size = 0\n'
        '[connections.b]\nadapter = "demo"\nx = 1\n'
    )
    said = hub.refuses("apply")
    assert "connection a: page_size" in said
    assert "connection b: x" in said


def test_a_missing_environment_variable_is_named(hub: Cli) -> None:
    hub.settings.write_text(
        '[connections.crm]\nadapter = "demo"\nwebhook_secrets = ["env:NOT_SET_ANYWHERE"]\n'
    )
    assert "NOT_SET_ANYWHERE is not set" in hub.refuses("apply")


def test_a_wrong_overlay_is_named_with_its_line(hub: Cli, tmp_path: Path) -> None:
    overlay = tmp_path / "overlays" / "crm" / "orders.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text("fields:\n  nunber: number\n")
    said = hub.refuses("apply")
    assert "overlays/crm/orders.yaml:2" in said
    assert "number" in said


def test_an_erp_that_cannot_be_reached_and_one_in_a_private_network(hub: Cli) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    erp = f'[connections.erp]\nadapter = "tryton"\nurl = "http://127.0.0.1:{port}"\n'
    erp += 'database = "erp"\napi_key = "k"\n'
    hub.settings.write_text(erp)
    assert hub("apply").exit_code == 0
    said = hub.refuses("check", "erp")
    assert 'allow_networks = ["127.0.0.0/8"]' in said
    hub.settings.write_text(erp + 'allow_networks = ["127.0.0.0/8"]\n')
    assert hub("apply").exit_code == 0
    assert "cannot be reached" in hub.refuses("check", "erp")
    assert "erp is degraded" in hub.refuses("doctor")
    assert "cannot be reached" in hub.refuses("pull", "erp")


def test_unknown_names_are_sentences(hub: Cli) -> None:
    hub("apply")
    assert 'no connection "x"' in hub.refuses("check", "x")
    assert "has no stream y" in hub.refuses("pull", "crm", "y")
    assert "nobody is known" in hub.refuses("customer", "nobody")
    assert "there is no event 9" in hub.refuses("inbox", "show", "9")
    assert hub("pull").exit_code == 2
    hub.settings.write_text('[connections.shop]\nadapter = "shopify"\nclient_secrets = ["word"]\n')
    assert hub("apply").exit_code == 0
    assert "shop pulls no stream" in hub.refuses("pull", "shop")


def test_a_connection_the_file_lost_is_paused_and_comes_back(hub: Cli) -> None:
    hub("apply")
    text = hub.settings.read_text()
    hub.settings.write_text("")
    assert "pause" in hub("apply").stdout
    hub.settings.write_text(text)
    assert "change" in hub("apply").stdout
    assert json.loads(hub("status", "--json").stdout)["connections"][0]["state"] == "new"


def test_users_and_tokens(hub: Cli) -> None:
    hub("apply")
    assert (
        hub("user", "add", "lina", "--role", "agent", "--password", "a good password").exit_code
        == 0
    )
    assert "lina" in hub("user", "list").stdout
    token = hub("token", "add", "desk").stdout.strip()
    assert token.startswith("cdt_")
    assert token not in hub("token", "list").stdout


def test_a_secret_is_not_in_the_database_in_clear(hub: Cli, tmp_path: Path) -> None:
    hub.settings.write_text(
        '[connections.crm]\nadapter = "demo"\nwebhook_secrets = ["s3cr3t-canary"]\n'
    )
    hub("apply")
    for path in tmp_path.glob("hub.db*"):
        assert b"s3cr3t-canary" not in path.read_bytes()


def test_people_decide_who_is_who(hub: Cli) -> None:
    hub("apply")
    hub("pull", "crm")
    a, b = "crm/customers/C0000", "crm/customers/C0001"
    assert json.loads(hub("review", "list", "--json").stdout) == {"items": [], "total": 0}
    (one,) = json.loads(hub("review", "confirm", a, b, "--json").stdout)["customers"]
    told = json.loads(hub("explain", a, b, "--json").stdout)
    assert told["evidence"]
    assert [d["verb"] for d in told["decisions"] if d["a"]] == ["confirm"]
    parted = json.loads(hub("identity", "split", one, b, "--why", "two", "--json").stdout)
    assert len(parted["customers"]) == 2
    assert "one customer" in hub("identity", "merge", *parted["customers"]).stdout
    assert "in use" in hub("identity", "train").stdout
    assert "no record would be left" in hub.refuses("identity", "split", one, a, b)
