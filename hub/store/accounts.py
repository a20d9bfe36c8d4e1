"""Who may come in: people with a password, programs with a token, and what each may do."""

from __future__ import annotations

import hashlib
import secrets
import threading
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Row, delete, insert, or_, select, union_all, update

from hub.errors import ConfigError
from hub.store.schema import account, token

ROLES = ("admin", "operator", "manager", "agent", "auditor")
MASKED_ROLES = frozenset({"auditor"})
PASSWORD_MIN, PASSWORD_MAX = 10, 1024
NAME_MAX = 100
TOKEN_PREFIX = "cdt_"  # noqa: S105 - lets secret scanners recognise a leaked one

_hasher = PasswordHasher()  # Argon2id; time, memory and lanes of RFC 9106, second recommendation
_NOBODY = (  # no password has this hash, and to find that out takes as long as with any other
    f"$argon2id$v=19$m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    f"${'A' * 22}${'A' * 43}"
)
_HASHING = threading.BoundedSemaphore(2)  # each takes 64 MiB: a flood of guesses must not take all


class Account(NamedTuple):
    """A person who may sign in.

    Attributes:
        language: ``zh_CN``, ``en`` or "" for whatever the browser asks.
        stamp: changes with the password, so that old sessions end.
        masked: sees phones and mail addresses masked, whatever the role.
    """

    name: str
    role: str
    language: str
    active: bool
    created_at: datetime
    stamp: str
    masked: bool = False


class Token(NamedTuple):
    """What is kept of an API token; itself it was shown once."""

    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None
    masked: bool = False


class Standing(NamedTuple):
    """What somebody may do now, and whether phones and mail addresses are hidden from them."""

    role: str
    masked: bool


def create(
    conn: Connection,
    name: str,
    password: str,
    role: str,
    *,
    language: str = "",
    masked: bool = False,
) -> Account:
    """A new account.

    Raises:
        ConfigError: the name is taken or empty, the password too short, the role unknown.
    """
    name = _clean_name(name)
    _check_role(role)
    if conn.execute(select(account.c.name).where(account.c.name == name)).first():
        raise ConfigError(f'there is already an account "{name}"', hint="Choose another name.")
    row = {
        "name": name,
        "password_hash": _hash(password),
        "role": role,
        "language": language,
        "active": True,
        "masked": masked,
        "created_at": datetime.now(UTC),
    }
    conn.execute(insert(account).values(row))
    return _required(conn, name)


def verify(conn: Connection, name: str, password: str) -> Account | None:
    """The account whose password this is; None for a wrong one, an unknown or a closed account.

    Takes as long for a name that does not exist as for one that does.
    """
    row = _row(conn, _fold(name))
    fits = _fits(row.password_hash if row else _NOBODY, password)
    return _account(row) if row and fits and row.active else None


def get(conn: Connection, name: str) -> Account | None:
    """The account of that name."""
    row = _row(conn, _fold(name))
    return _account(row) if row else None


def is_empty(conn: Connection) -> bool:
    """Whether nobody may sign in yet."""
    return conn.execute(select(account.c.name).limit(1)).first() is None


def everyone(conn: Connection) -> list[Account]:
    """All accounts by name."""
    return [_account(row) for row in conn.execute(select(account).order_by(account.c.name))]


def set_password(conn: Connection, name: str, password: str) -> None:
    """Change a password; every session of the account ends.

    Raises:
        ConfigError: there is no such account, or the password is too short.
    """
    _change(conn, name, password_hash=_hash(password))


def set_role(conn: Connection, name: str, role: str) -> None:
    """Change what an account may do, from its next request on.

    Raises:
        ConfigError: there is no such account or role.
    """
    _check_role(role)
    _change(conn, name, role=role)


def set_language(conn: Connection, name: str, language: str) -> None:
    """Keep the language an account reads.

    Raises:
        ConfigError: there is no such account.
    """
    _change(conn, name, language=language)


def set_masked(conn: Connection, name: str, *, masked: bool) -> None:
    """Hide phones and mail addresses from an account, or show them, from its next request on.

    Raises:
        ConfigError: there is no such account.
    """
    _change(conn, name, masked=masked)


def set_active(conn: Connection, name: str, *, active: bool) -> None:
    """Close an account, or open it again; a closed one is out with its next request.

    Raises:
        ConfigError: there is no such account.
    """
    _change(conn, name, active=active)


