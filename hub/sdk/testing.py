# ruff: noqa: S101 - this module is a test suite
"""The contract suite: what every adapter promises, as ready pytest tests.

One call gives a vendor's tests::

    from hub import mapping, registry
    from hub.sdk.testing import contract_tests

    TestAcme = contract_tests(registry.manifest("acme"), mapping)

What the suite has to know is data in the adapter's folder: ``examples`` of its config's fields, and
``fixtures/*.json``. Each of those is one test; its first key tells what of:

    ``raw``    {raw, stream, expect}: a row becomes these records
    ``hook``   {hook: {headers, body, received_at}, config?, refs?, deleted?, expect?, types?,
               reply?, learned?}: a request is let in and says this; of its headers and query only
               what proves the sender; ``types`` are those of its items
    ``handshake``  {handshake: {…as hook}, config?, reply: {status, body, headers}, forged?}: a
               request that is answered and not stored; ``forged`` the same from somebody else
    ``check``  {check: config, exchanges, raises?}
    ``pull``   {pull: stream, config?, at?, exchanges?, ids}: everything, and again from each cursor
    ``history``  {history: stream, window, exchanges?, ids}: a part, and again from each cursor
    ``survey`` {survey: stream, exchanges?, versions}: what exists, in which version, and again from
               each cursor; without ``exchanges`` it is compared with what ``pull`` gives
    ``tally``  {tally: stream, exchanges?, days}: how many records of each day, and their digest
    ``find``   {find: stream, values, exchanges?, ids}: rows with any of the values
    ``push``   {push: stream, change, config?, exchanges?, again?, receipt | raises}
    ``desk``   {desk: item, config?, asks, view?, shows?}: an item asks a chat desk (null: it does
               not), and this is how it tells the answer

``exchanges`` are requests with their answers, ``again`` those of the second time; ``recorded``
writes them down at a real system. Scrub them before you share them. A POST that only reads is
marked ``"reads": true``.
"""

from __future__ import annotations

import json
import logging
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs

import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from responses.matchers import json_params_matcher, query_param_matcher
from responses.registries import FirstMatchRegistry, OrderedRegistry
from urllib3 import HTTPResponse

from hub import errors
from hub.sdk import http, types
from hub.sdk.adapter import Adapter, ConnectionConfig, capabilities
from hub.sdk.desk import Desk, Query, Shown, View
from hub.sdk.egress import GuardedAdapter
from hub.sdk.types import (
    Change,
    Deleted,
    Envelope,
    HookRequest,
    Page,
    RecordRef,
    Reply,
    Row,
    Stream,
    Survey,
    Window,
)
from hub.sdk.webhook import WebhookReceiver

NOW = datetime(2026, 11, 21, 12, 0, 0, 500_000, tzinfo=UTC)
"""The instant at which every test happens, unless its fixture says ``at``."""

_SECRET_NAME = re.compile(r"(password|secret|token|passphrase|(api|private|access)_?key)s?$")
_CANARY = "canary-7f3a9d-"


class Described(Protocol):
    """What the suite asks of a manifest."""

    name: str
    owner: str
    level: str
    exempt: dict[str, str]
    adapter: str | None
    webhook: str | None
    desk: str | None
    folder: Path

    def adapter_class(self) -> type[Adapter[Any]]:
        """The adapter."""

    def receiver_class(self) -> type[WebhookReceiver[Any]]:
        """The webhook receiver."""

    def desk_class(self) -> type[Desk[Any]]:
        """The chat desk."""

    def config_class(self) -> type[ConnectionConfig]:
        """What a connection is configured with."""

    def mapping_files(self) -> dict[str, Path]:
        """The mappings by stream."""


class Mapper(Protocol):
    """What the suite asks of the mapping engine."""

    def load(self, text: str, *, name: str) -> Any:
        """A mapping."""

    def to_canonical(self, mapping: Any, raw: Any, *, connection: str) -> Sequence[Any]:
        """The records of a row."""


def contract_tests(manifest: Described, mapper: Any) -> type:
    """A class of tests for one adapter; bind it to a name that starts with ``Test``.

    Args:
        manifest: as ``hub.registry.manifest`` gives it.
        mapper: the module ``hub.mapping``; the SDK itself stands below it.
    """
    vendor = Vendor(manifest, mapper)
    bases: list[type] = [ManifestContract, ConfigContract, MappingContract]
    if manifest.adapter:
        bases.append(AdapterContract)
    if vendor.speaks_http:
        bases.append(HttpContract)
    if manifest.webhook:
        bases.append(WebhookContract)
    if manifest.desk:
        bases.append(DeskContract)
    unused = {name: None for name, kind in _NEEDS.items() if not vendor.fixtures_of(kind)}
    return type(f"Test_{manifest.name}", tuple(bases), {"vendor": vendor, **unused})


