"""Who is told of the hub's own events: where, in which form, and how far.

A subscription is a place in the events; what was told needs no row of its own, and going back is
moving that place.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
from sqlalchemy import Connection, delete, exists, select, update

from hub.errors import ConfigError
from hub.store import alerts, bulk, leases, news
from hub.store.crypto import Vault
from hub.store.schema import event, from_us, subscription, to_us

ACTIVE, PAUSED, DISABLED = "active", "paused", "disabled"
FORMATS = ("standard", "cloudevents-binary", "cloudevents-structured")
ALERT = "subscription"

OVERLAP = timedelta(hours=24)
"""How long a secret is still used after it was replaced."""

SECRET_BYTES = 32
NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One receiver.

    Attributes:
        types: of the events it wants; ``customer.*`` stands for several, none at all for every one.
        cursor: the place of the last event it was told.
        attempts: failed ones in a row.
        next_at: nothing is sent before.
    """

    name: str
    url: str
    types: tuple[str, ...]
    format: str
    allow_networks: tuple[str, ...]
    state: str
    reason: str
    cursor: int
    attempts: int
    failing_since: datetime | None
    next_at: datetime
    created_at: datetime

    def wants(self, type_: str) -> bool:
        """Whether it is told of events of this type."""
        return not self.types or any(covers(pattern, type_) for pattern in self.types)


def covers(pattern: str, type_: str) -> bool:
    """Whether a pattern stands for a type: itself, or all that begins as it does before ``*``."""
    return type_.startswith(pattern[:-1]) if pattern.endswith(".*") else pattern == type_


def checked_types(types: Sequence[str]) -> tuple[str, ...]:
    """The types without repetitions.

    Raises:
        ConfigError: one of them is none that is ever told.
    """
    for pattern in types:
        if not any(covers(pattern, known) for known in news.TYPES):
            known = ", ".join(news.TYPES)
            raise ConfigError(f'there is no event "{pattern}"', hint=f"Known, or *: {known}")
    return tuple(dict.fromkeys(types))


def add(
    conn: Connection,
    vault: Vault,
    name: str,
    url: str,
    *,
    types: Sequence[str] = (),
    format_: str = FORMATS[0],
    allow_networks: Sequence[str] = (),
) -> str:
    """Begin to tell a receiver what happens from now on; its secret, which is shown only here.

    Raises:
        ConfigError: the name is none or taken, or a type is unknown.
    """
    if not re.fullmatch(NAME, name):
        raise ConfigError(f'"{name}" is no name', hint="Use a-z, 0-9, - and _; 63 at most.")
    if get(conn, name) is not None:
        raise ConfigError(f'there is a subscription "{name}" already', hint="Choose another name.")
    secret, now = _new_secret(), leases.now()
    news.number_all(conn)  # what waits for its place happened before
    row = {
        "name": name,
        "url": url,
        "secrets": _sealed(vault, name, [{"secret": secret, "until": None}]),
        "types": _dumped(checked_types(types)),
        "format": format_,
        "allow_networks": _dumped(allow_networks),
        "state": ACTIVE,
        "cursor": news.last(conn),
        "next_at": now,
        "created_at": now,
    }
    bulk.insert(conn, subscription, [row])
    return secret


def get(conn: Connection, name: str) -> Subscription | None:
    """One subscription."""
    row = conn.execute(select(subscription).where(subscription.c.name == name)).mappings().first()
    return _opened(dict(row)) if row else None


def named(conn: Connection, name: str) -> Subscription:
    """One subscription.

    Raises:
        ConfigError: there is none of that name.
    """
    found = get(conn, name)
    if found is None:
        raise ConfigError(f'there is no subscription "{name}"', hint="See: hub subscriptions list")
    return found


def every(conn: Connection) -> list[Subscription]:
    """All subscriptions by name."""
    rows = conn.execute(select(subscription).order_by(subscription.c.name)).mappings()
    return [_opened(dict(row)) for row in rows]


def overview(conn: Connection, one: Subscription) -> dict[str, Any]:
    """What people are shown of it: no secrets, and no query of its address, where tokens hide.

    ``waiting`` events were not told yet, those it does not want included; ``lost`` of them are no
    longer kept.
    """
    parts = urlsplit(one.url)
    waiting = max(0, news.last(conn) - one.cursor)
    return {
        **{name: getattr(one, name) for name in Subscription.__dataclass_fields__},
        "url": parts._replace(query="***" if parts.query else "", fragment="").geturl(),
        "waiting": waiting,
        "lost": min(waiting, max(0, news.first(conn) - 1 - one.cursor)),
    }


def due(conn: Connection) -> list[str]:
    """Active ones with something to be told now, whoever waits longest first."""
    further = exists().where(event.c.position > subscription.c.cursor)
    ready = (subscription.c.state == ACTIVE) & (subscription.c.next_at <= leases.now())
    query = select(subscription.c.name).where(ready, further).order_by(subscription.c.next_at)
    return list(conn.execute(query).scalars())


