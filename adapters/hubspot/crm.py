"""The objects of one account: found, read with what they are linked to, and written.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm (checked 2026-11)
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from adapters.hubspot.config import HubspotConfig
from adapters.hubspot.objects import FIRST, FOUND_BY, LINKED, NOTE_TO, PROPERTIES, STAGED, modified
from hub.sdk import (
    Answers,
    Change,
    ConflictError,
    Http,
    Raw,
    RejectedError,
    RetryableError,
    Sighting,
    instant,
    parted,
    written,
)

CAP = 10_000
"""A search gives no more than so many of its results."""

WHOLE_NAME = "fullname"
NOTES_MAX = 100
DAILY_REST_S = 3600.0
VERSION = "%Y-%m-%dT%H:%M:%S.%fZ"

_FAULT = "errors[?category != 'OBJECT_NOT_FOUND'] | [0]"
"""Of many things asked for some may not be there; what else is wrong may stand behind that."""

ANSWERS = Answers(
    code=f"{_FAULT}.category",
    fine=(),
    conflict=("CONFLICT",),
    busy=("RATE_LIMITS",),
    words=f"{_FAULT}.message",
)
"""Of answers with status 207."""


def refused(status: int, body: Any) -> None:
    """Says more than 429 and 423 do.

    Raises:
        RetryableError: the calls of the day ran out; the record is locked for a moment.
    """
    if status == 423:
        raise RetryableError("HubSpot has locked the record for a moment", maybe_done=False)
    if status == 429 and isinstance(body, dict) and "DAILY" in str(body.get("policyName", "")):
        words = "the account has no calls left today"
        raise RetryableError(words, retry_after_s=DAILY_REST_S, maybe_done=False)


class Crm:
    """What is read and written, by stream."""

    def __init__(self, http: Http, config: HubspotConfig) -> None:
        self._http, self._config = http, config
        self._stages: dict[str, dict[str, Raw]] = {}

    def readable(self, stream: str) -> None:
        """Return when the token may read these objects."""
        self._http.get(self._path(stream), params={"limit": 1})

    def changed(
        self, stream: str, since: datetime | None, position: str
    ) -> tuple[list[Raw], str | None]:
        """A page of what was changed at or after that instant, oldest first."""
        name = modified(stream)
        value = written(since, "ms") if since else ""
        filters = [{"propertyName": name, "operator": "GTE", "value": value}] if since else []
        return self._search(
            stream,
            [{"filters": filters}] if filters else [],
            sorts=[{"propertyName": name, "direction": "ASCENDING"}],
            limit=self._config.page_size,
            **({"after": position} if position else {}),
        )

    def having(self, stream: str, values: Mapping[str, Any]) -> list[Raw]:
        """Objects that have one of these values."""
        told = {name: values.get(name) for name in FOUND_BY.get(stream, ())}
        groups = [
            {"filters": [{"propertyName": name, "operator": "EQ", "value": value}]}
            for name, value in told.items()
            if value
        ]
        return self._search(stream, groups, limit=self._config.page_size)[0] if groups else []

    def existing(self, stream: str, after: str | None) -> tuple[list[Sighting], str | None]:
        """A page of what exists; archived objects do not."""
        params = {"limit": self._config.page_size, "properties": modified(stream)}
        more = {"after": after} if after else {}
        body = self._http.get(self._path(stream), params={**params, **more})
        since = self._config.backfill_from
        seen = [(row["id"], instant(row["updatedAt"])) for row in body["results"]]
        found = [
            Sighting(id_, written(at, VERSION) if at else "")
            for id_, at in seen
            if since is None or at is None or at >= since
        ]
        return found, _next(body)

    def read(self, stream: str, ids: Sequence[str], *, by: str = "") -> list[Raw]:
        """These objects, as far as they exist; an id of one that was merged gives the other."""
        return self._whole(stream, self._batch(stream, ids, by))

    def made(self, stream: str, marker: str) -> str | None:
        """The id of the object that bears our marker."""
        found = self._batch(stream, [marker], self._config.marker_property)
        return str(found[0]["id"]) if found else None

    def create(self, stream: str, values: Mapping[str, Any], marker: str) -> str:
        """The object made under this marker, now or earlier, with its links."""
        id_, name = self.made(stream, marker), self._config.marker_property
        if id_ is None:
            given = _named(values.get("properties", {}))
            first = {} if STAGED.get(stream) in given else FIRST.get(stream, {})
            properties = {**first, **given, name: marker}
            one = {"idProperty": name, "id": marker, "properties": properties}
            # An upsert: should a first try have been done after all, this is it once more.
            done = self._http.json(
                "POST",
                f"{self._path(stream)}/batch/upsert",
                json={"inputs": [one]},
                repeatable=True,
            )
            id_ = str(done["results"][0]["id"])
        self.link(stream, id_, values.get("associations") or {})
        return id_

    def update(self, stream: str, change: Change) -> None:
        """Set properties and add links; HubSpot has no locking, so we look before we write.

        Raises:
            ConflictError: it was changed since.
        """
        id_ = str(change.id)
        if change.version:
            row = next(iter(self._batch(stream, [id_], "")), None)
            if row is None:
                raise RejectedError(f"there is no {stream}/{id_} any more")
            now, seen = instant(row["updatedAt"]), instant(change.version)
            if now and seen and now > seen:
                raise ConflictError(f"{stream}/{id_} was changed meanwhile")
        if properties := change.values.get("properties"):
            path = f"{self._path(stream)}/{quote(id_, safe='')}"
            told = {"properties": _named(properties)}
            self._http.json("PATCH", path, json=told, repeatable=True)
        self.link(stream, id_, change.values.get("associations") or {})

    def link(self, stream: str, id_: str, others: Mapping[str, Any]) -> None:
        """Link an object with others, as HubSpot does it by default, where it is not yet."""
        for other, theirs in others.items():
            known = self._links(stream, other, [id_]).get(id_, ()) if theirs else ()
            if theirs and str(theirs) not in [one["id"] for one in known]:
                ends = {"inputs": [{"from": {"id": id_}, "to": {"id": str(theirs)}}]}
                path = f"{self._config.associations_path}/{stream}/{other}/batch/associate/default"
                self._http.json("POST", path, json=ends, repeatable=True)

    def note(self, values: Mapping[str, Any], marker: str) -> str:
        """The note made under this marker, whose text ends with it."""
        others = {name: str(id_) for name, id_ in values.get("associations", {}).items() if id_}
        if not others:
            raise RejectedError("a note belongs to a contact or a ticket")
        name, id_ = next(iter(others.items()))
        ours = f"[{marker}]"
        for row in self._batch("notes", self._notes_of(name, id_), ""):
            if ours in str(row["properties"].get("hs_note_body")):
                return str(row["id"])
        properties = {"hs_timestamp": written(self._http.now()), **values.get("properties", {})}
        text = html.escape(str(properties.get("hs_note_body") or "")).replace("\n", "<br>")
        properties["hs_note_body"] = f"<p>{text}</p><p>{ours}</p>"
        links = [
            {"to": {"id": id_}, "types": [_type(NOTE_TO[name])]} for name, id_ in others.items()
        ]
        body = {"properties": properties, "associations": links}
        return str(self._http.json("POST", self._path("notes"), json=body)["id"])

    def _notes_of(self, stream: str, id_: str) -> list[str]:
        """The newest notes on an object."""
        told = self._links(stream, "notes", [id_]).get(id_, [])
        return sorted((one["id"] for one in told), key=int, reverse=True)[:NOTES_MAX]

    def _path(self, stream: str) -> str:
        return f"{self._config.objects_path}/{stream}"

    def _properties(self, stream: str) -> list[str]:
        return [*PROPERTIES[stream].split(), *self._config.more_properties.get(stream, ())]

    def _search(self, stream: str, groups: list[Raw], **more: Any) -> tuple[list[Raw], str | None]:
        asked = {"filterGroups": groups, "properties": self._properties(stream), **more}
        path = f"{self._path(stream)}/search"
        body = self._http.json("POST", path, json=asked, repeatable=True)
        return self._whole(stream, body["results"]), _next(body)

    def _batch(self, stream: str, ids: Sequence[str], by: str) -> list[Raw]:
        if not ids:
            return []
        asked: Raw = {
            "inputs": [{"id": id_} for id_ in ids],
            "properties": self._properties(stream),
            **({"idProperty": by} if by else {}),
        }
        path = f"{self._path(stream)}/batch/read"
        rows: list[Raw] = self._http.json("POST", path, json=asked, repeatable=True)["results"]
        return rows

    def _whole(self, stream: str, rows: Sequence[Raw]) -> list[Raw]:
        """The rows with their links, the words of their stage, and a currency."""
        ids = [row["id"] for row in rows]
        links = {other: self._links(stream, other, ids) for other in LINKED[stream]} if ids else {}
        if name := STAGED.get(stream):
            self._know_stages(stream, {str(row["properties"].get(name)) for row in rows})
        return [self._complete(stream, row, links) for row in rows]

    def _complete(self, stream: str, row: Raw, links: Mapping[str, Mapping[str, Any]]) -> Raw:
        found = {other: {"results": told.get(row["id"], [])} for other, told in links.items()}
        added: Raw = {"associations": found} if found else {}
        if name := STAGED.get(stream):
            added["stage"] = self._stages[stream].get(str(row["properties"].get(name)))
        if stream == "deals":
            currency = row["properties"].get("deal_currency_code") or self._config.currency
            added["properties"] = {**row["properties"], "deal_currency_code": currency}
        return {**row, **added}

    def _links(self, stream: str, other: str, ids: Sequence[str]) -> dict[str, list[Raw]]:
        """What these objects are linked to: the main one first; one call for all of them."""
        asked = {"inputs": [{"id": id_} for id_ in ids]}
        path = f"{self._config.associations_path}/{stream}/{other}/batch/read"
        told = self._http.json("POST", path, json=asked, repeatable=True)
        return {str(one["from"]["id"]): list(_linked(one["to"])) for one in told["results"]}

    def _know_stages(self, stream: str, ids: set[str]) -> None:
        """Ask for the stages again where one is new; once for all rows of a page."""
        if not ids <= self._stages.setdefault(stream, {}).keys():
            told = self._http.get(f"/crm/v3/pipelines/{stream}")["results"]
            self._stages[stream] = {s["id"]: s for pipeline in told for s in pipeline["stages"]}


def _named(properties: Mapping[str, Any]) -> Raw:
    """The properties, a person's whole name in the two parts HubSpot wants; a company has one."""
    rest = dict(properties)
    if WHOLE_NAME not in rest:
        return rest
    given, family = parted(rest.pop(WHOLE_NAME) or "")
    return {**rest, "firstname": given, "lastname": family}


def _linked(told: Sequence[Raw]) -> Iterator[Raw]:
    def rank(one: Raw) -> bool:
        return not any(type_.get("label") == "Primary" for type_ in one["associationTypes"])

    for one in sorted(told, key=rank):
        yield {"id": str(one["toObjectId"])}


def _type(id_: int) -> Raw:
    return {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": id_}


def _next(body: Raw) -> str | None:
    after = ((body.get("paging") or {}).get("next") or {}).get("after")
    return str(after) if after else None
