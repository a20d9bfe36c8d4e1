"""Credentials: renewed by one process at a time; dead once, and back with nothing lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hub import pipeline
from hub.errors import AuthError, RetryableError
from hub.pipeline import due, jobs
from hub.pipeline.lane import free_dead, leased
from hub.registry import ROOT, Hub, apply, signin
from hub.registry.manifests import manifests
from hub.sdk import Http, Item
from hub.sdk.auth import OAuth2, Tokens
from hub.settings import Settings
from hub.store import accounts, alerts, connections, credentials, leases
from hub.store import jobs as store_jobs
from hub.store.credentials import Credentials
from hub.store.crypto import Vault
from hub.store.db import Database
from hub.web import create_app
from tests.conftest import KEY
from tests.story.helpers import account, demo, drain, pull, receive, scalar
from tests.token_server import CLIENT, SECRET, TokenServer, serving

Open = Callable[..., Hub]
CALLBACK = "http://127.0.0.1:8360/oauth/callback"
LOOPBACK = ["127.0.0.0/8"]


@pytest.fixture
def vendor() -> Iterator[TokenServer]:
    with serving(TokenServer()) as server:
        yield server


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The adapter of the tests' vendor, registered as a package elsewhere would be."""
    told = tmp_path / "site" / "oauth_vendor-1.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: oauth-vendor\nVersion: 1\n")
    (told / "entry_points.txt").write_text("[hub.adapters]\noauth_vendor = tests.oauth_vendor\n")
    monkeypatch.syspath_prepend(told.parent)
    manifests.cache_clear()
    yield told.parent
    monkeypatch.undo()
    manifests.cache_clear()


def crm(vendor: TokenServer) -> dict[str, Any]:
    return {
        "adapter": "oauth_vendor",
        "url": vendor.address,
        "client_secret": SECRET,
        "allow_networks": LOOPBACK,
    }


def sign_in(hub: Hub, vendor: TokenServer) -> None:
    address, _ = signin.begin(hub.registry, "crm", CALLBACK)
    signin.finish(hub.registry, vendor.agree(address), CALLBACK, "mei")


def oauth(vendor: TokenServer) -> OAuth2:
    return OAuth2(f"{vendor.address}/token", CLIENT, SECRET, authorize_url="https://x/agree")


def renewal(vendor: TokenServer) -> Callable[[Tokens | None], Tokens]:
    http = Http("", allow_networks=LOOPBACK, timeout_s=5)
    return lambda tokens: oauth(vendor).renew(http, tokens)


def first_tokens(vendor: TokenServer, database: Database) -> None:
    asked, http = oauth(vendor), Http("", allow_networks=LOOPBACK)
    back = vendor.agree(asked.ask_url(CALLBACK, "state", "verifier"))
    tokens = asked.redeem(http, back, CALLBACK, "verifier")
    with database.write() as conn:
        credentials.replace_all(conn, Vault([KEY]), "crm", tokens)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


# --- one refresher at a time


def test_of_many_processes_one_shows_the_refresh_token(
    database: Database, database_url: str, vendor: TokenServer
) -> None:
    first_tokens(vendor, database)
    together = threading.Barrier(6)

    def process(_: int) -> Tokens:
        """As another process would: with a connection pool and a store of its own."""
        own = Database(database_url)
        try:
            store = Credentials(own, Vault([KEY]), "crm")
            together.wait()
            return store.renew(1, renewal(vendor))
        finally:
            own.close()

    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(process, range(6)))
    assert vendor.refreshes == 1
    assert {tokens.version for tokens in got} == {2}
    assert {tokens.access for tokens in got} == vendor.valid


