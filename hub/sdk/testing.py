# ruff: noqa: S101 - this module is a test suite
"""The contract suite: what every adapter promises, as ready pytest tests.

One call gives a vendor's tests::

    from hub import mapping, registry
    from hub.sdk.testing import contract_tests

    TestAcme = contract_tests(registry.manifest("acme"), mapping)

What the suite has to know is data in the adapter's folder: ``examples`` of its config's fields, and
``fixtures/*.json``. Each of those is one test; its first key tells what of:

    ``connection``  {connection: config}: optional fields with which every test is done, where
               those that must be given do not make a connection that can ask
    ``raw``    {raw, stream, expect}: a row becomes these records
    ``hook``   {hook: {headers, body, received_at}, config?, refs?, deleted?, news?, expect?,
               types?, reply?, learned?}: a request is let in and says this; of its headers and
               query only what proves the sender; ``types`` are those of its items, ``news`` the
               word by stream
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
marked ``"reads": true``; one that the vendor knows again and drops, ``"known": true``.
A stream that cannot look up (``looks_up=False``) is pushed once.
"""

from __future__ import annotations

import json
import logging
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError
from responses.matchers import json_params_matcher, query_param_matcher
from responses.registries import FirstMatchRegistry, OrderedRegistry
from urllib3 import HTTPResponse

from hub import errors
from hub.sdk import http, polling
from hub.sdk.adapter import Adapter, ConnectionConfig
from hub.sdk.desk import Query, Shown, View
from hub.sdk.egress import GuardedAdapter
from hub.sdk.types import (
    Change,
    Deleted,
    Envelope,
    HookRequest,
    News,
    Page,
    RecordRef,
    Reply,
    Row,
    Stream,
    Survey,
    Window,
)
from hub.sdk.vendor import RULES, AnyManifest, Vendor, example

NOW = datetime(2026, 11, 21, 12, 0, 0, 500_000, tzinfo=UTC)
"""The instant at which every test happens, unless its fixture says ``at``."""

_SECRET_NAME = re.compile(r"(password|secret|token|passphrase|(api|private|access)_?key)s?$")


def contract_tests(manifest: AnyManifest, mapper: Any) -> type:
    """A class of tests for one adapter; bind it to a name that starts with ``Test``.

    Args:
        manifest: as ``hub.registry.manifest`` gives it.
        mapper: the module ``hub.mapping``; the SDK itself stands below it.
    """
    from hub.sdk import troubles  # made of what stands here

    vendor = Vendor(manifest, mapper).configured(None)
    bases: list[type] = [ManifestContract, ConfigContract, MappingContract, troubles.RowTroubles]
    if manifest.adapter:
        bases += [AdapterContract, troubles.PullTroubles, troubles.PushTroubles]
    if vendor.speaks_http:
        bases += [HttpContract, troubles.AnswerTroubles]
    if manifest.webhook:
        bases.append(WebhookContract)
    if manifest.desk:
        bases.append(DeskContract)
    unused = {name: None for name, keys in _NEEDS.items() if not vendor.fixtures_of(*keys.split())}
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
    "test_a_pull_that_breaks_off": "pull exchanges",
    "test_a_token_that_ends_meanwhile": "pull exchanges",
    "test_a_write_that_breaks_off": "push exchanges",
}
"""The tests that are made of fixtures, and what those hold."""


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
def clock(at: str | None) -> Iterator[None]:
    """Every clock stands, and nobody waits."""
    now = datetime.fromisoformat(at) if at else NOW
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "_utc_now", lambda: now)
        patch.setattr(polling, "monotonic", lambda: 0.0)  # a busy machine answers late
        patch.setattr(time, "sleep", lambda _: None)
        yield


# Requests and their answers


@contextmanager
def answered(exchanges: Sequence[Mapping[str, Any]], *, ordered: bool = False) -> Iterator[None]:
    """Within the block these requests are answered and no others; each of them must be made."""
    registry = OrderedRegistry if ordered else FirstMatchRegistry
    with responses.RequestsMock(assert_all_requests_are_fired=True, registry=registry) as mock:
        for exchange in exchanges:
            mock.add(stub(exchange))
        yield


