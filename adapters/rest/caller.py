"""What is sent: a request of the file with its values, let in, and its answer decoded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from adapters.rest.access import Understanding, arguments
from adapters.rest.config import Made, RestConfig
from adapters.rest.reading import Reader, followed
from adapters.rest.system import KeyAuth, Read, Request
from adapters.rest.template import Scope, path
from hub.sdk import Http, RemoteError, zone_of


def scope_of(config: RestConfig, made: Made | None, now: datetime | None = None) -> Scope:
    """The values a template of this connection, and of one stream, may name."""
    zone = zone_of(config.described_system.system.zone)
    return Scope(config.names(made), zone, lambda: now or datetime.now(UTC))


class Caller:
    """Asks what the file describes, through the adapter's client."""

    def __init__(self, config: RestConfig, http: Http) -> None:
        self._config, self.http = config, http
        self._system = config.described_system
        self._understood = Understanding(self._system.answers, self._system.system.conflicts)

    def scope(self, made: Made | None = None) -> Scope:
        """The names of templates, by the vendor's clock."""
        return scope_of(self._config, made, self.http.now())

    def ask(self, request: Request, scope: Scope, *, again: bool = True) -> Any:
        """The decoded answer; ``again``: the request may be sent again."""
        parts = arguments(request, scope, self._system.auth)
        return self.http.json(request.method, path(request.path, scope), repeatable=again, **parts)

    def reader(self, made: Made, how: Read) -> Reader:
        """Reads a stream page by page."""

        def ask(request: Read, names: Mapping[str, Any], address: str) -> tuple[Any, str]:
            scope = self.scope(made).having(**names)
            if request.pages.next == "header:link":
                return self._linked(request, scope, address)
            if address:
                return self._follow(request, scope, address), ""
            return self.ask(request, scope), ""

        return Reader(
            made.part,
            how,
            ask,
            now=self.http.now,
            zone=zone_of(made.zone),
            size=self._config.page_size,
        )

    def _follow(self, request: Request, scope: Scope, address: str) -> Any:
        where, parts = self._at(request, scope, address)
        return self.http.json(request.method, where, repeatable=True, **parts)

    def _linked(self, request: Request, scope: Scope, address: str) -> tuple[Any, str]:
        """The answer, and the next address in its header ``Link`` (RFC 8288)."""
        where, parts = path(request.path, scope), arguments(request, scope, self._system.auth)
        if address:
            where, parts = self._at(request, scope, address)
        response = self.http.request(request.method, where, repeatable=True, **parts)
        try:
            body = orjson.loads(response.content)
        except orjson.JSONDecodeError as exc:
            raise RemoteError("the answer is not JSON") from exc
        self._understood.body(body)
        return body, response.links.get("next", {}).get("url", "")

    def _at(self, request: Request, scope: Scope, address: str) -> tuple[str, dict[str, Any]]:
        """An address the vendor gave, and what goes along with it; its query is in it already."""
        auth = self._system.auth
        ours = tuple(auth.query) if isinstance(auth, KeyAuth) else ()
        parts = arguments(request.model_copy(update={"query": {}}), scope, auth)
        return followed(address, self.http.base, ours), parts
