"""HubSpot's webhooks journal over real sockets: tokens, entries, files at another address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from tests.contract.json_server import Handler, at_a_port

CLIENT, SECRET = "client-id-of-the-app", "client-secret-of-the-app"
_BASE = "/webhooks-journal/journal/2026-03"


class Journal:
    """The journal of one app: its files by offset, and who asked for what."""

    def __init__(self) -> None:
        self.files: dict[str, list[dict[str, Any]]] = {}
        self.forgotten: set[str] = set()
        self.asked: list[str] = []
        self.read: list[str] = []
        self.expired_once: set[str] = set()
        self.down = 0
        self.url = self.files_url = ""

    def tell(self, number: int, *, action: str = "DELETE", events: int = 1) -> None:
        """Something happens to contacts; a file of it is published."""
        at = f"2026-11-21T12:00:{number % 60:02d}Z"
        event = {"type": "crmObject", "portalId": 62515, "occurredAt": at, "action": action}
        self.files[f"offset-{number}"] = [
            {**event, "objectTypeId": "0-1", "objectId": 1000 * number + n} for n in range(events)
        ]

    def forget(self, *numbers: int) -> None:
        """Three days are over for these."""
        self.forgotten |= {f"offset-{number}" for number in numbers}

    def entry_after(self, offset: str | None) -> tuple[int, Any]:
        """Status and body of the next entry, or of the earliest."""
        kept = [name for name in self.files if name not in self.forgotten]
        if offset is not None:
            if offset not in kept:
                return 404, {"category": "OBJECT_NOT_FOUND", "message": "unknown offset"}
            kept = kept[kept.index(offset) + 1 :]
        if not kept:
            return 204, None
        url = f"{self.files_url}/{kept[0]}.json?X-Amz-Signature=signed"
        at = "2026-11-22T12:00:00Z"
        return 200, {"url": url, "expiresAt": at, "currentOffset": kept[0]}


class _Handler(Handler):
    journal: ClassVar[Journal]

    def post(self) -> None:
        form = dict(parse_qsl(self.asked().decode()))
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            self.answer(401, {"error": "invalid_client"})
        else:
            assert form["scope"] == "developer.webhooks_journal.read"
            self.answer(200, {"access_token": "journal-token", "expires_in": 1800})

    def get(self) -> None:
        path = urlsplit(self.path).path
        if not path.startswith(_BASE):
            self.answer(404, {"category": "NOT_FOUND"})
            return
        path = path.removeprefix(_BASE)
        self.journal.asked.append(path)
        if self.journal.down:
            self.journal.down -= 1
            self.answer(503, {"message": "down"})
        elif self.headers.get("Authorization") != "Bearer journal-token":
            self.answer(401, {"category": "INVALID_AUTHENTICATION"})
        else:
            offset = None if path == "/earliest" else path.split("/")[2]
            self.answer(*self.journal.entry_after(offset))


class _Files(_Handler):
    """Where the files lie; our token has no business there."""

    def get(self) -> None:
        name = urlsplit(self.path).path.removeprefix("/").removesuffix(".json")
        self.journal.read.append(name)
        if "Authorization" in self.headers or name in self.journal.expired_once:
            self.journal.expired_once.discard(name)
            self.answer(403, {"message": "Request has expired"})
            return
        events = self.journal.files[name]
        at = "2026-11-21T12:00:00Z"
        self.answer(200, {"offset": name, "journalEvents": events, "publishedAt": at})


@contextmanager
def serving() -> Iterator[Journal]:
    """A journal on two local ports."""
    journal = Journal()
    with (
        at_a_port(_Handler, journal=journal) as journal.url,
        at_a_port(_Files, journal=journal) as journal.files_url,
    ):
        yield journal
