from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from hub.errors import ConfigError
from hub.store import accounts, schema
from hub.store.db import Database

PASSWORD = "correct horse battery"


def test_only_the_right_password_opens_an_account(everywhere: Database) -> None:
    with everywhere.write() as conn:
        made = accounts.create(conn, " Mei ", PASSWORD, "agent")
        assert (made.name, made.role, made.active) == ("mei", "agent", True)
        assert accounts.verify(conn, "MEI", PASSWORD) == made
        for name, password in (
            ("mei", PASSWORD + "!"), ("mei", ""), ("nobody", PASSWORD), ("", ""), ("m\0", PASSWORD)
        ):  # fmt: skip
            assert accounts.verify(conn, name, password) is None
        kept = conn.execute(select(schema.account.c.password_hash)).scalar_one()
        assert kept.startswith("$argon2id$")


def test_an_unknown_name_costs_a_hash_as_well(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    fits = accounts._fits
    monkeypatch.setattr(accounts, "_fits", lambda k, p: checked.append(k) is None and fits(k, p))
    with database.read() as conn:
        accounts.verify(conn, "nobody", PASSWORD)
    assert checked == [accounts._NOBODY]


def test_a_new_password_changes_the_stamp_and_a_closed_account_stays_out(
    everywhere: Database,
) -> None:
    with everywhere.write() as conn:
        before = accounts.create(conn, "mei", PASSWORD, "agent")
        accounts.set_password(conn, "mei", "another long one")
        after = accounts.verify(conn, "mei", "another long one")
        assert after is not None
        assert after.stamp != before.stamp
        accounts.set_role(conn, "mei", "manager")
        accounts.set_language(conn, "mei", "en")
        accounts.set_active(conn, "mei", active=False)
        assert accounts.verify(conn, "mei", "another long one") is None
        found = accounts.get(conn, "mei")
        assert found is not None
        assert (found.role, found.language, found.active) == ("manager", "en", False)


def test_what_cannot_be_is_refused_in_words(database: Database) -> None:
    with database.write() as conn:
        accounts.create(conn, "mei", PASSWORD, "agent")
        for name, password, role in (
            ("mei", PASSWORD, "agent"), ("", PASSWORD, "agent"), ("li\nna", PASSWORD, "agent"),
            ("li", "short", "agent"), ("li", "x" * 2000, "agent"), ("li", PASSWORD, "king"),
        ):  # fmt: skip
            with pytest.raises(ConfigError):
                accounts.create(conn, name, password, role)
        for change in (accounts.set_password, accounts.set_role, accounts.set_language):
            with pytest.raises(ConfigError):
                change(conn, "nobody", PASSWORD if change is accounts.set_password else "agent")


def test_a_token_is_kept_only_as_its_hash_and_ends_in_time(everywhere: Database) -> None:
    with everywhere.write() as conn:
        secret = accounts.create_token(conn, "desk", "agent")
        old = accounts.create_token(
            conn, "old", "admin", expires_at=datetime.now(UTC) - timedelta(seconds=1)
        )
        later = datetime.now(UTC) + timedelta(days=1)
        young = accounts.create_token(conn, "young", "auditor", expires_at=later)
        assert secret.startswith("cdt_")
        assert len(secret) > 40
        kept = conn.execute(select(schema.token.c.digest)).scalars().all()
        assert not any(secret in digest for digest in kept)
        assert accounts.token_role(conn, secret) == "agent"
        assert accounts.token_role(conn, young) == "auditor"
        assert accounts.token_role(conn, old) is None
        assert accounts.token_role(conn, secret + "x") is None
        assert {"desk", "old", "young"} <= {token.name for token in accounts.tokens(conn)}
        accounts.revoke_token(conn, "desk")
        assert accounts.token_role(conn, secret) is None
        with pytest.raises(ConfigError):
            accounts.revoke_token(conn, "desk")
        with pytest.raises(ConfigError):
            accounts.create_token(conn, "young", "agent")
