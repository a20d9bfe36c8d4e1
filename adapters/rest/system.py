"""What a system file may say, as models: every key with what it means.

``docs/rest.md`` explains the same keys; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated, Any, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hub.sdk import Answers, zone_of
from hub.sdk.signing import Recipe

_PLAIN = re.compile(r"[\w@-]+(\.[\w@-]+)*")
"""A dotted name, perhaps in Chinese, which JMESPath wants in quotes."""


def is_jmespath(path: str) -> str:
    try:
        jmespath.compile(path or "@")
    except (JMESPathError, ValueError) as exc:
        if _PLAIN.fullmatch(path):
            return ".".join(f'"{part}"' for part in path.split("."))
        raise ValueError(
            f"{path} is no path (JMESPath); put names with other characters in double quotes"
        ) from exc
    return path


def _is_zone(name: str) -> str:
    try:
        zone_of(name or "UTC")
    except (LookupError, ValueError, OSError) as exc:
        raise ValueError(f"{name} is no time zone; write one such as Asia/Shanghai") from exc
    return name


At = Annotated[str, AfterValidator(is_jmespath)]
"""Where something is in decoded JSON."""

Zone = Annotated[str, AfterValidator(_is_zone)]
Table = dict[str, Any]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Act = Literal["row", "ref", "deleted", "ignore"]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Variable(Part):
    """A value that a connection gives, such as an account or an app."""

    description: str = Field(description="What it is, and where one finds it")
    default: str | int | bool | None = Field(
        default=None, description="Taken when the connection does not say; without it, it must"
    )
    example: str = Field(default="", description="One such value")


class Secret(Part):
    """A secret that a connection gives."""

    description: str = Field(description="What it is, and where one finds it")
    optional: bool = Field(default=False, description="A connection may do without it")


class Request(Part):
    """One request."""

    method: Method = Field(default="GET", description="As in HTTP")
    path: str = Field(description="Joined to `base`; or a whole address")
    query: Table = Field(default={}, description="Parameters of the address")
    headers: dict[str, str] = Field(default={}, description="Headers of this request")
    body: Any = Field(default=None, description="The body, sent as JSON")
    form: Table = Field(default={}, description="The body, sent as a form instead")

    def templates(self) -> Iterator[tuple[str, Any]]:
        """Its keys with templates."""
        for name in ("path", "query", "headers", "body", "form"):
            yield name, getattr(self, name)


class About(Part):
    """The system itself."""

    title: str = Field(description="Its name")
    title_zh: str = Field(default="", description="Its name in Chinese")
    docs: str = Field(default="", description="Address of the API's documentation")
    checked: date | None = Field(default=None, description="When that was read last")
    base: str = Field(description="Address that paths are joined to")
    zone: Zone = Field(default="UTC", description="Zone of times that name none, and of `now`")
    headers: dict[str, str] = Field(default={}, description="Sent with every request")
    conflicts: tuple[int, ...] = Field(
        default=(409, 412), description="Statuses that say: there is a newer copy"
    )
    check: Request | None = Field(
        default=None, description="A request that shows whether the credentials are taken"
    )


class NoAuth(Part):
    """Nothing, or only `[sign]`."""

    kind: Literal["none"] = Field(default="none", description="`none`")


class KeyAuth(Part):
    """Keys that go along with every request, wherever the vendor wants them."""

    kind: Literal["key"] = Field(description="`key`")
    headers: dict[str, str] = Field(default={}, description="Headers that hold keys")
    query: dict[str, str] = Field(default={}, description="Parameters that hold keys")
    body: dict[str, str] = Field(default={}, description="Fields of the JSON body that hold keys")


class BasicAuth(Part):
    """User and password (RFC 7617)."""

    kind: Literal["basic"] = Field(description="`basic`")
    user: str = Field(description="The user")
    password: str = Field(description="The password")


class BearerAuth(Part):
    """A token that lasts, as `Authorization: Bearer …`."""

    kind: Literal["bearer"] = Field(description="`bearer`")
    token: str = Field(description="The token")


class OAuthAuth(Part):
    """OAuth2 client credentials; tokens are renewed by themselves."""

    kind: Literal["oauth2"] = Field(description="`oauth2`")
    token_url: str = Field(description="Where tokens are had")
    client_id: str = Field(description="Our id")
    client_secret: str = Field(description="Our secret")
    scope: str = Field(default="", description="What is asked for")
    in_body: bool = Field(default=False, description="Id and secret as form fields, not Basic")


class Step(Request):
    """A request before the log-in itself, such as one for the vendor's public key."""

    keep: dict[str, At] = Field(description="`{kept.NAME}`: where it is in the answer")


