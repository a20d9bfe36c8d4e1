"""What differs from one database to another: drivers, dialling, clocks, read-only, words of error.

Hosts are dialled by the address that was checked, so that a name cannot lead elsewhere later; the
name itself goes on to TLS wherever the driver takes both.
"""

from __future__ import annotations

import importlib
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, exc

from hub.sdk import AuthError, ConfigError, RemoteError, RetryableError

CONNECT_S = 10

Dial = Callable[[Any, URL, tuple[str, int], float], Any]
"""(dialect, address, checked address and port, seconds a query may take) → a connection."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of database.

    Attributes:
        driver: dialect and driver, as SQLAlchemy names them.
        extra: of this project, that brings the driver; "" when it is always there.
        clock: an expression for its own time in UTC.
        read_only: a statement that begins a transaction in which nothing can be written.
        options: what the query of an address may say.
    """

    driver: str
    port: int
    dial: Dial
    clock: str
    read_only: str = ""
    extra: str = ""
    options: frozenset[str] = frozenset()


def _mysql(dialect: Any, url: URL, address: tuple[str, int], timeout_s: float) -> Any:
    _, known = dialect.create_connect_args(url)
    options = {"charset": "utf8mb4", "read_timeout": timeout_s, "write_timeout": timeout_s, **known}
    line = socket.create_connection(address, CONNECT_S)
    line.settimeout(None)  # the driver sets its own
    connection = dialect.dbapi.connect(**options, defer_connect=True)
    try:
        connection.connect(line)
    except BaseException:
        line.close()
        raise
    return connection


def _postgresql(dialect: Any, url: URL, address: tuple[str, int], timeout_s: float) -> Any:
    _, known = dialect.create_connect_args(url)
    settings = f"-c timezone=UTC -c statement_timeout={int(timeout_s * 1000)}"
    limits = {"connect_timeout": CONNECT_S, "options": settings}
    return dialect.dbapi.connect(**known, **limits, hostaddr=address[0])


def _mssql(dialect: Any, url: URL, address: tuple[str, int], timeout_s: float) -> Any:
    _, known = dialect.create_connect_args(url.set(host=address[0], port=address[1]))
    return dialect.dbapi.connect(**known, login_timeout=CONNECT_S, timeout=int(timeout_s))


def _oracle(dialect: Any, url: URL, address: tuple[str, int], timeout_s: float) -> Any:
    _, known = dialect.create_connect_args(url.set(host=address[0], port=address[1]))
    connection = dialect.dbapi.connect(**known, tcp_connect_timeout=CONNECT_S)
    connection.call_timeout = int(timeout_s * 1000)
    return connection


def _none(*_: Any) -> Any:
    raise NotImplementedError  # a file is not dialled


_MYSQL = Kind(
    "mysql+pymysql",
    3306,
    _mysql,
    clock="UTC_TIMESTAMP()",
    read_only="START TRANSACTION READ ONLY",
    options=frozenset({"charset", "ssl_ca", "ssl_cert", "ssl_key", "ssl_check_hostname"}),
)

KINDS: Mapping[str, Kind] = {
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "postgresql": Kind(
        "postgresql+psycopg",
        5432,
        _postgresql,
        clock="CURRENT_TIMESTAMP",
        read_only="SET TRANSACTION READ ONLY",
        options=frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey"}),
    ),
    "mssql": Kind(
        "mssql+pymssql",
        1433,
        _mssql,
        clock="SYSUTCDATETIME()",
        extra="mssql",
        options=frozenset({"charset", "tds_version", "encryption"}),
    ),
    "oracle": Kind(
        "oracle+oracledb",
        1521,
        _oracle,
        clock="SYS_EXTRACT_UTC(SYSTIMESTAMP)",
        read_only="SET TRANSACTION READ ONLY",
        extra="oracle",
        options=frozenset({"service_name"}),
    ),
    "sqlite": Kind(
        "sqlite", 0, _none, clock="CURRENT_TIMESTAMP", read_only="PRAGMA query_only = ON"
    ),
}


def driver_of(kind: Kind) -> None:
    """Return when the driver is installed.

    Raises:
        ConfigError: it is not.
    """
    if not kind.extra:
        return
    try:
        importlib.import_module(kind.driver.partition("+")[2])
    except ImportError as missing:
        raise ConfigError(
            f"the driver {kind.driver.partition('+')[2]} is not installed",
            hint=f"Install it: .venv/bin/pip install -e '.[{kind.extra}]'",
        ) from missing


# What went wrong

REFUSED = frozenset({"1045", "1698", "28000", "28P01", "18456", "ORA-01017", "ORA-28000"})
"""Credentials are not taken."""

FORBIDDEN = frozenset({"1044", "1142", "1143", "42501", "229", "916", "ORA-01031"})
"""The account may not do that."""

WRONG = frozenset({"1049", "1054", "1064", "1146", "3D000", "208", "207", "ORA-00942", "ORA-00904"})
"""No such database, table or column; or not SQL."""

_SAYS = (
    (re.compile(r'password authentication failed|no password|role ".*" does not exist'), AuthError),
    (re.compile(r'no such (table|column)|syntax error|database ".*" does not exist'), ConfigError),
)
"""For drivers without codes: SQLite, and PostgreSQL before one is let in."""


@contextmanager
def asking() -> Iterator[None]:
    """Turn what drivers raise in this block into what happens next.

    Their text shows values of rows, so that it is kept out wherever it may hold some.
    """
    try:
        yield
    except exc.DBAPIError as fault:
        raise _error(fault) from None
    except OSError as fault:
        raise RetryableError(f"the database cannot be reached: {type(fault).__name__}") from None
    except exc.SQLAlchemyError as fault:
        raise ConfigError(f"the database cannot be asked this: {type(fault).__name__}") from fault


def code_of(fault: exc.DBAPIError) -> str:
    """The database's own code of an error; "" when it gives none."""
    origin = fault.orig
    first = origin.args[0] if origin is not None and origin.args else ""
    first = first[0] if isinstance(first, tuple) and first else first
    known = (first, getattr(first, "full_code", ""), getattr(origin, "sqlstate", ""))
    return next((str(one) for one in known if re.fullmatch(r"[A-Z0-9-]{2,9}", str(one))), "")


def _error(fault: exc.DBAPIError) -> RemoteError | ConfigError:
    code, said = code_of(fault), str(fault.orig).splitlines()[0] if str(fault.orig) else ""
    told = f"the database answered {code or type(fault.orig).__name__}"
    class_ = next((found for sign, found in _SAYS if sign.search(str(fault.orig))), None)
    if code in REFUSED or class_ is AuthError:
        return AuthError(told, hint="Check user and password of this connection.")
    if code in FORBIDDEN:
        return ConfigError(told, hint="Let the account of this connection read its tables.")
    if code in WRONG or class_ is ConfigError or isinstance(fault, exc.ProgrammingError):
        return ConfigError(told, hint=f"The database says: {said[:200]}")
    if isinstance(fault, exc.DataError | exc.NotSupportedError):
        return ConfigError(told, hint="Look at the columns key, modified and where of the stream.")
    return RetryableError(told, hint="The database cannot be reached, or is busy.")
