"""Keys for secrets at rest: everything is encrypted anew while the hub runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from hub.cli import cli
from hub.registry import Hub, apply, open_hub
from hub.sdk.auth import Tokens
from hub.settings import Settings, settings
from hub.store import connections, credentials
from hub.store.credentials import Credentials
from hub.store.crypto import KeyFile, Vault, key_id, new_key
from hub.store.db import Database
from hub.store.migrate import migrate
from hub.store.rotation import rotate
from tests.conftest import KEY
from tests.story.helpers import demo

Open = Callable[..., Hub]


def sealed_with(database: Database) -> set[str]:
    with database.read() as conn:
        rows = conn.execute(
            text("SELECT secrets FROM connection UNION ALL SELECT sealed FROM credential")
        )
        return {key_id(bytes(row[0])) for row in rows}


def filled(hub: Hub, count: int = 3) -> Database:
    with hub.database.write() as conn:
        for n in range(count):
            tokens = Tokens(f"access {n}", f"refresh {n}")
            credentials.replace_all(conn, hub.registry.vault, f"c{n}", tokens)
    return hub.database


def test_both_keys_open_everything_while_it_is_encrypted_anew(open_with: Open) -> None:
    database = filled(open_with({f"c{n}": demo(webhook_secrets=["shh"]) for n in range(3)}))
    fresh = new_key()
    vault, worker = Vault([fresh, KEY]), Vault([fresh, KEY])
    done = rotate(database, vault)
    assert (done.done, done.left, done.is_complete) == (6, {vault.current: 6}, True)
    for other in (worker, Vault([fresh])):  # the old key may be taken out
        with database.read() as conn:
            assert connections.every(conn, other)["c1"].config["webhook_secrets"] == ["shh"]
        tokens = Credentials(database, other, "c2").load()
        assert tokens is not None
        assert tokens.refresh == "refresh 2"
    assert rotate(database, vault).done == 0


def test_more_rows_than_one_batch(open_with: Open) -> None:
    database = filled(open_with({}), 250)
    assert rotate(database, Vault([new_key(), KEY])).done == 250


def test_what_a_worker_stores_meanwhile_is_not_overwritten(open_with: Open) -> None:
    database = filled(open_with({}), 1)
    keys = [new_key(), KEY]
    store = Credentials(database, Vault(keys), "c0")

    def work() -> None:
        for version in range(1, 60):
            store.renew(version, following(version))

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        while not working.done():
            keys.reverse()
            rotate(database, Vault(keys))
        working.result()
    tokens = store.load()
    assert tokens is not None
    assert tokens.access == "access 59"


def following(version: int) -> Callable[[Tokens | None], Tokens]:
    """The next tokens; what they replace must be what was stored last."""

    def fetch(present: Tokens | None) -> Tokens:
        assert present is not None
        assert present.access == f"access {version - 1}"
        return Tokens(f"access {version}")

    return fetch


def test_a_row_whose_key_is_missing_is_counted_and_left(open_with: Open) -> None:
    database = filled(open_with({}), 2)
    lost = Vault([new_key()])
    with database.write() as conn:
        credentials.replace_all(conn, lost, "c1", Tokens("a"))
    vault = Vault([new_key(), KEY])
    done = rotate(database, vault)
    assert not done.is_complete
    assert done.left == {vault.current: 1, lost.current: 1}


@pytest.fixture
def embedded(tmp_path: Path) -> Settings:
    """Embedded mode: SQLite and a key file."""
    chosen = Settings(
        state_dir=tmp_path / "state", connections={"crm": demo(webhook_secrets=["x"])}
    )
    hub = open_hub(chosen)
    migrate(hub.database)
    apply(hub.registry, chosen)
    filled(hub, 2)
    hub.close()
    return chosen


def test_a_key_file_is_rotated_under_a_running_worker(embedded: Settings) -> None:
    worker, command = open_hub(embedded), open_hub(embedded)
    file = KeyFile(embedded.state_dir / "key")
    (before,) = file.keys()
    assert rotate(command.database, command.registry.vault).done == 3
    (after,) = file.keys()
    assert after != before
    assert (embedded.state_dir / "key").stat().st_mode & 0o077 == 0
    assert worker.registry.get("crm").config is not None  # reads what it has not seen the key of
    worker.registry.get("crm")
    store = Credentials(worker.database, worker.registry.vault, "c0")
    assert store.renew(1, lambda _: Tokens("newer")).access == "newer"
    assert sealed_with(worker.database) == {Vault([after]).current}
    worker.close()
    command.close()


def test_a_rotation_cut_off_goes_on_with_the_key_it_began_with(embedded: Settings) -> None:
    hub = open_hub(embedded)
    file = KeyFile(embedded.state_dir / "key")
    (old,) = file.keys()
    file.lead()  # killed right after it, and again half-way
    fresh, behind = file.keys()
    assert behind == old
    with hub.database.write() as conn:
        credentials.replace_all(conn, hub.registry.vault, "c0", Tokens("a"))
    assert sealed_with(hub.database) == {Vault([old]).current, Vault([fresh]).current}
    assert rotate(hub.database, hub.registry.vault).is_complete
    assert file.keys() == [fresh]
    hub.close()


def test_the_key_file_keeps_what_is_still_needed(embedded: Settings) -> None:
    hub = open_hub(embedded)
    lost = Vault([new_key()])
    with hub.database.write() as conn:
        credentials.replace_all(conn, lost, "c1", Tokens("a"))
    assert not rotate(hub.database, hub.registry.vault).is_complete
    assert len(KeyFile(embedded.state_dir / "key").keys()) == 2
    hub.close()


def test_the_command_says_what_was_done_and_what_is_left(
    own_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_STATE_DIR", str(tmp_path))
    own_settings.write_text('[connections.crm]\nadapter = "demo"\n')
    for arguments in (["apply"], ["secrets", "rotate", "--json"], ["secrets", "rotate"]):
        settings.cache_clear()
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
        if "--json" in arguments:
            told = json.loads(done.output)
            assert told["done"] == 1
            assert told["left"] == {told["current"]: 1}
            assert told["complete"] is True
    assert "in use" in done.output