def stub(exchange: Mapping[str, Any]) -> responses.Response:
    """The double of one exchange."""
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

    with clock(at), pytest.MonkeyPatch.context() as patch:
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


class Contract:
    """What the tests of one vendor have in common."""

    vendor: Vendor

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """An argument ``pull_exchanges_fixture`` is each fixture that has these two keys."""
        for argument in metafunc.fixturenames:
            kind, _, is_fixture = argument.partition("_fixture")
            if is_fixture == "" and argument.endswith("_fixture"):
                found = self.vendor.fixtures_of(*kind.split("_"))
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

    def shows_no_secret(self, exc: BaseException) -> None:
        """Neither an error nor what caused it tells a secret."""
        self._shows_no_secret(_told(exc))

    def _shows_no_secret(self, text: str) -> None:
        for secret in _secrets(self.vendor.config()):
            assert secret not in text, "a secret got out"


class ManifestContract(Contract):
    """The manifest tells the truth."""

    def test_folder_has_the_vendors_name(self) -> None:
        """An adapter is found by its name."""
        assert self.vendor.manifest.folder.name == self.vendor.manifest.name
        assert self.vendor.manifest.adapter or self.vendor.manifest.webhook

    def test_exemptions_are_of_rules_and_have_reasons(self) -> None:
        """What a level asks for is in ``hub.sdk.vendor``; the level itself is computed."""
        exempt = self.vendor.manifest.exempt
        unknown = exempt.keys() - {rule.name for rule in RULES}
        assert not unknown, f"exempt from what is not asked: {sorted(unknown)}"
        assert all(reason.strip() for reason in exempt.values())


class ConfigContract(Contract):
    """The config explains itself and keeps its secrets."""

    def test_every_field_is_described(self) -> None:
        """The console and the documentation show these sentences."""
        fields = self.vendor.manifest.config_class().model_fields
        assert [name for name, field in fields.items() if not field.description] == []

    def test_required_fields_have_an_example(self) -> None:
        """The documentation shows a connection made of them."""
        fields = self.vendor.manifest.config_class().model_fields
        bare = [name for name, field in fields.items() if field.is_required()]
        assert [name for name in bare if example(name, fields[name]) is None] == []

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


class MappingContract(Contract):
    """Rows become the records they should."""

    def test_mappings_are_sound(self) -> None:
        """Each loads, and is about the stream its file is named after."""
        for stream, mapping in self.vendor.mappings.items():
            assert mapping.source == f"{self.vendor.manifest.name}/{stream}"

    def test_row(self, raw_fixture: dict[str, Any]) -> None:
        """A captured row, through the mapping."""
        found = self.vendor.records(raw_fixture["stream"], raw_fixture["raw"])
        _same(found, raw_fixture["expect"])