def test_tokens_are_stored_unreadable_and_for_their_connection_alone(
    database: Database, vendor: TokenServer
) -> None:
    first_tokens(vendor, database)
    tokens = Credentials(database, Vault([KEY]), "crm").load()
    assert tokens is not None
    with database.read() as conn:
        row = conn.execute(text("SELECT * FROM credential")).one()
        for secret in (tokens.access, tokens.refresh, "eu7.example.com"):
            assert secret.encode() not in bytes(row.sealed)
    with database.write() as conn:
        conn.execute(text("UPDATE credential SET connection = 'other'"))
    with pytest.raises(Exception, match="belongs to another row"):
        Credentials(database, Vault([KEY]), "other").load()


def test_what_the_database_could_not_take_is_stored_at_the_next_try(
    database: Database, vendor: TokenServer
) -> None:
    first_tokens(vendor, database)
    store = Credentials(database, Vault([KEY]), "crm")

    def during(tokens: Tokens | None) -> Tokens:
        fresh = renewal(vendor)(tokens)
        with database.write() as conn:
            conn.execute(text("ALTER TABLE credential RENAME TO elsewhere"))
        return fresh

    with pytest.raises(Exception, match="credential"):
        store.renew(1, during)
    with database.write() as conn:
        conn.execute(text("ALTER TABLE elsewhere RENAME TO credential"))
    assert store.renew(1, renewal(vendor)).version == 2
    assert vendor.refreshes == 1


def test_one_thought_dead_takes_what_the_other_got(database: Database, vendor: TokenServer) -> None:
    first_tokens(vendor, database)
    slow, other = (Credentials(database, Vault([KEY]), "crm") for _ in range(2))

    def during(tokens: Tokens | None) -> Tokens:
        with database.write() as conn:  # the lease ran out while the vendor kept us waiting
            conn.execute(text("UPDATE lease SET until = 0"))
        other.renew(1, renewal(vendor))
        return renewal(vendor)(tokens)

    assert slow.renew(1, during).access in vendor.valid
    assert vendor.refreshes == 2


def test_a_sign_in_meanwhile_is_not_overwritten_by_a_renewal(
    database: Database, vendor: TokenServer
) -> None:
    first_tokens(vendor, database)

    def during(tokens: Tokens | None) -> Tokens:
        fresh = renewal(vendor)(tokens)
        first_tokens(vendor, database)
        return fresh

    assert Credentials(database, Vault([KEY]), "crm").renew(1, during).access in vendor.valid


KILLED = """
import os, sys
from hub.sdk import Http
from hub.sdk.auth import OAuth2
from hub.store.credentials import Credentials
from hub.store.crypto import Vault
from hub.store.db import Database
url, key, address, client, secret = sys.argv[1:]
store = Credentials(Database(url), Vault([key]), "crm")
http = Http("", allow_networks=["127.0.0.0/8"])
def fetch(tokens):
    OAuth2(f"{address}/token", client, secret).renew(http, tokens)
    os.kill(os.getpid(), 9)  # the vendor has answered, nothing is stored
store.renew(1, fetch)
"""


