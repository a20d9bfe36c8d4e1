"""Salesforce: contacts, accounts, leads, cases, comments, opportunities and orders; most written.

A row is a record as a query returns it, deleted ones included (``IsDeleted``); a row of the Bulk
API is brought into the same shape. Added is ``CurrencyIsoCode`` where an org has one currency.

Source: https://developer.salesforce.com/docs/platform/api-rest/guide (67.0, checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property, partial

from adapters.salesforce import signing, soql
from adapters.salesforce.bulk import Job, poll
from adapters.salesforce.config import SalesforceConfig
from adapters.salesforce.org import Org, Usage, refused
from hub.sdk import (
    Adapter,
    AuthError,
    Change,
    ConfigError,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    Stream,
    Survey,
    Window,
    instant,
    scan,
    sweep,
)
from hub.sdk.auth import TokenAuth

FOUND_MAX = 50


class SalesforceAdapter(Adapter[SalesforceConfig]):
    """One org."""

    looks_up = True
    streams = (
        Stream("contacts", writable=True),
        Stream("accounts", writable=True),
        Stream("leads", writable=True),
        Stream("cases", writable=True),
        Stream("comments", writable=True),
        Stream("opportunities"),
        Stream("orders"),
    )

    def reads(self, stream: Stream) -> bool:
        return self.config.calls

    def connect(self) -> Http:
        c = self.config
        if not c.calls:
            raise ConfigError("nothing can be asked without client_id", hint="Set client_id.")
        auth = TokenAuth(self.tokens, signing.oauth(c).renew)
        auth.allow(c.allow_networks)  # asked at once: only the answer says where the org is
        where = auth.current().told.get("instance_url") or c.url
        base = f"{where}/services/data/v{c.api_version}"
        return Http(base, auth=auth, raise_for_refusal=refused, heard=self._usage.hear)

    @cached_property
    def _usage(self) -> Usage:
        return Usage()

    @cached_property
    def org(self) -> Org:
        return Org(self.http, self.config, self._usage)

    def check(self) -> None:
        if not self.config.calls:
            return  # who takes messages only has nothing to try
        told = self.http.get("/sobjects")["sobjects"]
        known = {one["name"] for one in told if one["queryable"]}
        if missing := [name for name in soql.OBJECTS.values() if name not in known]:
            raise AuthError(
                f"the user of the hub cannot read {', '.join(missing)}",
                hint="Give it a permission set with read access to these objects.",
            )

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        since, told = self.config.backfill_from, json.loads(cursor) if cursor else {}
        if "job" in told or (self.config.bulk and cursor is None):
            for job, rows in self._bulk(stream, soql.changed_since(since, soql.Place()), told):
                if job.done:  # what changed since the job began is scanned then
                    began = instant(job.began) or self.http.now()
                    told = {"after": (began - timedelta(seconds=stream.overlap_s)).isoformat()}
                yield Page(rows, json.dumps(told if job.done else job._asdict()))
        if "after" in told:
            since, cursor = instant(told["after"]), None
        yield from scan(
            lambda at, position: self.org.changed(stream.name, "", at, position),
            cursor,
            now=self.http.now,
            since=since,
            overlap_s=stream.overlap_s,
        )

    def history(self, stream: Stream, window: Window, cursor: str | None) -> Iterator[Page]:
        where, told = soql.within(window), json.loads(cursor) if cursor else {}
        if "job" in told or (self.config.bulk and cursor is None):
            for job, rows in self._bulk(stream, where, told):
                yield Page(rows, json.dumps(job._asdict()))
            return
        position: str | None = told.get("position", "")
        while position is not None:
            rows, position = self.org.changed(stream.name, where, None, position)
            yield Page(rows, json.dumps({"position": position}))

    def _bulk(self, stream: Stream, where: str, told: Raw) -> Iterator[tuple[Job, list[Raw]]]:
        def text() -> str:
            return soql.select(stream.name, self.org.fields(stream.name), where)

        for job, rows in poll(self.http, text, Job(**told), self.config.bulk_rows):
            yield job, self.org.whole(rows)

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        yield from sweep(partial(self.org.existing, stream.name), cursor)

    def fetch(self, ref: RecordRef) -> Raw | None:
        return next(iter(self.org.rows(ref.stream, f"Id = {soql.quoted(ref.id)}")), None)

    def find(self, stream: Stream, values: Raw) -> list[Raw]:
        anyone = soql.any_of(values)
        return self.org.rows(stream.name, anyone, limit=FOUND_MAX) if anyone else []

    def push(self, stream: Stream, change: Change) -> Receipt:
        if stream.name == "comments":
            return Receipt(self.org.comment(change))
        person = stream.name in ("contacts", "leads")
        values = soql.named(change.values) if person else dict(change.values)
        if change.id is None:
            return Receipt(self.org.create(stream.name, values, change.marker or change.key))
        self.org.update(stream.name, change.id, values, change.version)
        return Receipt(change.id)