class AdapterContract(Contract):
    """What is offered works, and works again."""

    def test_what_is_offered(self) -> None:
        """``check``, a way for rows to come in, and ``push`` exactly where there is a use."""
        assert "check" in self.vendor.verbs
        assert {"pull", "listen"} & {*self.vendor.verbs} or self.vendor.manifest.webhook
        assert ("push" in self.vendor.verbs) == bool(self.vendor.writable)

    def test_streams_have_mappings(self) -> None:
        """A stream without a mapping could never be used; push fields need a writable stream."""
        assert self.vendor.streams.keys() <= self.vendor.mappings.keys()
        pushed = [name for name, mapping in self.vendor.mappings.items() if mapping.writable]
        assert sorted(pushed) == sorted(self.vendor.writable)

    def test_check(self, check_fixture: dict[str, Any]) -> None:
        """A recorded check, good or bad."""
        adapter = self.vendor.adapter(check_fixture["check"])
        with clock(None), answered(check_fixture["exchanges"]):
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
        with clock(pull_fixture.get("at")), answered(pull_fixture.get("exchanges", ())):
            pages, resumed = walk(adapter, stream)
        assert ids_of(self.vendor, stream, pages) == set(pull_fixture["ids"])
        cursors = [page.cursor for page in pages]
        assert len(set(cursors)) == len(cursors), "a cursor that does not advance makes a loop"
        for done, rest in enumerate(resumed, start=1):
            came = ids_of(self.vendor, stream, [*pages[:done], *rest])
            assert came == set(pull_fixture["ids"]), f"lost after page {done}"

    def test_history(self, history_fixture: dict[str, Any]) -> None:
        """A part of a stream comes whole; and from each cursor, what did not come before it."""
        adapter = self.vendor.adapter(history_fixture.get("config"))
        stream = self.vendor.streams[history_fixture["history"]]
        window = _window(history_fixture["window"])
        with self._talking(history_fixture):
            pages = list(adapter.history(stream, window, None))
            resumed = [list(adapter.history(stream, window, page.cursor)) for page in pages]
        assert ids_of(self.vendor, stream, pages) == set(history_fixture["ids"])
        for done, rest in enumerate(resumed, start=1):
            came = ids_of(self.vendor, stream, [*pages[:done], *rest])
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
        with clock(fixture.get("at")), answered(fixture.get("exchanges", ())):
            yield

    def test_push(self, push_fixture: dict[str, Any]) -> None:
        """A write is done once, however often it is asked for; a refusal has its name."""
        adapter = self.vendor.adapter(push_fixture.get("config"))
        stream = self.vendor.streams[push_fixture["push"]]
        change = Change(**push_fixture["change"])
        with clock(push_fixture.get("at")):
            if "raises" in push_fixture:
                self._refused(adapter, stream, change, push_fixture)
                return
            with answered(push_fixture.get("exchanges", ()), ordered=True):
                receipt = adapter.push(stream, change)
            assert push_fixture.get("receipt", receipt.id) == receipt.id
            if stream.looks_up is False:
                assert "again" not in push_fixture, "the hub does not push this stream again"
                return
            with answered(push_fixture.get("again", ()), ordered=True):
                again = adapter.push(stream, change)
            assert receipt.id == again.id
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
        harmless = [e for e in repeated if e.get("reads") or e.get("known")]
        assert harmless == repeated, "the second push creates something"
        if not fixture.get("exchanges"):
            pages = list(adapter.pull(stream, None))
            found = [_id(self.vendor, stream, row) for page in pages for row in page.records]
            assert found.count(id_) == 1


class HttpContract(Contract):
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
        with clock(None), responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            for method in ("GET", "POST", "PUT", "HEAD"):
                mock.add_callback(method, re.compile(".*"), answer)
            with pytest.raises(error) as caught:
                adapter.check()
            assert mock.calls, "check asked nobody"
        self._shows_no_secret(_told(caught.value))


class DeskContract(Contract):
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


class WebhookContract(Contract):
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
        news = {one.stream: one.word for one in said if isinstance(one, News)}
        assert news == hook_fixture.get("news", {})
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
        if others := self._other_secrets(given or {}):
            self._refuses(genuine, {**(given or {}), **others})

    def _other_secrets(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Secrets of the same form that are not ours: one letter of each is another."""
        fields = self.vendor.manifest.config_class().model_fields.items()
        found = [(n, f) for n, f in fields if "SecretStr" in str(f.annotation)]
        secret = {name: given.get(name) or example(name, field) for name, field in found}
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


def raw_rows(vendor: Vendor) -> Iterator[tuple[Vendor, str, Any]]:
    """Every captured row with its stream: of raw fixtures, and what the hooks bring.

    The vendor comes with the streams of the fixture's config.
    """
    for fixture in vendor.fixtures_of("raw").values():
        yield vendor.configured(fixture.get("config")), fixture["stream"], fixture["raw"]
    for fixture in vendor.fixtures_of("hook").values():
        receiver = vendor.receiver(fixture.get("config"))
        opened = receiver.open(_request(fixture["hook"]))
        items = opened.items if isinstance(opened, Envelope) else ()
        said = [one for item in items for one in receiver.parse(item.body)]
        its = vendor.configured(fixture.get("config"))
        yield from ((its, one.stream, one.raw) for one in said if isinstance(one, Row))


def ids_of(vendor: Vendor, stream: Stream, pages: Sequence[Page]) -> set[str]:
    """The ids of their rows; of what is gone with a minus."""
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
