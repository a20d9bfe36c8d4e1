"""Sessions of desks' pages: a frame in another site's page gets no cookie, so it holds a token.

It opens the pages of one connection and nothing else, is good for half an hour, and is renewed
while it is used, until its person would have to sign in anew anyway.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import Connection

from hub.registry import Live
from hub.store import accounts
from hub.web import formats

LASTS_S = 30 * 60
WHOLE_S = 12 * 3600
"""As long as a sign-in in a browser."""


@dataclass(frozen=True)
class DeskSession:
    """Who looks at a desk's page.

    Attributes:
        connection: whose page it is.
        account: of whom; "" = a member of the desk without an account here.
        stamp: of the account, as in a browser's session.
        member: who the desk said it is; "" = they signed in here.
        began: when they signed in, in seconds.
    """

    connection: str
    account: str = ""
    stamp: str = ""
    member: str = ""
    began: int = 0


@dataclass(frozen=True)
class Onlooker:
    """Who that is now.

    Attributes:
        account: None for a member of the desk without one.
    """

    session: DeskSession
    name: str
    role: str
    masked: bool
    account: accounts.Account | None = None


def of_account(connection: str, account: accounts.Account, member: str = "") -> DeskSession:
    """A new session of somebody with an account."""
    return DeskSession(connection, account.name, account.stamp, member, _now())


def of_member(connection: str, member: str) -> DeskSession:
    """A new session of a member of the desk."""
    return DeskSession(connection, member=member, began=_now())


def sign(keys: tuple[bytes, ...], session: DeskSession) -> str:
    """The token, good for ``LASTS_S`` from now."""
    return _signer(keys).dumps(astuple(session))


def genuine(keys: tuple[bytes, ...], token: str, connection: str) -> DeskSession | None:
    """The session of that connection behind a token that is ours and not over."""
    try:
        found = DeskSession(*_signer(keys).loads(token, max_age=LASTS_S))
    except (BadSignature, TypeError):  # those of an older version too
        return None
    is_over = _now() - found.began > WHOLE_S
    return None if is_over or found.connection != connection else found


def onlooker(conn: Connection, live: Live, session: DeskSession) -> Onlooker | None:
    """Who looks, as accounts and connection stand now; None when they may not any more."""
    own = live.own
    if session.member and own.desk_sign_in != "desk":
        return None
    if not session.account:
        if session.member in own.desk_people:
            return None  # who has an account by now signs in with it
        name = f"{session.connection}:{session.member}"
        return Onlooker(session, name, own.desk_role, masked=False)
    found = accounts.get(conn, session.account)
    if found is None or not found.active or found.stamp != session.stamp:
        return None
    if session.member:
        named = accounts.get(conn, own.desk_people.get(session.member, ""))
        if named is None or named.name != found.name:
            return None
    return Onlooker(session, found.name, found.role, found.masked, found)


def _now() -> int:
    return int(formats.now().timestamp())


def _signer(keys: tuple[bytes, ...]) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(list(reversed(keys)), salt="desk")  # it signs with the last