def killed_while_renewing(database_url: str, vendor: TokenServer) -> None:
    arguments = [sys.executable, "-c", KILLED, database_url, KEY, vendor.address, CLIENT, SECRET]
    done = subprocess.run(arguments, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL


def test_killed_between_answer_and_commit_a_vendor_with_grace_goes_on(
    open_with: Open, database_url: str, database: Database, vendor: TokenServer
) -> None:
    hub = open_with({})
    first_tokens(vendor, database)
    vendor.grace = True
    killed_while_renewing(database_url, vendor)
    assert free_dead(hub) == 1  # as every worker does every two seconds
    tokens = Credentials(database, Vault([KEY]), "crm").renew(1, renewal(vendor))
    assert tokens.access in vendor.valid


def test_killed_between_answer_and_commit_a_vendor_without_grace_wants_a_sign_in(
    open_with: Open, database_url: str, database: Database, vendor: TokenServer
) -> None:
    hub = open_with({})
    first_tokens(vendor, database)
    killed_while_renewing(database_url, vendor)
    free_dead(hub)
    with pytest.raises(AuthError, match="invalid_grant") as caught:
        Credentials(database, Vault([KEY]), "crm").renew(1, renewal(vendor))
    assert "hub connect" in caught.value.hint
    assert vendor.refreshes == 2


# --- dead once, back with nothing lost


RULES = [
    {
        "id": "order-to-contact",
        "when": "Order created",
        "if": [{"field": "connection", "is": "shop"}],
        "then": {"write": "crm/contacts", "fields": {"name": "{number}"}},
    }
]


def contact(n: int, version: int) -> Item:
    row = {"id": f"C{n}", "version": f"{version:06d}", "name": f"name {version}"}
    return Item(json.dumps({"record": row}).encode(), f"c{n}-{version}", f"contacts/C{n}")


def named(n: int) -> Item:
    return Item(json.dumps({"id": f"C{n}"}).encode(), f"named-{n}", f"contacts/C{n}")


def order(n: int) -> Item:
    row = {"id": f"O{n}", "version": "1", "number": f"SO{n:02d}"}
    return Item(
        json.dumps({"event_id": f"o{n}", "stream": "orders", "record": row}).encode(),
        f"o{n}",
        f"orders/O{n}",
    )


def open_alerts(hub: Hub) -> list[tuple[str, str]]:
    with hub.database.read() as conn:
        return [(row["kind"], row["connection"]) for row in alerts.every(conn)]


def state_of(hub: Hub, name: str) -> str:
    with hub.database.read() as conn:
        return connections.state(conn, name)


def test_dead_auth_is_told_once_and_after_a_sign_in_everything_goes_on(
    open_with: Open, installed: Path, vendor: TokenServer
) -> None:
    hub = open_with({"crm": crm(vendor), "shop": demo()}, RULES)
    sign_in(hub, vendor)
    pull(hub, "crm")
    for n in range(6):
        vendor.rows[f"C{n}"] = {"id": f"C{n}", "version": "000001", "name": "name 1"}
        receive(hub, "crm", named(n))
        receive(hub, "shop", order(n))
    given_out = due.lanes(hub)  # on their way to workers when the grant ends
    vendor.revoke()
    vendor.api.clear()
    for names in given_out:
        with leased(hub, *names) as lane:
            assert lane is not None
            (pipeline.ingest if names[0].startswith("in:") else pipeline.deliver)(hub, lane)
    assert state_of(hub, "crm") == "auth_failed"
    assert open_alerts(hub) == [("auth", "crm")]

    for n in range(6):
        for version in (2, 3, 4):
            receive(hub, "crm", contact(n, version))
        receive(hub, "shop", order(n + 6))
    drain(hub)
    assert len(vendor.api) == 1  # of six lanes and twelve writes, one knocked
    assert {connection for connection, _ in due.pulls(hub)} == {"shop"}
    assert scalar(hub, "SELECT count(*) FROM inbox WHERE connection = 'crm'") == 24
    assert scalar(hub, "SELECT sum(attempts) FROM inbox WHERE connection = 'crm'") == 1
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'queued'") == 12

    for n in range(6):
        vendor.rows[f"C{n}"] = {"id": f"C{n}", "version": "000004", "name": "name 4"}
    sign_in(hub, vendor)
    assert state_of(hub, "crm") == "ok"
    assert open_alerts(hub) == []
    assert ("crm", "contacts") in due.pulls(hub)
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM inbox WHERE state <> 'done'") == 0
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state <> 'confirmed'") == 0
    assert sorted(row["name"] for _, row in vendor.writes) == [f"SO{n:02d}" for n in range(12)]
    assert len({key for key, _ in vendor.writes}) == 12
    with hub.database.read() as conn:
        held = conn.execute(text("SELECT ref, version FROM raw WHERE ref LIKE 'crm/contacts/C%'"))
        found = {row.ref: row.version for row in held if re.fullmatch(r".*/C\d", row.ref)}
    assert found == {f"crm/contacts/C{n}": "000004" for n in range(6)}


def test_a_write_that_found_the_door_closed_is_made_at_once_when_it_opens(open_with: Open) -> None:
    hub = open_with({"crm": demo(), "shop": demo()}, rules_to_demo())
    account(hub, "crm").plan("push", AuthError("refused"))
    receive(hub, "shop", order(1))
    drain(hub)
    assert state_of(hub, "crm") == "auth_failed"
    with hub.database.write() as conn:
        assert connections.readmit(conn, "crm")
    drain(hub)
    assert [effect.values for effect in account(hub, "crm").effects()] != []
    assert scalar(hub, "SELECT state FROM delivery") == "confirmed"


def rules_to_demo() -> list[dict[str, Any]]:
    then = {"write": "crm/tickets", "fields": {"subject": "{number}"}}
    return [{**RULES[0], "then": then}]


def test_other_work_that_still_succeeds_does_not_open_the_door(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=2)})
    account(hub, "crm").plan("pull", AuthError("refused"))
    with pytest.raises(AuthError):
        pull(hub, "crm", "customers")
    pull(hub, "crm", "orders")  # was under way
    assert state_of(hub, "crm") == "auth_failed"
    assert open_alerts(hub) == [("auth", "crm")]


