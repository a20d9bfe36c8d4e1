"""What is asked of and told to the CRM of 纷享销客.

Source: https://developer.fxiaoke.com/openapi_v2/ (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

from adapters.fxiaoke.config import FxiaokeConfig
from hub.sdk import Answers, AuthError, Http, Outgoing, Raw, RemoteError, at, written
from hub.sdk.auth import Carry, Tokens

ANSWERS = Answers(
    code="errorCode",
    auth=(
        "20005", "20016", "20017",  # the token
        "10006", "11001", "11002", "11013", "20006", "20015",  # the app
        "15003", "20020", "20021", "20022", "30003",  # what it may do
    ),
    busy=("-1", "-2", "14001", "30002", "30004", "50009"),
    words="errorDescription || errorMessage",
    hints={
        "30002": "The calls bought for today are used up; Fxiaoke counts anew at midnight.",
        "30003": "No calls to the OpenAPI are bought: the company has to order a pack.",
        "20021": "The app is disabled in this company: enable it in the administration.",
    },
)  # fmt: skip

OBJECTS = {
    "accounts": "AccountObj",
    "contacts": "ContactObj",
    "leads": "LeadsObj",
    "opportunities": "NewOpportunityObj",
    "products": "ProductObj",
    "orders": "SalesOrderObj",
    "cases": "CasesObj",
}

PRESET, CUSTOM = "/cgi/crm/v2/data/", "/cgi/crm/custom/v2/data/"
"""Objects of the company's own end in ``__c`` and have an address of their own."""

ROWS = "data.dataList || dataList || (data._id && [data]) || `[]`"
"""The documentation shows all three."""

TOKENS: Mapping[str, tuple[str, Mapping[str, str], str]] = {
    "header": ("/oauth2.0/token", {"grantType": "app_secret"}, "accessToken"),
    "body": ("/cgi/corpAccessToken/get/V2", {}, "corpAccessToken"),
}
"""By style: where a token is had, with what, and what it is called."""

TRACE, VERSION = "thirdTraceId", "last_modified_time"
NEEDED = ("_id", VERSION, "life_status", "is_deleted")
"""Fields that are read whatever else is: what a record is, how new, and whether it is there."""
GONE = "invalid"
"""``life_status`` of a record that was voided."""


class Crm:
    """The CRM of one company."""

    def __init__(self, http: Http, config: FxiaokeConfig) -> None:
        self._http, self._config = http, config

    def changed(
        self, stream: str, since: datetime | None, last: str, *, fields: tuple[str, ...] = ()
    ) -> tuple[list[Raw], str | None]:
        """Records behind this id that were changed since, and the last one's id; None = all."""
        tests = [_test("_id", "GT", last)] if last else []
        if since:
            tests.append(_test(VERSION, "GTE", written(since, "ms")))
        rows, size = self._query(stream, tests, fields), self._config.page_size
        ids = [str(row["_id"]) for row in rows]
        if ids != sorted(ids) or (last and ids and ids[0] <= last):
            raise RemoteError("Fxiaoke gives records in another order than by id; some were lost")
        return rows, ids[-1] if len(rows) >= size else None

    def having(self, stream: str, name: str, value: str) -> list[Raw]:
        """Records with this value in that field, whatever else comes; voided ones left out."""
        rows = self._query(stream, [_test(name, "EQ", value)], ())
        return [row for row in rows if row.get(name) == value and not is_gone(row)]

    def one(self, stream: str, id_: str) -> Raw | None:
        """A record; None when there is none, or none any more."""
        return next(iter(self.having(stream, "_id", id_)), None)

    def create(self, stream: str, values: Mapping[str, Any]) -> str:
        """The id of a new record."""
        said = self._save(stream, "create", values)
        if id_ := at("dataId || data.dataId || data._id", said):
            return str(id_)
        raise RemoteError(f"Fxiaoke made one of {stream} and does not tell its id")

    def update(self, stream: str, id_: str, values: Mapping[str, Any]) -> None:
        """Set these fields of a record."""
        self._save(stream, "update", {"_id": id_, **values})

    def object_of(self, stream: str) -> str:
        """What the object of a stream is called here."""
        return self._config.objects.get(stream, OBJECTS[stream])

    def _query(self, stream: str, tests: list[Raw], fields: tuple[str, ...]) -> list[Raw]:
        wanted = fields or self._config.fields.get(stream, ())
        search = {
            "limit": self._config.page_size,
            "offset": 0,
            "filters": tests,
            "orders": [{"fieldName": "_id", "isAsc": True}],
            **({"fieldProjection": list(dict.fromkeys([*NEEDED, *wanted]))} if wanted else {}),
        }
        asked = {
            "dataObjectApiName": self.object_of(stream),
            "find_explicit_total_num": False,
            "search_query_info": search,
        }
        body = {"returnTotalNum": 3, "data": asked}
        rows: list[Raw] = at(ROWS, self._call(stream, "query", body, reads=True))
        return rows

    def _save(self, stream: str, verb: str, values: Mapping[str, Any]) -> Any:
        flows = self._config.trigger_flows
        told = {"dataObjectApiName": self.object_of(stream), **values}
        body = {
            "triggerApprovalFlow": flows,
            "triggerWorkFlow": flows,
            "data": {"object_data": told},
        }
        return self._call(stream, verb, body, reads=False)

    def _call(self, stream: str, verb: str, body: Raw, *, reads: bool) -> Any:
        place = CUSTOM if self.object_of(stream).endswith("__c") else PRESET
        return self._http.json("POST", place + verb, json=body, repeatable=reads)


