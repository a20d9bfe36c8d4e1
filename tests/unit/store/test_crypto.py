"""Secrets at rest."""

from pathlib import Path

import pytest

from hub.errors import ConfigError
from hub.store.crypto import KeyFile, Vault, new_key


def test_opens_only_for_the_same_context_and_key() -> None:
    vault = Vault([new_key()])
    sealed = vault.encrypt(b"secret", context="connection:a")
    assert b"secret" not in sealed
    assert vault.decrypt(sealed, context="connection:a") == b"secret"
    with pytest.raises(ConfigError, match="belongs to another row"):
        vault.decrypt(sealed, context="connection:b")
    with pytest.raises(ConfigError, match="not configured"):
        Vault([new_key()]).decrypt(sealed, context="connection:a")


def test_an_old_key_behind_the_new_one_still_opens() -> None:
    old, new = new_key(), new_key()
    sealed = Vault([old]).encrypt(b"secret", context="x")
    assert Vault([new, old]).decrypt(sealed, context="x") == b"secret"


def test_a_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "key").keys()
    assert KeyFile(tmp_path / "key").keys() == keys
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("key", ["", "???", "c2hvcnQ="])
def test_a_key_that_is_none_is_a_sentence(key: str) -> None:
    with pytest.raises(ConfigError, match="secret key"):
        Vault([key])