def create_token(
    conn: Connection,
    name: str,
    role: str,
    *,
    expires_at: datetime | None = None,
    masked: bool = False,
) -> str:
    """A new API token, to be shown once: only its SHA-256 is kept.

    Raises:
        ConfigError: the name is taken or empty, or the role unknown.
    """
    name = _clean_name(name)
    _check_role(role)
    if conn.execute(select(token.c.name).where(token.c.name == name)).first():
        raise ConfigError(f'there is already a token "{name}"', hint="Revoke it first.")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = {
        "digest": _digest(secret),
        "name": name,
        "role": role,
        "masked": masked,
        "created_at": datetime.now(UTC),
        "expires_at": expires_at,
    }
    conn.execute(insert(token).values(row))
    return secret


def token_role(conn: Connection, secret: str) -> str | None:
    """What the bearer of a token may do; None for an unknown or expired one."""
    found = token_of(conn, secret)
    return found.role if found else None


def token_of(conn: Connection, secret: str) -> Token | None:
    """The living token behind a secret. Looked up by its hash: no timing tells a part of it."""
    row = conn.execute(select(token).where(token.c.digest == _digest(secret))).first()
    if row is None or (row.expires_at is not None and row.expires_at <= datetime.now(UTC)):
        return None
    return Token(row.name, row.role, row.created_at, row.expires_at, row.masked)


def tokens(conn: Connection) -> list[Token]:
    """All tokens by name, the expired ones too."""
    t = token.c
    columns = (t.name, t.role, t.created_at, t.expires_at, t.masked)
    return [Token(*row) for row in conn.execute(select(*columns).order_by(token.c.name))]


def standing(conn: Connection, name: str) -> Standing | None:
    """How an account or token of that name stands now, of two the lesser; None when it is out."""
    a, t = account.c, token.c
    lives = or_(t.expires_at.is_(None), t.expires_at > datetime.now(UTC))
    people = select(a.role, a.masked).where(a.name == name, a.active.is_(True))
    programs = select(t.role, t.masked).where(t.name == name, lives)
    found = [Standing(*row) for row in conn.execute(union_all(people, programs))]
    return max(found, key=lambda one: ROLES.index(one.role), default=None)


def revoke_token(conn: Connection, name: str) -> None:
    """End a token at once.

    Raises:
        ConfigError: there is no such token.
    """
    if not conn.execute(delete(token).where(token.c.name == _fold(name))).rowcount:
        raise ConfigError(f'there is no token "{name}"', hint="hub token list shows them.")


def _row(conn: Connection, name: str) -> Row[tuple[object, ...]] | None:
    if not name.isprintable():
        return None  # PostgreSQL refuses to compare with NUL
    return conn.execute(select(account).where(account.c.name == name)).first()


def _required(conn: Connection, name: str) -> Account:
    found = get(conn, name)
    if found is None:
        raise ConfigError(f'there is no account "{name}"', hint="hub user list shows them.")
    return found


def _change(conn: Connection, name: str, **values: object) -> None:
    change = update(account).where(account.c.name == _fold(name)).values(values)
    if not conn.execute(change).rowcount:
        raise ConfigError(f'there is no account "{name}"', hint="hub user list shows them.")


def _account(row: Row[tuple[object, ...]]) -> Account:
    stamp = hashlib.sha256(row.password_hash.encode()).hexdigest()[:16]
    known = (row.name, row.role, row.language, row.active, row.created_at)
    return Account(*known, stamp, row.masked)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().lower()


def _clean_name(name: str) -> str:
    folded = _fold(name)
    if not 0 < len(folded) <= NAME_MAX or not folded.isprintable():
        raise ConfigError(f"a name has 1 to {NAME_MAX} visible characters", hint="Choose another.")
    return folded


def _check_role(role: str, known: Iterable[str] = ROLES) -> None:
    if role not in known:
        raise ConfigError(f'there is no role "{role}"', hint=f"Roles: {', '.join(ROLES)}")


def _plain(password: str) -> str:
    """One spelling of a password, however the keyboard composed its accents."""
    return unicodedata.normalize("NFC", password)


def _hash(password: str) -> str:
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise ConfigError(
            f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters",
            hint="A few words in a row are easy to remember and hard to guess.",
        )
    with _HASHING:
        return _hasher.hash(_plain(password))


def _fits(known: str, password: str) -> bool:
    with _HASHING:
        try:
            return _hasher.verify(known, _plain(password[: PASSWORD_MAX + 1]))
        except (VerificationError, InvalidHashError):
            return False


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
