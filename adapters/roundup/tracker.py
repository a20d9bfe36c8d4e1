"""What is said to a tracker: lists, changes since, and writes that can be repeated.

Source: https://www.roundup-tracker.org/docs/rest.html and a 2.6.0 tracker (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hub.sdk import ConflictError, Http, Raw
from hub.sdk.signing import body_hash

FIELDS = {
    "issue": "title,status,priority,assignedto,nosy,keyword,superseder,messages,creator,creation,"
    "activity",
    "msg": "author,content,date,creation,activity,recipients,messageid,inreplyto,files",
    "user": "username,realname,address,alternate_addresses,phone,organisation,roles,creation,"
    "activity",
}


SURVEYED = {"issue": "activity", "msg": "activity", "user": "activity,username,roles"}
"""What tells that an item exists, in which version, and whether it belongs to a stream."""


class Tracker:
    """The REST interface of one tracker."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def items(self, class_: str, params: Mapping[str, str | int]) -> list[Raw]:
        """The items that fit, with the names of what they link to."""
        asked = {"@fields": FIELDS[class_], "@verbose": 3, **params}
        found: list[Raw] = self._http.get(f"/{class_}", params=asked)["data"]["collection"]
        return found

    def with_any(self, class_: str, property_: str, ids: Sequence[str]) -> list[Raw]:
        """The items with any of these ids there; asked in pieces, as an address has its limit."""
        pieces = [ids[start : start + 100] for start in range(0, len(ids), 100)]
        return [row for some in pieces for row in self.items(class_, {property_: ",".join(some)})]

    def changed(
        self, class_: str, since: datetime | None, position: str, size: int, *, fields: str = ""
    ) -> tuple[list[Raw], str | None]:
        """The items behind ``position`` in the order of activity, and the position behind them."""
        activity, _, id_ = position.partition(" ")
        behind = (activity, int(id_ or 0))
        begin = activity or (f"{since.astimezone(UTC):%Y-%m-%d.%H:%M:%S}" if since else "")
        # Without the zone the tracker would read the time in that of the hub's own account.
        params = {"@sort": "activity,id", **({"activity": f"{begin}+0000;"} if begin else {})}
        params |= {"@fields": fields or FIELDS[class_]}
        while True:
            rows = self.items(class_, {**params, "@page_size": size})
            fresh = [row for row in rows if (row["activity"], int(row["id"])) > behind]
            if len(rows) < size:
                return fresh, None
            if fresh:
                return fresh, f"{fresh[-1]['activity']} {fresh[-1]['id']}"
            size *= 2  # more changes within one second than fit a page

    def create(self, class_: str, values: Mapping[str, Any]) -> str:
        """The id of a new item."""
        given = {name: value for name, value in values.items() if value is not None}
        return str(self._http.json("POST", f"/{class_}", json=given)["data"]["id"])

    def message(self, values: Mapping[str, Any], key: str) -> str:
        """The message made under this key, now or earlier: its ``messageid`` is made of the key."""
        marker = f"<{body_hash(key.encode())[:32]}@conduit>"
        found = self.items("msg", {"messageid:": marker})
        return found[0]["id"] if found else self.create("msg", {**values, "messageid": marker})

    def change_issue(
        self, id_: str, values: Mapping[str, Any], *, message: str = "", version: str = ""
    ) -> None:
        """Set values, and add to the nosy list and to the messages; nothing when all is so.

        Raises:
            ConflictError: it is newer than ``version``, or was changed in this moment.
        """
        item = self._item("issue", id_, "nosy,messages,activity", version)
        now = item["attributes"]
        added = {"nosy": values.get("nosy"), "messages": message}
        wanted = {name: value for name, value in values.items() if name != "nosy"}
        for name, id_added in added.items():
            known = [one["id"] for one in now[name]]
            if id_added and id_added not in known:
                wanted[name] = [*known, id_added]
        self._patch("issue", item, wanted)

    def change_user(self, id_: str, values: Mapping[str, Any], *, version: str = "") -> None:
        """Set values.

        Raises:
            ConflictError: it is newer than ``version``, or was changed in this moment.
        """
        self._patch("user", self._item("user", id_, "activity", version), values)

    def _item(self, class_: str, id_: str, fields: str, version: str) -> Raw:
        asked = {"@fields": fields}
        item: Raw = self._http.get(f"/{class_}/{id_}", params=asked)["data"]
        if version and item["attributes"]["activity"] > version:
            raise ConflictError(f"{class_} {id_} was changed meanwhile")
        return item

    def _patch(self, class_: str, item: Raw, values: Mapping[str, Any]) -> None:
        if values:
            headers = {"If-Match": item["@etag"]}  # 412 when somebody was faster
            self._http.json("PATCH", f"/{class_}/{item['id']}", json=values, headers=headers)