_NEEDS = {
    "test_row": "raw",
    "test_check": "check",
    "test_pull": "pull",
    "test_history": "history",
    "test_survey": "survey",
    "test_tally": "tally",
    "test_find": "find",
    "test_push": "push",
    "test_recorded_hook": "hook",
    "test_recorded_hook_is_refused": "hook",
    "test_handshake": "handshake",
    "test_desk": "desk",
}
"""The tests that are made of fixtures, and of which kind."""


# The adapter under test


@dataclass(frozen=True)
class Vendor:
    """One adapter with what lies in its folder.

    Attributes:
        given: fields of a config that describes streams of its own, instead of the examples.
    """

    manifest: Described
    mapper: Mapper
    given: Mapping[str, Any] | None = None

    def configured(self, given: Mapping[str, Any] | None) -> Vendor:
        """The same with the streams that such a config describes."""
        return replace(self, given=given) if given and self.describes else self

    @cached_property
    def fixtures(self) -> dict[str, dict[str, Any]]:
        """Every fixture by the name of its file."""
        files = sorted((self.manifest.folder / "fixtures").glob("*.json"))
        return {path.stem: json.loads(path.read_text("utf-8")) for path in files}

    def fixtures_of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The fixtures of one kind."""
        return {name: fixture for name, fixture in self.fixtures.items() if kind in fixture}

    @cached_property
    def mappings(self) -> dict[str, Any]:
        """The loaded mappings by stream."""
        files = self.manifest.mapping_files().items()
        texts = {stream: (path.read_text("utf-8"), str(path)) for stream, path in files}
        for one in self._described:
            if one.mapping:
                texts[one.stream.name] = one.mapping, f"{one.stream.name} as described"
        return {s: self.mapper.load(text, name=name) for s, (text, name) in texts.items()}

    @property
    def streams(self) -> dict[str, Stream]:
        """What can be pulled or written."""
        found = self.manifest.adapter_class().streams if self.manifest.adapter else ()
        described = tuple(one.stream for one in self._described)
        return {stream.name: stream for stream in (*found, *described)}

    @property
    def describes(self) -> bool:
        """Whether a config may describe streams of its own."""
        return self.manifest.config_class().described is not ConnectionConfig.described

    @property
    def _described(self) -> Sequence[types.Described]:
        return self.config(self.given).described() if self.describes else ()

    @property
    def writable(self) -> list[str]:
        """The streams that can be written."""
        return [stream.name for stream in self.streams.values() if stream.writable]

    @property
    def verbs(self) -> tuple[str, ...]:
        """What the adapter offers."""
        return capabilities(self.manifest.adapter_class()) if self.manifest.adapter else ()

    @property
    def speaks_http(self) -> bool:
        """Whether the adapter talks through ``Http``."""
        if self.manifest.adapter is None:
            return False
        return self.manifest.adapter_class().connect is not Adapter.connect

    def config(self, given: Mapping[str, Any] | None = None) -> ConnectionConfig:
        """A config made of the examples of its fields; secrets without one are made up."""
        class_ = self.manifest.config_class()
        values = {name: _example(name, field) for name, field in class_.model_fields.items()}
        known = {name: value for name, value in values.items() if value is not None}
        return class_.model_validate({**known, **(given or {})})

    def adapter(self, given: Mapping[str, Any] | None = None) -> Adapter[Any]:
        """The adapter with such a config."""
        return self.manifest.adapter_class()(self.config(given))

    def receiver(self, given: Mapping[str, Any] | None = None) -> WebhookReceiver[Any]:
        """The receiver with such a config."""
        return self.manifest.receiver_class()(self.config(given))

    def records(self, stream: str, raw: Any) -> list[dict[str, Any]]:
        """The records of a row as documents."""
        found = self.mapper.to_canonical(self.mappings[stream], raw, connection=self.manifest.name)
        return [document(record) for record in found]


def document(record: Any) -> dict[str, Any]:
    """A record as plain JSON: its kind, and whatever is not at its default."""
    return {"kind": record.kind, **record.model_dump(mode="json", exclude_defaults=True)}


def _example(name: str, field: FieldInfo) -> Any:
    """The first example of a field that has to be given; made up for a secret."""
    if field.examples and (field.is_required() or "SecretStr" in str(field.annotation)):
        return field.examples[0]
    if "SecretStr" not in str(field.annotation):
        return None
    several = "tuple" in str(field.annotation) or "list" in str(field.annotation)
    return [_CANARY + name] if several else _CANARY + name


def _secrets(config: ConnectionConfig) -> Iterator[str]:
    for name in type(config).model_fields:
        value = getattr(config, name)
        for one in _parts(value):
            if isinstance(one, SecretStr):
                yield one.get_secret_value()


def _parts(value: Any) -> Sequence[Any]:
    """The items of a list, the values of a table, or the one value."""
    if isinstance(value, dict):
        return [*value.values()]
    return value if isinstance(value, tuple | list) else [value]


def _told(exc: BaseException) -> str:
    """Everything an error may show: messages and hints, causes included."""
    hint = getattr(exc, "hint", "")
    return "".join(traceback.format_exception(exc)) + hint


def _error(name: str) -> type[errors.HubError]:
    found: type[errors.HubError] = getattr(errors, name)
    return found


@contextmanager
def _clock(at: str | None) -> Iterator[None]:
    """Every clock stands, and nobody waits."""
    now = datetime.fromisoformat(at) if at else NOW
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "_utc_now", lambda: now)
        patch.setattr(time, "sleep", lambda _: None)
        yield


# Requests and their answers


@contextmanager
def answered(exchanges: Sequence[Mapping[str, Any]], *, ordered: bool = False) -> Iterator[None]:
    """Within the block these requests are answered and no others; each of them must be made."""
    registry = OrderedRegistry if ordered else FirstMatchRegistry
    with responses.RequestsMock(assert_all_requests_are_fired=True, registry=registry) as mock:
        for exchange in exchanges:
            mock.add(_stub(exchange))
        yield


def _stub(exchange: Mapping[str, Any]) -> responses.Response:
    matchers = [query_param_matcher(exchange.get("query") or {})]
    if "json" in exchange:
        matchers.append(json_params_matcher(exchange["json"]))
    answer = exchange["answer"]
    if "json" in answer:
        content = {"json": answer["json"]}
    else:
        content = {"body": answer.get("text", ""), "content_type": "text/html"}
    return responses.Response(
        exchange["method"],
        exchange["url"],
        status=answer.get("status", 200),
        headers=answer.get("headers"),
        match=matchers,
        **content,
    )


@contextmanager
def recorded(exchanges: list[dict[str, Any]], *, at: str | None = None) -> Iterator[None]:
    """Within the block, requests to a real system are written down; equal ones once."""
    send = GuardedAdapter.send

    def sending(self: GuardedAdapter, request: Any, **kwargs: Any) -> requests.Response:
        response = send(self, request, **kwargs)
        exchange = _exchange(request, response)
        if exchange not in exchanges:
            exchanges.append(exchange)
        response.headers.pop("Date", None)  # the clock of the test stands
        response.raw = HTTPResponse(BytesIO(response.content), preload_content=False)  # once more
        return response

    with _clock(at), pytest.MonkeyPatch.context() as patch:
        patch.setattr(GuardedAdapter, "send", sending)
        yield


def _exchange(request: requests.PreparedRequest, response: requests.Response) -> dict[str, Any]:
    url, _, query = str(request.url).partition("?")
    exchange: dict[str, Any] = {"method": request.method, "url": url}
    if query:
        found = parse_qs(query, keep_blank_values=True)
        exchange["query"] = {k: v[0] if len(v) == 1 else v for k, v in found.items()}
    if request.body:
        exchange["json"] = json.loads(request.body)
    answer: dict[str, Any] = {"status": response.status_code}
    if "json" in response.headers.get("Content-Type", ""):
        answer["json"] = response.json()
    elif response.text:
        answer["text"] = response.text
    return {**exchange, "answer": answer}


def walk(adapter: Adapter[Any], stream: Stream) -> tuple[list[Page], list[list[Page]]]:
    """The pages from the beginning, and for each of them those that follow its cursor."""
    pages = list(adapter.pull(stream, None))
    return pages, [list(adapter.pull(stream, page.cursor)) for page in pages]


# The contract


class _Contract:
    vendor: Vendor

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        for argument in metafunc.fixturenames:
            kind, _, is_fixture = argument.partition("_fixture")
            if is_fixture == "" and argument.endswith("_fixture"):
                found = self.vendor.fixtures_of(kind)
                metafunc.parametrize(argument, found.values(), ids=found.keys())

    @pytest.fixture(autouse=True)
    def _with_the_streams_of_its_config(self, request: pytest.FixtureRequest) -> None:
        """A fixture's config may describe streams that no other has."""
        call = getattr(request.node, "callspec", None)
        for name, fixture in call.params.items() if call else ():
            if name.endswith("_fixture"):
                given = fixture["check"] if name == "check_fixture" else fixture.get("config")
                self.vendor = self.vendor.configured(given)

    @pytest.fixture(autouse=True)
    def _no_secret_is_logged(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        with caplog.at_level(logging.DEBUG):
            yield
        for record in caplog.get_records("call"):
            told = _told(record.exc_info[1]) if record.exc_info and record.exc_info[1] else ""
            self._shows_no_secret(f"{record.getMessage()} {vars(record)} {told}")

    def _shows_no_secret(self, text: str) -> None:
        for secret in _secrets(self.vendor.config()):
            assert secret not in text, "a secret got out"


class ManifestContract(_Contract):
    """The manifest tells the truth."""

    def test_folder_has_the_vendors_name(self) -> None:
        """An adapter is found by its name."""
        assert self.vendor.manifest.folder.name == self.vendor.manifest.name
        assert self.vendor.manifest.adapter or self.vendor.manifest.webhook

    def test_quality_level(self) -> None:
        """Every rule of the level claimed, and of those below it, is kept or exempt."""
        manifest = self.vendor.manifest
        claimed = LEVELS.index(manifest.level)
        rules = [rule for rule in RULES if LEVELS.index(rule.level) <= claimed]
        unknown = manifest.exempt.keys() - {rule.name for rule in rules}
        assert not unknown, f"exempt from what is not asked: {sorted(unknown)}"
        assert all(reason.strip() for reason in manifest.exempt.values())
        broken = [r for r in rules if r.name not in manifest.exempt and not r.kept(self.vendor)]
        assert not broken, [f"{rule.level}: {rule.name}: {rule.wanted}" for rule in broken]


class ConfigContract(_Contract):
    """The config explains itself and keeps its secrets."""

    def test_every_field_is_described(self) -> None:
        """The console and the documentation show these sentences."""
        fields = self.vendor.manifest.config_class().model_fields
        assert [name for name, field in fields.items() if not field.description] == []

    def test_required_fields_have_an_example(self) -> None:
        """The documentation shows a connection made of them."""
        fields = self.vendor.manifest.config_class().model_fields
        bare = [name for name, field in fields.items() if field.is_required()]
        assert [name for name in bare if _example(name, fields[name]) is None] == []

    def test_secrets_have_the_type_of_secrets(self) -> None:
        """A field named like a secret is a ``SecretStr``."""
        fields = self.vendor.manifest.config_class().model_fields.items()
        named = [(name, field) for name, field in fields if _SECRET_NAME.search(name)]
        assert [name for name, field in named if "SecretStr" not in str(field.annotation)] == []

    def test_no_secret_is_shown(self) -> None:
        """Not by the config, nor by what holds it, nor by the refusal of a wrong one."""
        config = self.vendor.config()
        self._shows_no_secret(f"{config!r} {config} {config.model_dump_json()}")
        if self.vendor.manifest.adapter:
            self._shows_no_secret(repr(self.vendor.adapter()))
        if self.vendor.manifest.webhook:
            self._shows_no_secret(repr(self.vendor.receiver()))
        with pytest.raises(ValidationError) as caught:
            self.vendor.config({"no_such_field": next(_secrets(config), "")})
        self._shows_no_secret(str(caught.value))


class MappingContract(_Contract):
    """Rows become the records they should."""

    def test_mappings_are_sound(self) -> None:
        """Each loads, and is about the stream its file is named after."""
        for stream, mapping in self.vendor.mappings.items():
            assert mapping.source == f"{self.vendor.manifest.name}/{stream}"

    def test_row(self, raw_fixture: dict[str, Any]) -> None:
        """A captured row, through the mapping."""
        found = self.vendor.records(raw_fixture["stream"], raw_fixture["raw"])
        _same(found, raw_fixture["expect"])


class AdapterContract(_Contract):
    """What is offered works, and works again."""

    def test_what_is_offered(self) -> None:
        """``check``, a way for rows to come in, and ``push`` exactly where there is a use."""
        assert "check" in self.vendor.verbs
        assert {"pull", "listen"} & {*self.vendor.verbs}
        if not self.vendor.describes:  # there a config says what may be written
            assert ("push" in self.vendor.verbs) == bool(self.vendor.writable)

    def test_streams_have_mappings(self) -> None:
        """A stream without a mapping could never be used; push fields need a writable stream."""
        assert self.vendor.streams.keys() <= self.vendor.mappings.keys()
        pushed = [name for name, mapping in self.vendor.mappings.items() if mapping.writable]
        assert sorted(pushed) == sorted(self.vendor.writable)

    def test_check(self, check_fixture: dict[str, Any]) -> None:
        """A recorded check, good or bad."""
        adapter = self.vendor.adapter(check_fixture["check"])
        with _clock(None), answered(check_fixture["exchanges"]):
            if "raises" not in check_fixture:
                adapter.check()
                return
            with pytest.raises(_error(check_fixture["raises"])) as caught:
                adapter.check()
        self._shows_no_secret(_told(caught.value))

    def test_pull(self, pull_fixture: dict[str, Any]) -> None:
        """Everything comes; and from each cursor, everything that did not come before it."""
        adapter = self.vendor.adapter(pull_fixture.get("config"))
        stream = self.vendor.streams[pull_fixture["pull"]]
        with _clock(pull_fixture.get("at")), answered(pull_fixture.get("exchanges", ())):
            pages, resumed = walk(adapter, stream)
        assert _ids(self.vendor, stream, pages) == set(pull_fixture["ids"])
        cursors = [page.cursor for page in pages]
        assert len(set(cursors)) == len(cursors), "a cursor that does not advance makes a loop"
        for done, rest in enumerate(resumed, start=1):
            came = _ids(self.vendor, stream, [*pages[:done], *rest])
            assert came == set(pull_fixture["ids"]), f"lost after page {done}"

    def test_history(self, history_fixture: dict[str, Any]) -> None:
        """A part of a stream comes whole; and from each cursor, what did not come before it."""
        adapter = self.vendor.adapter(history_fixture.get("config"))
        stream = self.vendor.streams[history_fixture["history"]]
        window = _window(history_fixture["window"])
        with self._talking(history_fixture):
            pages = list(adapter.history(stream, window, None))
            resumed = [list(adapter.history(stream, window, page.cursor)) for page in pages]
        assert _ids(self.vendor, stream, pages) == set(history_fixture["ids"])
        for done, rest in enumerate(resumed, start=1):
            came = _ids(self.vendor, stream, [*pages[:done], *rest])
            assert came == set(history_fixture["ids"]), f"lost after page {done}"

    def test_survey(self, survey_fixture: dict[str, Any]) -> None:
        """What exists is told to its end, and from each cursor the rest of it."""
        adapter = self.vendor.adapter(survey_fixture.get("config"))
        stream = self.vendor.streams[survey_fixture["survey"]]
        with self._talking(survey_fixture):
            pages = list(adapter.survey(stream, None))
            cursors = [page.cursor for page in pages[:-1]]
            resumed = [list(adapter.survey(stream, cursor)) for cursor in cursors]
        assert pages, "an empty stream is one empty page"
        assert pages[-1].cursor is None, "only the cursor None says that this was all"
        assert None not in cursors
        assert len(set(cursors)) == len(cursors), "a cursor that does not advance makes a loop"
        assert _seen(pages) == survey_fixture["versions"]
        for done, rest in enumerate(resumed, start=1):
            assert _seen([*pages[:done], *rest]) == survey_fixture["versions"]
        if "exchanges" not in survey_fixture:
            assert _seen(pages) == self._versions(adapter, stream)

    def _versions(self, adapter: Adapter[Any], stream: Stream) -> dict[str, str]:
        """The versions of all rows, as the mapping reads them: a survey must tell the same."""
        mapping = self.vendor.mappings[stream.name]
        rows = [row for page in adapter.pull(stream, None) for row in page.records]
        return {mapping.external_id(row): mapping.raw_version(row) for row in rows}

    def test_tally(self, tally_fixture: dict[str, Any]) -> None:
        """The records of each day are counted, and each day comes once."""
        adapter = self.vendor.adapter(tally_fixture.get("config"))
        with self._talking(tally_fixture):
            told = list(adapter.tally(self.vendor.streams[tally_fixture["tally"]]))
        days = {one.day.isoformat(): [one.count, one.digest] for one in told}
        assert len(days) == len(told), "a day comes twice"
        assert days == tally_fixture["days"]
        assert "history" in self.vendor.verbs, "a day that differs could not be read again"

    def test_find(self, find_fixture: dict[str, Any]) -> None:
        """Rows that have one of the values, and no others."""
        adapter = self.vendor.adapter(find_fixture.get("config"))
        stream = self.vendor.streams[find_fixture["find"]]
        with self._talking(find_fixture):
            rows = adapter.find(stream, find_fixture["values"])
        assert sorted(_id(self.vendor, stream, row) for row in rows) == sorted(find_fixture["ids"])

    @contextmanager
    def _talking(self, fixture: Mapping[str, Any]) -> Iterator[None]:
        with _clock(fixture.get("at")), answered(fixture.get("exchanges", ())):
            yield

    def test_push(self, push_fixture: dict[str, Any]) -> None:
        """A write is done once, however often it is asked for; a refusal has its name."""
        adapter = self.vendor.adapter(push_fixture.get("config"))
        stream = self.vendor.streams[push_fixture["push"]]
        change = Change(**push_fixture["change"])
        with _clock(push_fixture.get("at")):
            if "raises" in push_fixture:
                self._refused(adapter, stream, change, push_fixture)
                return
            with answered(push_fixture.get("exchanges", ()), ordered=True):
                receipt = adapter.push(stream, change)
            with answered(push_fixture.get("again", ()), ordered=True):
                again = adapter.push(stream, change)
            assert receipt.id == again.id
            assert push_fixture.get("receipt", receipt.id) == receipt.id
            self._written_once(adapter, stream, receipt.id, push_fixture)

    def _refused(
        self, adapter: Adapter[Any], stream: Stream, change: Change, fixture: Mapping[str, Any]
    ) -> None:
        with (
            answered(fixture.get("exchanges", ()), ordered=True),
            pytest.raises(_error(fixture["raises"])) as caught,
        ):
            adapter.push(stream, change)
        self._shows_no_secret(_told(caught.value))

    def _written_once(
        self, adapter: Adapter[Any], stream: Stream, id_: str, fixture: Mapping[str, Any]
    ) -> None:
        repeated = [e for e in fixture.get("again", ()) if e["method"] == "POST"]
        assert all(e.get("reads") for e in repeated), "the second push creates something"
        if not fixture.get("exchanges"):
            pages = list(adapter.pull(stream, None))
            found = [_id(self.vendor, stream, row) for page in pages for row in page.records]
            assert found.count(id_) == 1


class HttpContract(_Contract):
    """``check`` names the trouble by what happens next."""

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (401, errors.AuthError),
            (403, errors.AuthError),
            (429, errors.RetryableError),
            (500, errors.RetryableError),
            (503, errors.RetryableError),
        ],
    )
    def test_check_and_a_status(self, status: int, error: type[Exception]) -> None:
        """The vendor answers every request with this status."""
        self._check(lambda _: (status, {}, ""), error)

    @pytest.mark.parametrize("lost", [requests.ConnectTimeout, requests.ReadTimeout])
    def test_check_and_a_timeout(self, lost: type[Exception]) -> None:
        """The vendor does not answer."""

        def silence(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            raise lost(f"nothing from {request.url}")

        self._check(silence, errors.RetryableError)

    def _check(self, answer: Callable[[Any], Any], error: type[Exception]) -> None:
        adapter = self.vendor.adapter()
        with _clock(None), responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            for method in ("GET", "POST", "PUT", "HEAD"):
                mock.add_callback(method, re.compile(".*"), answer)
            with pytest.raises(error) as caught:
                adapter.check()
            assert mock.calls, "check asked nobody"
        self._shows_no_secret(_told(caught.value))


class DeskContract(_Contract):
    """Who asks in a chat is understood, and answered in the vendor's form."""

    def test_desk(self, desk_fixture: dict[str, Any]) -> None:
        """A question, or what is none; and the message that answers it."""
        desk = self.vendor.manifest.desk_class()(self.vendor.config(desk_fixture.get("config")))
        query = desk.ask(json.dumps(desk_fixture["desk"]).encode())
        asks = desk_fixture["asks"]
        assert query == (Query(**asks) if asks else None)
        if query and "shows" in desk_fixture:
            told = desk_fixture["view"]
            customers = [Shown(**one) for one in told.get("customers", ())]
            shown = desk.show(
                query, View(told.get("note", ""), customers, told.get("elsewhere", ""))
            )
            assert shown == desk_fixture["shows"]


class WebhookContract(_Contract):
    """Only who is proven is let in, and nothing that was proven is lost."""

    def test_offers_fetch_where_it_is_needed(self) -> None:
        """A receiver that names records needs an adapter that can fetch them."""
        named = [f for f in self.vendor.fixtures_of("hook").values() if f.get("refs")]
        assert not named or "fetch" in self.vendor.verbs

    def test_recorded_hook(self, hook_fixture: dict[str, Any]) -> None:
        """A captured request is let in, and says what it should."""
        receiver = self.vendor.receiver(hook_fixture.get("config"))
        opened = receiver.open(_request(hook_fixture["hook"]))
        assert isinstance(opened, Envelope)
        said = [one for item in opened.items for one in receiver.parse(item.body)]
        rows = [(row.stream, row.raw) for row in said if isinstance(row, Row)]
        if "types" in hook_fixture:
            assert [item.type for item in opened.items] == hook_fixture["types"]
        if "reply" in hook_fixture:
            _answers(opened.reply, hook_fixture["reply"])
        assert dict(opened.learned) == hook_fixture.get("learned", {})
        refs = [f"{one.stream}/{one.id}" for one in said if isinstance(one, RecordRef)]
        gone = [f"{one.stream}/{one.id}" for one in said if isinstance(one, Deleted)]
        assert refs == hook_fixture.get("refs", [])
        assert gone == hook_fixture.get("deleted", [])
        found = [record for stream, raw in rows for record in self.vendor.records(stream, raw)]
        _same(found, hook_fixture.get("expect", []))

    def test_recorded_hook_is_refused(self, hook_fixture: dict[str, Any]) -> None:
        """The same request, when a byte or the secret is another."""
        self._refuses_forgeries(_request(hook_fixture["hook"]), hook_fixture.get("config"))

    def test_handshake(self, handshake_fixture: dict[str, Any]) -> None:
        """A question of the vendor is answered as it wants, and nobody else's is."""
        receiver = self.vendor.receiver(handshake_fixture.get("config"))
        answer = receiver.open(_request(handshake_fixture["handshake"]))
        assert isinstance(answer, Reply)
        _answers(answer, handshake_fixture["reply"])
        if "forged" in handshake_fixture:
            self._refuses(_request(handshake_fixture["forged"]), handshake_fixture.get("config"))

    def test_sample_is_let_in(self) -> None:
        """What ``sample`` signs, ``open`` believes; and names the same on a second delivery."""
        sample, given = self._sample()
        receiver = self.vendor.receiver(given)
        first, second = receiver.open(sample), receiver.open(sample)
        assert isinstance(first, Envelope)
        assert isinstance(second, Envelope)
        assert [i.event_id for i in first.items] == [i.event_id for i in second.items]
        for item in first.items:
            list(receiver.parse(item.body))

    def test_forgeries_are_refused(self) -> None:
        """A changed byte, a missing header, another secret, no secret."""
        self._refuses_forgeries(*self._sample())

    @pytest.mark.parametrize("late", [timedelta(minutes=10), -timedelta(minutes=10)])
    def test_stale_is_refused(self, late: timedelta) -> None:
        """A genuine request from another time; exempt by "stale" where it carries none."""
        if "stale" in self.vendor.manifest.exempt:
            pytest.skip(self.vendor.manifest.exempt["stale"])
        sample, given = self._sample()
        with pytest.raises(errors.SignatureError):
            self.vendor.receiver(given).open(replace(sample, received_at=sample.received_at + late))

    @pytest.mark.parametrize(
        "junk", ["", " ", ",", "v1", "v1,", "v1,!!!", "sha256=", "t=,v1=", "-1", "é", "9" * 400]
    )
    def test_malformed_headers_are_refused(self, junk: str) -> None:
        """Nothing but ``SignatureError``, whatever stands in a header."""
        sample, given = self._sample()
        for name in sample.headers:
            self._refuses(replace(sample, headers={**sample.headers, name: junk}), given)

    def _sample(self) -> tuple[HookRequest, Mapping[str, Any] | None]:
        """A genuine request, and the config it is genuine with."""
        try:
            return self.vendor.receiver().sample(NOW), None
        except errors.UnsupportedError:
            hooks = list(self.vendor.fixtures_of("hook").values())
            if not hooks:
                pytest.fail("give the receiver a sample(), or the folder a hook fixture")
            return _request(hooks[0]["hook"]), hooks[0].get("config")

    def _refuses_forgeries(self, genuine: HookRequest, given: Mapping[str, Any] | None) -> None:
        if genuine.body and "body" not in self.vendor.manifest.exempt:
            changed = bytes([genuine.body[0] ^ 1]) + genuine.body[1:]
            self._refuses(replace(genuine, body=changed), given)
            self._refuses(replace(genuine, body=genuine.body + b" "), given)
        bare = replace(genuine, headers={}, query={}, path="", remote="")
        if bare != genuine:  # some senders put the proof into the body
            self._refuses(bare, given)
        for name in genuine.headers:
            fewer = {k: v for k, v in genuine.headers.items() if k != name}
            self._refuses(replace(genuine, headers=fewer), given)
        for name in genuine.query:
            fewer = {k: v for k, v in genuine.query.items() if k != name}
            self._refuses(replace(genuine, query=fewer), given)
        if others := self._other_secrets():
            self._refuses(genuine, {**(given or {}), **others})

    def _other_secrets(self) -> dict[str, Any]:
        """Secrets of the same form that are not ours: one letter of each is another."""
        fields = self.vendor.manifest.config_class().model_fields.items()
        secret = {n: _example(n, f) for n, f in fields if "SecretStr" in str(f.annotation)}
        return {name: _others(value) for name, value in secret.items()}

    def _refuses(self, request: HookRequest, given: Mapping[str, Any] | None = None) -> None:
        with pytest.raises(errors.SignatureError) as caught:
            self.vendor.receiver(given).open(request)
        self._shows_no_secret(_told(caught.value))


def _same(found: Sequence[Mapping[str, Any]], expected: Any) -> None:
    """Equal documents; ``extra`` is compared only where the fixture names it."""
    wanted = expected if isinstance(expected, list) else [expected]
    shown = [
        {k: v for k, v in record.items() if k != "extra" or "extra" in want}
        for record, want in zip(found, wanted, strict=False)
    ]
    assert shown == wanted
    assert len(found) == len(wanted)


def _answers(given: Reply | None, wanted: Mapping[str, Any]) -> None:
    assert given is not None
    assert (given.status, given.body.decode()) == (wanted.get("status", 200), wanted["body"])
    assert wanted.get("headers", {}).items() <= dict(given.headers).items()


def _request(hook: Mapping[str, Any]) -> HookRequest:
    body = hook["body"]
    content = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return HookRequest(
        method=hook.get("method", "POST"),
        headers={name.lower(): value for name, value in hook.get("headers", {}).items()},
        query=hook.get("query", {}),
        body=content.encode(),
        received_at=datetime.fromisoformat(hook["received_at"]),
        url=hook.get("url", ""),
        path=hook.get("path", ""),
        remote=hook.get("remote", ""),
    )


def _id(vendor: Vendor, stream: Stream, row: Any) -> str:
    found: str = vendor.mappings[stream.name].external_id(row)
    return found


def _ids(vendor: Vendor, stream: Stream, pages: Sequence[Page]) -> set[str]:
    found = {_id(vendor, stream, row) for page in pages for row in page.records}
    return found | {f"-{id_}" for page in pages for id_ in page.deleted}


def _seen(pages: Sequence[Survey]) -> dict[str, str]:
    return {one.id: one.version for page in pages for one in page.sightings}


def _window(given: Mapping[str, Any]) -> Window:
    since, until = (
        datetime.fromisoformat(given[name]) if name in given else None
        for name in ("since", "until")
    )
    return Window(since, until, given.get("where", ""), bool(given.get("by_occurrence")))


def _others(secret: Any) -> Any:
    if isinstance(secret, dict):
        return {name: _other(one) for name, one in secret.items()}
    return [_other(one) for one in secret] if isinstance(secret, list) else _other(secret)


def _other(secret: str) -> str:
    return secret[:-2] + ("B" if secret[-2] != "B" else "C") + secret[-1]


# Quality levels


@dataclass(frozen=True)
class Rule:
    """One promise of a level, and how it is seen to be kept."""

    level: str
    name: str
    wanted: str
    kept: Callable[[Vendor], bool]


def _readme(heading: str, file: str = "README.md") -> Callable[[Vendor], bool]:
    def kept(vendor: Vendor) -> bool:
        path = vendor.manifest.folder / file
        return path.is_file() and f"\n## {heading}" in path.read_text("utf-8")

    return kept


def _measured(vendor: Vendor) -> bool:
    path = vendor.manifest.folder / "README.md"
    section = path.read_text("utf-8").partition("\n## Backfill")[2] if path.is_file() else ""
    return bool(re.search(r"\d", section.partition("\n## ")[0]))


def _all_pushed(vendor: Vendor) -> bool:
    pushes = vendor.fixtures_of("push").values()
    return {*vendor.writable} <= {p["push"] for p in pushes if "raises" not in p}


def _conflicts(vendor: Vendor) -> bool:
    pushes = vendor.fixtures_of("push").values()
    return not vendor.writable or any(p.get("raises") == "ConflictError" for p in pushes)


def _tested_live(vendor: Vendor) -> bool:
    tests = vendor.manifest.folder.parent.parent / "tests"
    return any(tests.glob(f"*/test_{vendor.manifest.name}_live.py")) or any(
        (tests / folder / f"test_{vendor.manifest.name}.py").is_file()
        for folder in ("live", "systems")
    )


_TOLD = ("history", "survey", "tally", "find")

LEVELS = ("none", "bronze", "silver", "gold")

RULES = (
    Rule("bronze", "fixtures", "a raw or hook fixture",
         lambda v: bool(v.fixtures_of("raw") or v.fixtures_of("hook"))),
    Rule("bronze", "set-up", 'a section "Set up" in README.md', _readme("Set up")),
    Rule("bronze", "removal", 'a section "Remove" in README.md', _readme("Remove")),
    Rule("silver", "resume", "a pull fixture",
         lambda v: "pull" not in v.verbs or bool(v.fixtures_of("pull"))),
    Rule("silver", "verbs", "a fixture for each of history, survey, tally and find it offers",
         lambda v: all(v.fixtures_of(verb) for verb in _TOLD if verb in v.verbs)),
    Rule("silver", "sign-in", 'a section "Sign in again" in README.md', _readme("Sign in again")),
    Rule("silver", "limits", 'a section "Limits" in README.md', _readme("Limits")),
    Rule("silver", "owner", "an owner", lambda v: bool(v.manifest.owner.strip())),
    Rule("bronze", "stale", "requests from another time refused", lambda _: True),
    Rule("bronze", "body", "changed bodies refused", lambda _: True),
    Rule("gold", "push", "a push fixture for each writable stream", _all_pushed),
    Rule("gold", "conflict", "a push fixture that raises ConflictError", _conflicts),
    Rule("gold", "deletions", 'a section "Deletions" in README.md', _readme("Deletions")),
    Rule("gold", "live", "a test in tests/live or tests/systems", _tested_live),
    Rule("gold", "backfill", 'a section "Backfill" with figures in README.md', _measured),
    Rule("gold", "languages", "README.zh-CN.md",
         lambda v: (v.manifest.folder / "README.zh-CN.md").is_file()),
)  # fmt: skip
"""What a level asks for beside the tests above, which every adapter has to pass."""