class SessionAuth(Part):
    """A log-in that gives a token for a while; it is repeated in time, and once when refused."""

    kind: Literal["session"] = Field(description="`session`")
    login: Request = Field(description="The request that gives the token")
    token: str = Field(
        description="Where the token is in the answer; or `cookie:NAME`, `header:NAME`"
    )
    expires_in: At = Field(
        default="", description="Where the answer says how many seconds it lasts"
    )
    lasts_s: float = Field(
        default=0, ge=0, description="How long it lasts where the answer does not say"
    )
    first: tuple[Step, ...] = Field(default=(), description="Requests before it, in order")
    headers: dict[str, str] = Field(default={}, description="Headers that show `{token}`")
    query: dict[str, str] = Field(default={}, description="Parameters that show `{token}`")
    body: dict[str, str] = Field(default={}, description="Fields of the JSON body that show it")


Auth = Annotated[
    NoAuth | KeyAuth | BasicAuth | BearerAuth | OAuthAuth | SessionAuth, Field(discriminator="kind")
]


class Sign(Part):
    """A signature of every request, beside whatever `[auth]` says."""

    parts: tuple[str, ...] = Field(
        min_length=1,
        description="What is signed, in order: also `{method}`, `{path}`, `{query}`, `{body}`, "
        "`{params}`, `{nonce}`",
    )
    separator: str = Field(default="", description="Stands between the parts")
    sort: bool = Field(default=False, description="The parts are sorted before they are joined")
    pair: str = Field(default="=", description="Stands between name and value in `{params}`")
    joint: str = Field(default="&", description="Stands between the pairs of `{params}`")
    digest: Literal[
        "hmac-sha256", "hmac-sha1", "hmac-sha512", "hmac-md5", "sha256", "sha1", "md5"
    ] = Field(
        default="hmac-sha256", description="The digest; a plain hash needs a secret in `parts`"
    )
    key: str = Field(default="", description="Key of an HMAC")
    encoding: Literal["hex", "HEX", "base64", "base64-hex"] = Field(
        default="hex", description="How it is written; `base64-hex` is base64 of the hex letters"
    )
    headers: dict[str, str] = Field(default={}, description="Headers that show `{signature}`")
    query: dict[str, str] = Field(default={}, description="Parameters that show it")
    body: dict[str, str] = Field(default={}, description="Fields of the JSON body that show it")


class Limits(Part):
    """How often the vendor may be asked; the connection's own keys win."""

    requests_per_s: float | None = Field(default=None, gt=0, description="Requests per second")


class Codec(Part):
    """The form in which a vendor wants `{values}`, where it is no plain table."""

    item: Any = Field(
        description='What a field becomes, of `{name}` and `{value}`: `{value = "{value}"}`'
    )
    each: Literal["table", "list"] = Field(
        default="table", description="`table`: name = item; `list`: the items one after another"
    )