def test_new_credentials_in_the_settings_begin_anew(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=2)})
    account(hub, "crm").plan("pull", AuthError("refused"))
    with pytest.raises(AuthError):
        pull(hub, "crm", "customers")
    changed = {"crm": {**hub.settings.connections["crm"], "webhook_secrets": ["x"]}}
    apply(hub.registry, hub.settings.model_copy(update={"connections": changed}))
    assert state_of(hub, "crm") == "new"
    assert open_alerts(hub) == []


def test_a_vendor_that_is_back_gets_what_waited_at_once(open_with: Open) -> None:
    hub = open_with({"crm": demo(), "shop": demo()}, rules_to_demo())
    account(hub, "crm").plan("push", RetryableError("down"))
    receive(hub, "shop", order(1))
    drain(hub)
    assert scalar(hub, "SELECT state FROM delivery") == "retry"
    with hub.database.write() as conn:
        connections.set_state(conn, "crm", "degraded", "down")
    pull(hub, "crm", "customers")
    drain(hub)
    assert scalar(hub, "SELECT state FROM delivery") == "confirmed"


def test_a_job_the_vendor_refuses_pauses_the_connection_too(
    open_with: Open,
) -> None:
    hub = open_with({"crm": demo(sample=2)})
    account(hub, "crm").plan("pull", AuthError("refused"))
    with hub.database.write() as conn:
        id_ = store_jobs.add(conn, "resync", "crm", "customers", {"all": True})
        leases.ensure(conn, [jobs.lease_name(id_)])
    with leased(hub, jobs.lease_name(id_)) as lane:
        assert lane is not None
        with pytest.raises(AuthError):
            jobs.run(hub, lane, id_)
    assert state_of(hub, "crm") == "auth_failed"
    with hub.database.write() as conn:
        connections.readmit(conn, "crm")
    assert due.jobs(hub) == [id_]


# --- signing in


