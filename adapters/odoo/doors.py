"""The two ways into an Odoo: JSON-2 (19 and later) and JSON-RPC (until 21). Both run a method.

Source: https://www.odoo.com/documentation/19.0/developer/reference/external_api.html and a server
of Odoo 17 (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

from adapters.odoo.config import OdooConfig
from hub.sdk import Answers, AuthError, Http, Raw, RetryableError

AUTH = (
    "odoo.exceptions.AccessDenied",
    "werkzeug.exceptions.Unauthorized",
    "odoo.http.SessionExpiredException",
)
BUSY = (
    "psycopg2.errors.SerializationFailure",
    "psycopg2.errors.LockNotAvailable",
    "psycopg2.errors.DeadlockDetected",
    "psycopg2.OperationalError",
    "odoo.exceptions.ConcurrencyError",
    "werkzeug.exceptions.TooManyRequests",
    "werkzeug.exceptions.ServiceUnavailable",
)
RPC = Answers(
    code="error.data.name || error.message || error.code",
    fine=(),
    auth=AUTH,
    busy=BUSY,
    words="error.data.message",  # never "debug": it shows code and values
)
JSON2 = Answers(code="name", fine=(), auth=AUTH, busy=BUSY, words="message")
UNSURE = 500
"""From here on a status, not a name, says what became of a request."""


class Door(Protocol):
    """A way to run a method of a model."""

    http: Http

    def call(
        self,
        model: str,
        method: str,
        ids: Sequence[int] | None = None,
        *,
        repeatable: bool = False,
        **named: Any,
    ) -> Any:
        """What the method gives back.

        Args:
            ids: the records it is run on, for methods of records.
            repeatable: it changes nothing, or the same when it is asked twice.
        """


class JsonRpc:
    """Every call names database, user and key; errors come with status 200."""

    def __init__(self, config: OdooConfig) -> None:
        self._config = config
        self.http = Http(config.url, raise_for_body=RPC)

    @cached_property
    def _user(self) -> int:
        c = self._config
        key = c.api_key.get_secret_value()
        uid = self._ask("common", "authenticate", [c.database, c.login, key, {}], repeatable=True)
        if not uid:
            raise AuthError("Odoo refuses login or key", hint="Check database, login and api_key.")
        return int(uid)

    def call(
        self,
        model: str,
        method: str,
        ids: Sequence[int] | None = None,
        *,
        repeatable: bool = False,
        **named: Any,
    ) -> Any:
        c = self._config
        who = [c.database, self._user, c.api_key.get_secret_value()]
        args: list[Any] = [] if ids is None else [list(ids)]
        if method == "create":  # its rows must stand first, without a name
            args.append(named.pop("vals_list"))
        return self._ask(
            "object", "execute_kw", [*who, model, method, args, named], repeatable=repeatable
        )

    def _ask(self, service: str, method: str, args: list[Any], *, repeatable: bool) -> Any:
        params = {"service": service, "method": method, "args": args}
        asked = {"jsonrpc": "2.0", "method": "call", "id": 1, "params": params}
        return self.http.json("POST", "/jsonrpc", json=asked, repeatable=repeatable)["result"]


class Json2:
    """A key as bearer, a path for each method, named arguments only."""

    def __init__(self, config: OdooConfig) -> None:
        headers = {"Authorization": f"bearer {config.api_key.get_secret_value()}"}
        if config.database:
            headers["X-Odoo-Database"] = config.database
        self.http = Http(f"{config.url}/json/2", headers=headers, raise_for_refusal=_refused)

    def call(
        self,
        model: str,
        method: str,
        ids: Sequence[int] | None = None,
        *,
        repeatable: bool = False,
        **named: Any,
    ) -> Any:
        asked: Raw = named if ids is None else {"ids": list(ids), **named}
        return self.http.json("POST", f"/{model}/{method}", json=asked, repeatable=repeatable)


def _refused(status: int, body: Any) -> None:
    """Says by the name of the exception what is to be done.

    Raises:
        AuthError, RetryableError, RejectedError: as it says.
    """
    if status < UNSURE:
        JSON2(body)
    elif isinstance(body, dict) and body.get("name") in BUSY:
        raise RetryableError(f"Odoo answered {body['name']}", maybe_done=False)


def door(config: OdooConfig) -> Door:
    """The way this connection goes."""
    return Json2(config) if config.door == "json2" else JsonRpc(config)
