"""One org through its REST interface: rows by SOQL, records written by their own id or by ours.

Source: https://developer.salesforce.com/docs/platform/api-rest/guide (67.0, checked 2026-11)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from adapters.salesforce import soql
from adapters.salesforce.config import SalesforceConfig
from hub.sdk import (
    Answers,
    Change,
    Http,
    PacedError,
    Raw,
    RejectedError,
    RetryableError,
    Sighting,
    at,
)

ANSWERS = Answers(
    code="[0].errorCode",
    fine=(),
    auth=("INVALID_SESSION_ID", "API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED"),
    busy=("UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "REQUEST_RUNNING_TOO_LONG"),
    conflict=("DUPLICATE_VALUE", "DUPLICATES_DETECTED"),
    words="[0].message",
)
SPENT = ("REQUEST_LIMIT_EXCEEDED", "TXN_SECURITY_METERING_ERROR")
REST_S = 900.0
_USAGE = re.compile(r"api-usage=(\d+)/(\d+)")  # ";per-app-api-usage=…" may follow
SURVEYED = 2000
"""Rows of a survey's page; they are short."""

NO_COMPANY = "[Not provided]"


def refused(status: int, body: Any) -> None:
    """Says better than the status what is to be done: 403 is also how calls that ran out are told.

    Raises:
        AuthError, RetryableError, ConflictError, RejectedError: as the code in the answer says.
    """
    code = at("[0].errorCode", body)
    if code in SPENT:
        words = "the org has no calls left in these 24 hours"
        raise RetryableError(words, hint=str(code), retry_after_s=REST_S, maybe_done=False)
    if status < 500 and status not in (401, 412, 429):  # these say it themselves
        ANSWERS(body)


class Usage:
    """How much of the org's calls of the last 24 hours is used up, by all who call it."""

    share = 0.0

    def hear(self, headers: Mapping[str, str]) -> None:
        """Take note of what an answer says of it."""
        if found := _USAGE.search(headers.get("Sforce-Limit-Info", "")):
            self.share = int(found[1]) / max(1, int(found[2]))


class Org:
    """What is read and written, by stream."""

    def __init__(self, http: Http, config: SalesforceConfig, usage: Usage) -> None:
        self._http, self._config, self._usage = http, config, usage
        self._host = http.base.partition("/services/")[0]
        self._fields: dict[str, list[str]] = {}
        self._rests_until: datetime | None = None

    def fields(self, stream: str) -> list[str]:
        """What can be read of its records."""
        if stream not in self._fields:
            described = self._http.get(f"/sobjects/{soql.OBJECTS[stream]}/describe")
            more = self._config.more_fields.get(stream, ())
            self._fields[stream] = soql.readable(stream, more, described)
        return self._fields[stream]

    def spare(self) -> None:
        """Return while there are calls enough for people and for what is urgent.

        After a rest one call goes through: only its answer says how it is now.

        Raises:
            PacedError: a pull has to rest.
        """
        now, until = self._http.now(), self._rests_until
        if self._usage.share < self._config.api_share or (until and now >= until):
            self._rests_until = None
        else:
            self._rests_until = until or now + timedelta(seconds=REST_S)
            told = f"{self._usage.share:.0%} of the org's calls of 24 hours are used up"
            raise PacedError(told, retry_after_s=REST_S)

    def query(self, text: str, *, deleted: bool = False) -> list[Raw]:
        """Every row of a query, however many answers they come in."""
        verb = "/queryAll" if deleted else "/query"
        body = self._http.get(verb, params={"q": text})
        rows: list[Raw] = body["records"]
        while not body["done"]:
            body = self._http.get(f"{self._host}{body['nextRecordsUrl']}")
            rows += body["records"]
        return rows

    def rows(self, stream: str, *conditions: str, order: str = "", limit: int = 0) -> list[Raw]:
        """Rows of a stream that exist."""
        text = soql.select(stream, self.fields(stream), *conditions, order=order, limit=limit)
        return self.whole(self.query(text))

    def changed(
        self, stream: str, where: str, since: datetime | None, position: str
    ) -> tuple[list[Raw], str | None]:
        """A page of rows changed at or after that instant, deleted ones too; the next position."""
        self.spare()
        size, behind = self._config.page_size, soql.Place(*position.split(" ")) if position else ()
        met = soql.changed_since(since, soql.Place(*behind)), where
        order = "SystemModstamp, Id"
        text = soql.select(stream, self.fields(stream), *met, order=order, limit=size)
        rows = self.query(text, deleted=True)
        more = len(rows) == size
        return self.whole(rows), " ".join(soql.Place.of(rows[-1])) if more else None

    def existing(self, stream: str, after: str | None) -> tuple[list[Sighting], str | None]:
        """A page of what exists, by id; where the next one begins, None = that was all."""
        self.spare()
        since = soql.changed_since(self._config.backfill_from, soql.Place())
        behind = f"Id > {soql.quoted(after)}" if after else ""
        fields = ["Id", "SystemModstamp"]
        text = soql.select(stream, fields, since, behind, order="Id", limit=SURVEYED)
        seen = [Sighting(row["Id"], soql.version(row)) for row in self.query(text)]
        return seen, seen[-1].id if len(seen) == SURVEYED else None

    def whole(self, rows: list[Raw]) -> list[Raw]:
        """The rows, each with the currency of its amounts."""
        return [{"CurrencyIsoCode": self._config.currency} | row for row in rows]

    def made(self, stream: str, marker: str) -> str | None:
        """The id of the record that bears our marker."""
        where = f"{self._config.external_id_field} = {soql.quoted(marker)}"
        found = self.query(soql.select(stream, ["Id"], where, limit=1))
        return str(found[0]["Id"]) if found else None

    def create(self, stream: str, values: Raw, marker: str) -> str:
        """The record made under this marker, now or earlier."""
        if id_ := self.made(stream, marker):
            return id_
        if stream == "leads":
            values = {"Company": NO_COMPANY} | values
        field, key = self._config.external_id_field, quote(marker, safe="")
        path = f"/sobjects/{soql.OBJECTS[stream]}/{field}/{key}"
        # An upsert: should a first try have been done after all, this is it once more.
        return str(self._http.json("PATCH", path, json=values, repeatable=True)["id"])

    def update(self, stream: str, id_: str, values: Raw, version: str) -> None:
        """Set values, unless somebody was faster (412)."""
        headers = {"If-Unmodified-Since": soql.http_date(version)} if version else {}
        path = f"/sobjects/{soql.OBJECTS[stream]}/{quote(id_, safe='')}"
        self._http.json("PATCH", path, json=values, headers=headers)

    def comment(self, change: Change) -> str:
        """The comment made under this key; it has no field for it, so its text ends with it."""
        values, marker = dict(change.values), change.marker or change.key
        case = values.get("ParentId")
        if change.id or not case:
            raise RejectedError("a comment can be added to a case, not changed, not made alone")
        ours = f"[{marker}]"
        where = f"ParentId = {soql.quoted(case)}"
        there = self.query(soql.select("comments", ["Id", "CommentBody"], where))
        for one in there:
            if str(one["CommentBody"] or "").endswith(ours):
                return str(one["Id"])
        values["CommentBody"] = f"{values.get('CommentBody') or ''}\n\n{ours}".strip()
        return str(self._http.json("POST", "/sobjects/CaseComment", json=values)["id"])