def test_an_answer_counts_once_and_only_for_a_while(
    open_with: Open, installed: Path, vendor: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = open_with({"crm": crm(vendor)})
    address, _ = signin.begin(hub.registry, "crm", CALLBACK)
    back = vendor.agree(address)
    assert signin.finish(hub.registry, back, CALLBACK, "mei") == "crm"
    with pytest.raises(AuthError, match="used already"):
        signin.finish(hub.registry, back, CALLBACK, "mei")
    address, _ = signin.begin(hub.registry, "crm", CALLBACK)
    late = datetime.now(UTC) + signin.LASTS + timedelta(seconds=1)
    monkeypatch.setattr(leases, "now", lambda: late)
    with pytest.raises(AuthError, match="expired"):
        signin.finish(hub.registry, vendor.agree(address), CALLBACK, "mei")


@pytest.mark.parametrize("state", ["", "!!!", "AAAA", "A" * 200])
def test_an_answer_to_no_question_of_ours_is_refused(
    open_with: Open, installed: Path, vendor: TokenServer, state: str
) -> None:
    hub = open_with({"crm": crm(vendor)})
    with pytest.raises(AuthError, match="does not answer"):
        signin.finish(hub.registry, f"{CALLBACK}?code=c&state={state}", CALLBACK, "mei")
    assert vendor.asked == []


def test_a_sign_in_leaves_its_name_and_no_secret(
    open_with: Open, installed: Path, vendor: TokenServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    hub = open_with({"crm": crm(vendor)})
    sign_in(hub, vendor)
    pull(hub, "crm")
    live = hub.registry.get("crm")
    tokens = live.adapter.tokens.load()
    assert tokens is not None
    with hub.database.read() as conn:
        noted = conn.execute(text("SELECT actor, verb, subject FROM audit")).all()
    assert ("mei", "sign in", "connection:crm") in {tuple(row) for row in noted}
    seen = f"{caplog.text} {live!r} {live.config!r} {hub!r} {noted}"
    for secret in (tokens.access, tokens.refresh, SECRET, KEY):
        assert secret not in seen


def installation(folder: Path, vendor: TokenServer) -> Settings:
    """A settings.toml with the vendor's connection, applied."""
    (folder / "settings.toml").write_text(
        f'state_dir = "{folder}"\nsecret_keys = ["{KEY}"]\n[connections.crm]\n'
        f'adapter = "oauth_vendor"\nurl = "{vendor.address}"\nclient_secret = "{SECRET}"\n'
        'allow_networks = ["127.0.0.0/8"]\n'
    )
    return Settings()


@contextmanager
def program(site: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "hub", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{site}:{ROOT}", "COLUMNS": "300"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        yield running


def said_by(running: subprocess.Popen[str], words: str = "") -> str:
    told, _ = running.communicate(words, timeout=120)
    assert running.returncode == 0, told
    return told


def address_in(running: subprocess.Popen[str], vendor: TokenServer) -> str:
    assert running.stdout is not None
    return next(line.strip() for line in running.stdout if line.startswith(vendor.address))


def test_hub_connect_takes_a_pasted_address(
    own_settings: Path, tmp_path: Path, installed: Path, vendor: TokenServer
) -> None:
    installation(tmp_path, vendor)
    with program(installed, "apply") as running:
        said_by(running)
    with program(installed, "connect", "crm", "--paste") as running:
        back = vendor.agree(address_in(running, vendor))
        assert "crm is connected" in said_by(running, f"{back}\n")
    with program(installed, "check", "crm") as running:
        assert "✓ crm" in said_by(running)


def test_hub_connect_waits_for_the_browser_to_come_back(
    own_settings: Path, tmp_path: Path, installed: Path, vendor: TokenServer
) -> None:
    settings = installation(tmp_path, vendor)
    with program(installed, "apply") as running:
        said_by(running)
    database = Database(settings.database)
    with database.write() as conn:
        secret = accounts.create_token(conn, "mei's browser", "operator")
    client = create_app(settings, database).test_client()
    let_in = {"Authorization": f"Bearer {secret}", "Accept-Language": "zh"}
    with program(installed, "connect", "crm") as running:
        back = vendor.agree(address_in(running, vendor)).removeprefix("http://127.0.0.1:8360")
        assert client.get(back).location.startswith("/sign-in?next=")  # nobody we know
        assert "crm 已连接" in client.get(back, headers=let_in).text
        assert "crm is connected" in said_by(running)
    again = client.get(back, headers=let_in)
    assert again.status_code == 400
    assert "登录没有成功" in again.text
    database.close()
