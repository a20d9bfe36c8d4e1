"""Roundup's REST interface, as far as the demo needs it.

Source: https://www.roundup-tracker.org/docs/rest.html (checked 2026-11)
"""

from __future__ import annotations

from typing import Any

from demo.systems.base import SystemFailedError, loopback_session

Row = dict[str, Any]


class RoundupApi:
    """One tracker seen by one user. Ids are strings."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = f"{url}/data"
        self._http = loopback_session()
        self._http.auth = (user, password)
        # Whatever changes data needs both, as a guard against foreign web pages.
        self._http.headers["X-Requested-With"] = "rest"
        self._http.headers["Origin"] = url.removesuffix("/rest")

    def find(self, kind: str, *fields: str, **filters: str) -> list[Row]:
        """All items of a class that the filters allow, in the order of their ids."""
        wanted = {"@fields": ",".join(fields) or "id", "@sort": "id", **filters}
        return list(self._ask("GET", kind, params=wanted)["collection"])

    def create(self, kind: str, **values: Any) -> str:
        """Create an item and return its id."""
        return str(self._ask("POST", kind, json=values)["id"])

    def change(self, kind: str, item: str, **values: Any) -> None:
        """Write properties of an item, unless somebody else changed it meanwhile."""
        etag = self._ask("GET", f"{kind}/{item}")["@etag"]
        self._ask("PATCH", f"{kind}/{item}", json=values, headers={"If-Match": etag})

    def retire(self, kind: str, item: str) -> None:
        """Take an item out of every list."""
        etag = self._ask("GET", f"{kind}/{item}")["@etag"]
        self._ask("DELETE", f"{kind}/{item}", headers={"If-Match": etag})

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        answer = self._http.request(method, f"{self._url}/{path}", timeout=60, **more)
        if not answer.ok:
            raise SystemFailedError(f"roundup: {method} {path}: {answer.text[:300]}")
        return answer.json()["data"]