def change(conn: Connection, name: str, **values: Any) -> None:
    """Change what a person said of it: url, types, format, allow_networks."""
    plain = {k: _dumped(v) if k in ("types", "allow_networks") else v for k, v in values.items()}
    _set(conn, name, **plain)


def pause(conn: Connection, name: str) -> None:
    """Tell it nothing until it is resumed; nothing is lost as long as events are kept."""
    _set(conn, name, state=PAUSED, reason="")


def resume(conn: Connection, name: str) -> None:
    """Go on from where it was, at once."""
    afresh = {"attempts": 0, "failing_since": None, "next_at": leases.now()}
    _set(conn, name, state=ACTIVE, reason="", **afresh)
    alerts.close(conn, ALERT, "", name)


def seek(conn: Connection, name: str, since: datetime) -> datetime | None:
    """Go back, or forward, to what happened at or after an instant.

    Returns the instant of the oldest event that is kept, when more may have happened before it.
    """
    _set(conn, name, cursor=news.before_instant(conn, since), next_at=leases.now())
    oldest = news.after(conn, 0, 1)
    dropped = bool(oldest) and oldest[0].position > 1 and since < oldest[0].at
    return oldest[0].at if dropped else None


def remove(conn: Connection, name: str) -> None:
    """Forget it."""
    conn.execute(delete(subscription).where(subscription.c.name == name))
    alerts.close(conn, ALERT, "", name)


def rotate(conn: Connection, vault: Vault, name: str) -> str:
    """A new secret, shown only here; those before it are used for ``OVERLAP`` longer."""
    secret, ends_at = _new_secret(), to_us(leases.now() + OVERLAP)
    kept_before = _valid(conn, vault, name, lock=True)  # two rotations must see each other
    old = [{**kept, "until": kept["until"] or ends_at} for kept in kept_before]
    sealed = _sealed(vault, name, [{"secret": secret, "until": None}, *old])
    _set(conn, name, secrets=sealed)
    return secret


def secrets(conn: Connection, vault: Vault, name: str) -> list[str]:
    """What its messages are signed with now, the newest first."""
    return [kept["secret"] for kept in _valid(conn, vault, name)]


def advance(conn: Connection, one: Subscription, end: int, *, sent: bool) -> bool:
    """Note that it was told everything up to ``end``; whether it goes on from there.

    It does not when somebody moved, paused or removed it since it was read.

    Args:
        sent: its receiver took something, so whatever failed before is over.
    """
    mine = (subscription.c.name == one.name) & (subscription.c.cursor == one.cursor)
    values: dict[str, Any] = {"cursor": end}
    if sent:
        values |= {"attempts": 0, "failing_since": None, "reason": "", "next_at": leases.now()}
    told = update(subscription).where(mine).values(**values)
    return conn.execute(told.returning(subscription.c.state)).scalar() == ACTIVE


def fail(conn: Connection, one: Subscription, reason: str, after_s: float) -> None:
    """It could not be told; it is tried again after ``after_s``."""
    now = leases.now()
    values = {"attempts": one.attempts + 1, "failing_since": one.failing_since or now}
    next_at = now + timedelta(seconds=after_s)
    _set_active(conn, one.name, **values, reason=reason[:500], next_at=next_at)


def disable(conn: Connection, one: Subscription, reason: str) -> bool:
    """Give up until a person resumes it; whether it was active. One alert tells of it."""
    if not _set_active(conn, one.name, state=DISABLED, reason=reason[:500]):
        return False
    words = f'the subscription "{one.name}" is disabled: {reason}'
    hint = f"Mend the receiver, then: hub subscriptions resume {one.name}. Nothing was lost."
    alerts.open_(conn, ALERT, "", one.name, words, hint)
    return True


def _set(conn: Connection, name: str, **values: Any) -> None:
    conn.execute(update(subscription).where(subscription.c.name == name).values(**values))


def _set_active(conn: Connection, name: str, **values: Any) -> bool:
    mine = (subscription.c.name == name) & (subscription.c.state == ACTIVE)
    return conn.execute(update(subscription).where(mine).values(**values)).rowcount == 1


def _opened(row: Mapping[str, Any]) -> Subscription:
    lists = {name: tuple(orjson.loads(row[name])) for name in ("types", "allow_networks")}
    told = {name: row[name] for name in Subscription.__dataclass_fields__}
    return Subscription(**{**told, **lists})


def _dumped(values: Sequence[str]) -> str:
    return orjson.dumps(list(values)).decode()


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


def _sealed(vault: Vault, name: str, kept: Sequence[Mapping[str, Any]]) -> bytes:
    return vault.encrypt(orjson.dumps(kept), context=f"subscription:{name}")


def _valid(
    conn: Connection, vault: Vault, name: str, *, lock: bool = False
) -> list[dict[str, Any]]:
    """Secrets whose time is not over."""
    query = select(subscription.c.secrets).where(subscription.c.name == name)
    sealed = conn.execute(query.with_for_update() if lock else query).scalar()
    if sealed is None:
        return []
    now = leases.now()
    kept = orjson.loads(vault.decrypt(sealed, context=f"subscription:{name}"))
    return [k for k in kept if k["until"] is None or from_us(k["until"]) > now]
