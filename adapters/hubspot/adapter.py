"""HubSpot: pull and write contacts, companies, deals, tickets and notes; listen to the journal.

A row is an object as HubSpot gives it. Added are ``associations`` (the main one first), to deals
and tickets ``stage``, the words of their pipeline's stage, to deals a currency they do not name.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property, partial

from adapters.hubspot.config import HubspotConfig
from adapters.hubspot.crm import ANSWERS, CAP, Crm, refused
from adapters.hubspot.journal import Journal
from adapters.hubspot.objects import SCOPES, STREAMS, modified
from hub.sdk import (
    Adapter,
    Change,
    ConfigError,
    Emit,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Stream,
    Survey,
    instant,
    scan,
    sweep,
)
from hub.sdk.auth import OAuth2, TokenAuth
from hub.sdk.signing import revealed


class HubspotAdapter(Adapter[HubspotConfig]):
    """One account, or one app whose journal is read."""

    looks_up = True
    streams = STREAMS

    def reads(self, stream: Stream) -> bool:
        return self.config.calls

    def connect(self) -> Http:
        c = self.config
        if not c.calls:
            raise ConfigError("nothing can be asked without access_token", hint="Set it.")
        headers, auth = {}, None
        if token := c.access_token.get_secret_value():
            headers = {"Authorization": f"Bearer {token}"}
        else:
            auth = TokenAuth(self.tokens, self.oauth().renew)
        return Http(
            c.api_url,
            auth=auth,
            headers=headers,
            raise_for_body=ANSWERS,
            raise_for_refusal=refused,
        )

    def oauth(self) -> OAuth2:
        c = self.config
        id_, secrets = c.client_id.get_secret_value(), revealed(c.client_secrets)
        if not (id_ and secrets):
            hint = "Set client_id and client_secrets."
            raise ConfigError("nobody can sign in without the app's id and secret", hint=hint)
        return OAuth2(
            f"{c.api_url}/oauth/v1/token",
            client_id=id_,
            client_secret=secrets[0],
            authorize_url=c.authorize_url,
            scope=SCOPES,
            in_body=True,
        )

    @cached_property
    def crm(self) -> Crm:
        return Crm(self.http, self.config)

    @cached_property
    def journal(self) -> Journal:
        journal = Journal(self.config)
        journal.http.pace = self.pace
        return journal

    def close(self) -> None:
        super().close()
        if "journal" in self.__dict__:
            self.journal.http.close()

    def check(self) -> None:
        if self.config.calls:
            for stream in STREAMS:
                self.crm.readable(stream.name)
        elif self.config.client_id.get_secret_value():
            self.journal.entry(None)  # who takes webhooks only has nothing to try

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        yield from scan(
            partial(self.crm.changed, stream.name),
            cursor,
            now=self.http.now,
            since=self.config.backfill_from,
            overlap_s=stream.overlap_s,
            stamp=lambda row: _changed_at(row, modified(stream.name)),
            cap=CAP,
        )

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        yield from sweep(partial(self.crm.existing, stream.name), cursor)

    def fetch(self, ref: RecordRef) -> Raw | None:
        # The id of an object that was merged into another gives that one: it is gone itself.
        return next((r for r in self.crm.read(ref.stream, [ref.id]) if r["id"] == ref.id), None)

    def find(self, stream: Stream, values: Raw) -> list[Raw]:
        return self.crm.having(stream.name, values.get("properties", {}))

    def push(self, stream: Stream, change: Change) -> Receipt:
        marker = change.marker or change.key
        if change.id is None and stream.name == "notes":
            return Receipt(self.crm.note(change.values, marker))
        if change.id is None:
            return Receipt(self.crm.create(stream.name, change.values, marker))
        if stream.name == "notes":
            raise RejectedError("a note is written once, not changed")
        self.crm.update(stream.name, change)
        return Receipt(change.id)

    def listen(self, emit: Emit) -> None:
        self.journal.listen(emit)


def _changed_at(row: Raw, name: str) -> datetime:
    told = instant(row["properties"].get(name) or row["updatedAt"])
    return told or datetime.min.replace(tzinfo=UTC)
