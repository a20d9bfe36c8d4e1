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

from adapters.hubspot.config import HubspotConfig
from adapters.hubspot.objects import KINDS
from hub.sdk import (
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
from hub.sdk.auth import MemoryTokens, OAuth2, TokenAuth
from hub.sdk.signing import revealed

POLL_S = 5.0
BATCH_MAX = 500
SCOPE = "developer.webhooks_journal.read"

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


class Journal:
    """The journal of one app; what it emits is read by ``HubspotReceiver.parse``."""

    def __init__(self, config: HubspotConfig) -> None:
        id_, secrets = config.client_id.get_secret_value(), revealed(config.client_secrets)
        if not (id_ and secrets):
            raise ConfigError(
                "the journal needs the app's client_id",
                hint="Set client_id and client_secrets.",
            )
        url = f"{config.api_url}/oauth/v1/token"
        oauth = OAuth2(url, id_, secrets[0], scope=SCOPE, in_body=True)
        base = f"{config.api_url}/webhooks-journal/journal/{config.journal_version}"
        # The app's own token, beside that of an account which the connection's store may hold.
        self.http = Http(base, auth=TokenAuth(MemoryTokens(), oauth.renew))
        self.http.allow(config.allow_networks)
        self._portal = config.portal_id

    def listen(self, emit: Emit) -> None:
        """Emit what there is, entry by entry, and ask for news until it is time to end."""
        while True:
            entry = self.entry(emit.cursor)
            if entry is None or entry["currentOffset"] == emit.cursor:
                emit()
                emit.rest(POLL_S)
                continue
            *first, last = self._batches(entry)
            for items in first:
                emit(*items)
            emit(*last, cursor=entry["currentOffset"])

    def entry(self, cursor: str | None) -> Raw | None:
        """The next entry, or the earliest; None when there is none yet.

        Raises:
            CursorExpiredError: HubSpot no longer knows the offset.
        """
        path = f"/offset/{quote(cursor, safe='')}/next" if cursor else "/earliest"
        try:
            told: Raw | None = self.http.get(path, params={"installPortalId": self._portal})
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
        kind = KINDS.get(str(event.get("objectTypeId", event.get("fromObjectTypeId"))), "object")
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