class Pages(Part):
    """How a long answer is read in pages."""

    kind: Literal["none", "page", "offset", "cursor", "link", "keyset"] = Field(
        default="none",
        description="`none`: one answer; `page`: `{page}`; `offset`: `{offset}`; `cursor`: "
        "`{cursor}` from the answer; `link`: an address in it; `keyset`: `{cursor}` from the last "
        "row",
    )
    size: int = Field(default=100, ge=1, description="`{size}`: rows asked for")
    first: int = Field(default=1, description="Number of the first page")
    next: str = Field(
        default="", description="Where the answer has the next cursor or address; `header:link`"
    )
    field: At = Field(
        default="", description="`keyset`: what grows from row to row; the id if not given"
    )
    start: str | int | None = Field(default=None, description="`{cursor}` of the first page")
    more: At = Field(default="", description="Where the answer says whether there are more")
    total: At = Field(default="", description="Where it says how many rows there are")
    stop: Literal["empty", "short"] = Field(
        default="empty",
        description="What ends it without those: an empty page, or one with fewer rows than "
        "asked for",
    )
    cap: int | None = Field(
        default=None, ge=1, description="How many rows one query gives before it falls silent"
    )
    overlap: bool = Field(
        default=True,
        description="`offset`: ask for the last row again, to see that none slipped past",
    )


class Read(Request):
    """How rows are read."""

    rows: At = Field(default="@", description="Where the list of rows is")
    pages: Pages = Field(default=Pages(), description="How a long answer is read in pages")


class Cursor(Part):
    """How to ask for what changed: `{since}`, and `{until}` where the vendor wants an end."""

    field: At = Field(description="When a row was last changed")
    format: str = Field(
        default="iso", description="`iso`, `local`, `s`, `ms`, or a pattern such as `%Y-%m-%d`"
    )
    zone: Zone = Field(
        default="", description="Zone of these times; that of the system if not given"
    )
    start: datetime | None = Field(
        default=None, description="`{since}` of the very first read, where the vendor wants one"
    )
    overlap_s: float = Field(
        default=300, ge=0, description="How late a change may become visible, in seconds"
    )
    order: Literal["none", "changed"] = Field(
        default="none", description="`changed`: the vendor gives the oldest change first"
    )


class Gone(Part):
    """How deletions are seen."""

    rule: Literal["none", "flag", "sweep"] = Field(
        default="none",
        description="`flag`: a row says it; `sweep`: what a full read lacks is gone; `none`: not "
        "at all",
    )
    flag: At = Field(default="", description="What of a row says that it was deleted")


class One(Request):
    """How one record is read by `{id}`."""

    row: At = Field(default="@", description="Where the record is; of a list the first")
    gone: tuple[str, ...] = Field(
        default=("404", "410"), description="Statuses or answer codes that say: there is none"
    )


class Find(Request):
    """How a record is looked up by `{value}` of the field `{name}`, once for each field."""

    fields: tuple[str, ...] = Field(min_length=1, description="Fields of `push` it can look for")
    rows: At = Field(default="@", description="Where the list of rows is")


class Lookup(Request):
    """How our own earlier write is found by `{marker}` before a record is made."""

    rows: At = Field(default="@", description="Where the list of rows is")


class Write(Request):
    """How a record is written."""

    id: At = Field(default="", description="Where the answer has its id")
    row: At = Field(default="", description="Where the answer has the whole record, if it does")
    idempotent: bool = Field(
        default=False, description="The same `{key}` again does nothing: it may be sent again"
    )


