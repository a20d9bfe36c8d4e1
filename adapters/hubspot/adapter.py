"""HubSpot's webhooks journal: events read from files in their order, where it cannot call us.

HubSpot keeps three days. An entry of the journal names a file of events at a signed address and the
offset behind which the next one is asked for; without news the answer is 204.

Source: https://developers.hubspot.com/docs/api-reference/latest/webhooks-journal/guide (2026-03,
checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pydantic import Field, SecretStr

from adapters.hubspot.webhook import HubspotConfig
from hub.sdk import (
    Adapter,
    AuthError,
    ConfigError,
    CursorExpiredError,
    Emit,
    Http,
    Item,
    Raw,
    RejectedError,
    RetryableError,
)
from hub.sdk.auth import OAuth2, TokenAuth
from hub.sdk.signing import revealed

POLL_S = 5.0
BATCH_MAX = 500
SCOPE = "developer.webhooks_journal.read"

_KINDS = {
    "0-1": "contact",
    "0-2": "company",
    "0-3": "deal",
    "0-5": "ticket",
    "0-7": "product",
    "0-8": "line_item",
}
_VERBS = {
    "CREATE": "creation",
    "UPDATE": "propertyChange",
    "DELETE": "deletion",
    "GDPR_DELETE": "privacyDeletion",
    "MERGE": "merge",
    "RESTORE": "restore",
    "ASSOCIATION_ADDED": "associationChange",
    "ASSOCIATION_REMOVED": "associationChange",
}
"""The words of the journal, and those a webhook uses for the same."""


class HubspotJournalConfig(HubspotConfig):
    client_id: SecretStr = Field(
        default=SecretStr(""), description="Client id of the app; the journal is read with it"
    )
    portal_id: int | None = Field(
        default=None, description="Account whose events are read; all the app's, if not given"
    )
    api_url: str = Field(
        default="https://api.hubapi.com",
        pattern=r"^https?://",
        description="Where the journal is read",
    )
    journal_version: str = Field(
        default="2026-03", pattern=r"^[\w-]+$", description="Version of the journal's API"
    )


class HubspotAdapter(Adapter[HubspotJournalConfig]):
    """One app. It only listens; what it emits is read by ``HubspotReceiver.parse``."""

    def connect(self) -> Http:
        c = self.config
        oauth = OAuth2(
            f"{c.api_url}/oauth/v1/token",
            client_id=c.client_id.get_secret_value(),
            client_secret=revealed(c.client_secrets)[0],
            scope=SCOPE,
            in_body=True,
        )
        base = f"{c.api_url}/webhooks-journal/journal/{c.journal_version}"
        return Http(base, auth=TokenAuth(self.tokens, oauth.renew))

    def check(self) -> None:
        if self.config.client_id.get_secret_value():  # who takes webhooks only has nothing to try
            self._entry(None)

    def listen(self, emit: Emit) -> None:
        if not self.config.client_id.get_secret_value():
            raise ConfigError("the journal needs the app's client_id", hint="Set client_id.")
        while True:
            entry = self._entry(emit.cursor)
            if entry is None or entry["currentOffset"] == emit.cursor:
                emit()
                emit.rest(POLL_S)
                continue
            *first, last = self._batches(entry)
            for items in first:
                emit(*items)
            emit(*last, cursor=entry["currentOffset"])

    def _entry(self, cursor: str | None) -> Raw | None:
        """The next entry, or the earliest; None when there is none yet.

        Raises:
            CursorExpiredError: HubSpot no longer knows the offset.
        """
        path = f"/offset/{quote(cursor, safe='')}/next" if cursor else "/earliest"
        portal = self.config.portal_id
        try:
            told: Raw | None = self.http.get(path, params={"installPortalId": portal})
        except RejectedError as exc:
            if cursor:
                raise CursorExpiredError(
                    "HubSpot's journal no longer knows where we were",
                    hint="What is older than three days is lost to the journal; pull it.",
                ) from exc
            raise ConfigError(
                "HubSpot has no journal for this app",
                hint="Subscribe the app to events by API, and check journal_version and portal_id.",
            ) from exc
        return told or None

    def _batches(self, entry: Raw) -> list[list[Item]]:
        """The events of an entry's file, in parts that fit a transaction; at least one."""
        try:
            events = self.http.get(entry["url"])["journalEvents"]
        except AuthError as exc:  # of the signed address, not of the app
            raise RetryableError("the address of a journal file has expired") from exc
        items = list(_items(entry["currentOffset"], events))
        return [items[n : n + BATCH_MAX] for n in range(0, len(items), BATCH_MAX)] or [[]]


def _items(offset: str, events: list[Raw]) -> Iterator[Item]:
    """The items of a file, written as webhooks tell them; read again, they have the same ids."""
    for number, event in enumerate(events):
        kind = _KINDS.get(str(event.get("objectTypeId", event.get("fromObjectTypeId"))), "object")
        action = str(event.get("action", ""))
        type_ = f"{kind}.{_VERBS.get(action, action.lower())}"
        body: dict[str, Any] = {**event, "subscriptionType": type_}
        of = event.get("objectId", event.get("fromObjectId"))
        yield Item(
            json.dumps(body, ensure_ascii=False).encode(),
            event_id=f"journal/{offset}/{number}",
            order_key=f"{kind}/{of}" if of is not None else None,
            type=type_,
        )