def is_gone(row: Raw) -> bool:
    """Whether a record was voided."""
    deleted = str(row.get("is_deleted")).lower() == "true"
    return deleted or row.get("life_status") == GONE


def fetch_token(config: FxiaokeConfig) -> Callable[[Http, Tokens | None], Tokens]:
    """How a token is had. Within its first 6600 seconds Fxiaoke gives the same one again."""
    path, more, name = TOKENS[config.style]

    def fetch(http: Http, _: Tokens | None) -> Tokens:
        body = {
            "appId": config.app_id,
            "appSecret": config.app_secret.get_secret_value(),
            "permanentCode": config.permanent_code.get_secret_value(),
            **more,
        }
        params = {TRACE: _trace(path.encode(), http.now())}
        told = http.json("POST", config.url + path, json=body, params=params, repeatable=True)
        token = at(name, told)
        if not token:
            raise AuthError("Fxiaoke gives no token", hint="Check app_id and app_secret.")
        company = {"company": at("ea || corpId", told) or ""}
        return Tokens.lasting(str(token), at("expiresIn", told), told=company)

    return fetch


def carry(config: FxiaokeConfig) -> Carry:
    """How a request shows its token, the company, and who acts."""

    def in_headers(tokens: Tokens) -> dict[str, dict[str, str]]:
        company = str(tokens.told.get("company", ""))
        told = {"x-fs-ea": company, "x-fs-userid": config.user_id}
        return {"headers": {"Authorization": f"Bearer {tokens.access}", **told}}

    def in_body(tokens: Tokens) -> dict[str, dict[str, str]]:
        company = str(tokens.told.get("company", ""))
        who = {"corpId": company, "currentOpenUserId": config.user_id}
        return {"json": {"corpAccessToken": tokens.access, **who}}

    return in_headers if config.style == "header" else in_body


def _test(field: str, operator: str, value: str) -> Raw:
    return {"field_name": field, "field_values": [value], "operator": operator}


def traced(request: Outgoing, now: datetime) -> None:
    """Give a request a name of its own, as every one must have."""
    told = request.body if isinstance(request.body, bytes) else str(request.body).encode()
    request.prepare_url(str(request.url), {TRACE: _trace(told, now)})


def _trace(told: bytes, now: datetime) -> str:
    """Of the form of UUID version 4, made of what is asked and when."""
    digest = blake2b(told + now.isoformat().encode(), digest_size=16).digest()
    return str(UUID(bytes=digest, version=4))