class Streamed(Part):
    """One stream of records."""

    description: str = Field(default="", description="What its rows are")
    like: str = Field(default="", description="A stream or pattern that says what is not said here")
    word: str = Field(
        default="", description="The vendor's word for it in webhooks; its name if not given"
    )
    id: At = Field(default="id", description="The id of a row")
    every_s: float = Field(default=60, gt=0, description="How often it is pulled, in seconds")
    fresh_s: float = Field(
        default=86400, ge=0, description="How often it is compared with the system"
    )
    read: Read | None = Field(default=None, description="How rows are read")
    cursor: Cursor | None = Field(default=None, description="How to ask for what changed")
    deleted: Gone = Field(default=Gone(), description="How deletions are seen")
    survey: Read | None = Field(
        default=None, description="How to list all ids, cheaper than `read`"
    )
    one: One | None = Field(default=None, description="How one record is read")
    find: Find | None = Field(default=None, description="How a record is looked up by value")
    lookup: Lookup | None = Field(default=None, description="How our earlier write is found")
    create: Write | None = Field(default=None, description="How a record is made")
    update: Write | None = Field(default=None, description="How values of a record are set")
    upsert: Write | None = Field(default=None, description="How both are done in one")
    action: Write | None = Field(default=None, description="Something to be done that is no record")
    codec: Codec | None = Field(
        default=None, description="The form of `{values}`; that of the system if not given"
    )
    mapping: Table | None = Field(default=None, description="Its mapping, as in mappings/*.yaml")

    @property
    def writable(self) -> bool:
        return bool(self.create or self.update or self.upsert or self.action)

    def requests(self) -> Iterator[tuple[str, Request]]:
        """Its requests by name."""
        names = ("read", "survey", "one", "find", "lookup", "create", "update", "upsert", "action")
        for name in names:
            if (found := getattr(self, name)) is not None:
                yield name, found


class Pattern(Streamed):
    """Streams of one make, of which a connection names as many as it has: forms of a platform."""

    values: dict[str, Variable] = Field(
        default={}, description="What the connection gives for each"
    )


class Handshake(Part):
    """A question the sender asks before it sends, answered with its own word."""

    word: str = Field(description="Where the word is: `query:NAME` or `json:NAME`")
    body: Any = Field(default="{word}", description="The answer, of `{word}`")


class HookAnswer(Part):
    """The answer a sender insists on."""

    status: int = Field(default=200, ge=200, le=299, description="Its status")
    body: Any = Field(default="", description="Its body; a table becomes JSON")


class Webhook(Part):
    """What the system tells us by itself."""

    recipe: Recipe | None = Field(
        default=None, description="How it signs, as in the adapter `hook`"
    )
    token: str = Field(
        default="",
        pattern=r"^(|path|(header|query):.+)$",
        description="Or where it shows a word we gave it: `header:NAME`, `query:NAME`, `path`",
    )
    events: At = Field(default="", description="Where a body with several events has their list")
    event_id: str = Field(default="", description="What names an event; `header:NAME`")
    type: At = Field(default="", description="The word for what happened")
    order: At = Field(default="", description="What keeps events in order; by default the record")
    stream: At = Field(
        default="", description="The word that names the stream, where there are several"
    )
    record: At = Field(default="@", description="Where the record is")
    id: At = Field(
        default="",
        description="Its id within the event; the stream's `id` of the record if not given",
    )
    operations: dict[str, Act] = Field(
        default={},
        description="What each word means: `row` (whole), `ref` (to be read), `deleted`, `ignore`",
    )
    otherwise: Act | None = Field(
        default=None, description="What any other word means; if not given, it is kept aside"
    )
    handshake: Handshake | None = Field(
        default=None, description="A question before the first event"
    )
    answer: HookAnswer | None = Field(default=None, description="The answer, if a 202 will not do")


class System(Part):
    """A whole file."""

    system: About = Field(description="The system itself")
    values: dict[str, Variable] = Field(default={}, description="What a connection gives")
    secrets: dict[str, Secret] = Field(default={}, description="Secrets a connection gives")
    auth: Auth = Field(default=NoAuth(), description="How we are let in")
    sign: Sign | None = Field(default=None, description="A signature of every request")
    answers: Answers | None = Field(default=None, description="What the code in an answer means")
    limits: Limits = Field(default=Limits(), description="How often it may be asked")
    codec: Codec | None = Field(default=None, description="The form of `{values}`")
    streams: dict[str, Streamed] = Field(default={}, description="Its streams")
    patterns: dict[str, Pattern] = Field(default={}, description="Streams of one make")
    webhook: Webhook | None = Field(default=None, description="What it tells us by itself")
