# ruff: noqa: S101 - this module is a test suite
"""The part of the contract suite about bad days: what breaks off, comes wrong, or comes strange.

It is made of the same fixtures: a pull is broken off at its last request, a write at its first, a
token ends in the middle, a clock is wrong, a row has holes and unheard-of values. Nothing may be
lost by that, and every trouble has the name that says what happens next.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
import responses
from responses.registries import FirstMatchRegistry, OrderedRegistry

from hub import errors
from hub.sdk.adapter import Adapter
from hub.sdk.answers import Answers
from hub.sdk.auth import MemoryTokens, Tokens
from hub.sdk.http import TRIES, Http
from hub.sdk.testing import NOW, Contract, clock, ids_of, raw_rows, stub
from hub.sdk.types import Change, Page
from hub.sdk.vendor import Vendor

ANYWHERE = re.compile(".*")

Trouble = Callable[[], responses.Response]
"""Makes the answer of a vendor that is in trouble."""


def _status(status: int, **headers: str) -> Trouble:
    return lambda: responses.Response("GET", "http://x", status=status, headers=headers)


def _lost() -> responses.Response:
    return responses.Response("GET", "http://x", body=requests.ReadTimeout("nothing came"))


TROUBLES: Mapping[str, tuple[Trouble, type[errors.HubError]]] = {
    "401": (_status(401), errors.AuthError),
    "403": (_status(403), errors.AuthError),
    "429": (_status(429, **{"Retry-After": "1"}), errors.RetryableError),
    "503": (_status(503), errors.RetryableError),
    "silence": (_lost, errors.RetryableError),
}


@contextmanager
def troubled(
    exchanges: Sequence[Mapping[str, Any]],
    trouble: Trouble | None,
    at: int,
    *,
    times: int | None = None,
    ordered: bool = False,
) -> Iterator[list[str]]:
    """Within the block these requests are answered, from number ``at`` on by trouble.

    Yields:
        What was asked, request by request.
    """
    asked: list[str] = []

    class Registry(OrderedRegistry if ordered else FirstMatchRegistry):  # type: ignore[misc]
        def find(self, request: Any) -> tuple[Any, list[str]]:
            number = len(asked)
            asked.append(f"{request.method} {request.url}")
            if trouble and at <= number < at + (times or 1000):
                return trouble(), []
            found: tuple[Any, list[str]] = super().find(request)
            return found

    with responses.RequestsMock(assert_all_requests_are_fired=False, registry=Registry) as mock:
        for exchange in exchanges:
            mock.add(stub(exchange))
        yield asked


class RowTroubles(Contract):
    """Rows come with holes and with values nobody has heard of."""

    def test_rows_with_strange_values(self) -> None:
        """Each value of each captured row, replaced: a record comes of it, or quarantine."""
        for vendor, stream, row in raw_rows(self.vendor):
            for changed in _strange(row):
                self._records(vendor, stream, changed)

    def test_missing_is_null(self) -> None:
        """A vendor that leaves a field out says the same as one that sends null."""
        for vendor, stream, row in raw_rows(self.vendor):
            for name in row:
                missing = {key: value for key, value in row.items() if key != name}
                without = self._records(vendor, stream, missing)
                assert self._records(vendor, stream, {**row, name: None}) == without, name

    def _records(self, vendor: Vendor, stream: str, row: Any) -> Any:
        """The records without what is only kept, or that it goes to quarantine."""
        try:
            found = vendor.records(stream, row)
        except errors.RecordError:
            return "quarantined"
        return [{k: v for k, v in record.items() if k != "extra"} for record in found]


class PullTroubles(Contract):
    """What breaks off has a name, and goes on where it was."""

    @pytest.mark.parametrize("name", TROUBLES)
    def test_a_pull_that_breaks_off(self, pull_exchanges_fixture: Any, name: str) -> None:
        """The last request fails; what came before it stands, and the rest comes the next time."""
        fixture, (trouble, error) = pull_exchanges_fixture, TROUBLES[name]
        stream, exchanges = self.vendor.streams[fixture["pull"]], fixture["exchanges"]
        with clock(fixture.get("at")):
            with troubled(exchanges, None, 0) as asked:
                list(self._adapter(fixture).pull(stream, None))
            if not asked:
                return  # nothing is asked, so nothing can break off
            pages: list[Page] = []
            with (
                troubled(exchanges, trouble, len(asked) - 1),
                pytest.raises(error) as caught,
            ):
                _gather(pages, self._adapter(fixture).pull(stream, None))
            with troubled(exchanges, None, 0):
                cursor = pages[-1].cursor if pages else None
                rest = list(self._adapter(fixture).pull(stream, cursor))
        self.shows_no_secret(caught.value)
        assert ids_of(self.vendor, stream, [*pages, *rest]) == set(fixture["ids"])

    def test_no_request_of_a_pull_fails_unheard(self, pull_exchanges_fixture: Any) -> None:
        """Whichever it is: what is only looked up besides is missing from rows as well."""
        fixture, (trouble, error) = pull_exchanges_fixture, TROUBLES["503"]
        stream, exchanges = self.vendor.streams[fixture["pull"]], fixture["exchanges"]
        with clock(fixture.get("at")):
            with troubled(exchanges, None, 0) as asked:
                list(self._adapter(fixture).pull(stream, None))
            for at in range(len(asked)):
                with troubled(exchanges, trouble, at, times=TRIES), pytest.raises(error):
                    list(self._adapter(fixture).pull(stream, None))

    def test_a_token_that_ends_meanwhile(self, pull_exchanges_fixture: Any) -> None:
        """It is renewed once, and nothing is missing."""
        fixture = pull_exchanges_fixture
        stream, exchanges = self.vendor.streams[fixture["pull"]], fixture["exchanges"]
        adapter = self._adapter(fixture)
        with clock(fixture.get("at")):
            with troubled(exchanges, None, 0) as asked:
                list(adapter.pull(stream, None))
                if not asked or adapter.http.tokens is None:
                    return  # what cannot end needs no renewal
                self._age(adapter)
            with troubled(exchanges, None, 0) as asked:
                list(adapter.pull(stream, None))
            with troubled(exchanges, TROUBLES["401"][0], len(asked) - 1, times=1):
                pages = list(adapter.pull(stream, None))
        assert ids_of(self.vendor, stream, pages) == set(fixture["ids"])

    def _adapter(self, fixture: Mapping[str, Any]) -> Adapter[Any]:
        return self.vendor.adapter(fixture.get("config"))

    def _age(self, adapter: Adapter[Any]) -> None:
        """Let the tokens be an hour old, so that it is no wonder that they have ended."""
        assert adapter.http.tokens is not None
        fresh = adapter.http.tokens.current()
        old: Tokens = replace(fresh, since=fresh.since - timedelta(hours=1))
        assert isinstance(adapter.tokens, MemoryTokens)
        adapter.tokens.put(old)
        for client in adapter._clients:
            if client.tokens is not None:
                client.tokens.forget()


class PushTroubles(Contract):
    """A write that breaks off is never told as done, nor silently done twice."""

    @pytest.mark.parametrize("name", TROUBLES)
    def test_a_write_that_breaks_off(self, push_exchanges_fixture: Any, name: str) -> None:
        """Its first request that changes something fails."""
        fixture, (trouble, error) = push_exchanges_fixture, TROUBLES[name]
        if "raises" in fixture:
            return  # it does not get so far
        exchanges = fixture["exchanges"]
        writes = [n for n, e in enumerate(exchanges) if _writes(e)]
        if not writes:
            return  # it found that nothing is to be done
        adapter = self.vendor.adapter(fixture.get("config"))
        stream, change = self.vendor.streams[fixture["push"]], Change(**fixture["change"])
        with (
            clock(fixture.get("at")),
            troubled(exchanges, trouble, writes[0], ordered=True),
            pytest.raises((error, errors.UnknownOutcomeError)) as caught,
        ):
            adapter.push(stream, change)
        self.shows_no_secret(caught.value)

    def test_nothing_is_written_when_looking_it_up_fails(self, push_exchanges_fixture: Any) -> None:
        """Else what was written already is written twice."""
        fixture, (trouble, error) = push_exchanges_fixture, TROUBLES["503"]
        stream, change = self.vendor.streams[fixture["push"]], Change(**fixture["change"])
        if "raises" in fixture:
            return  # it does not get so far
        writes = [n for n, e in enumerate(fixture["exchanges"]) if _writes(e)]
        for at, one in enumerate(fixture["exchanges"][: writes[0] if writes else None]):
            if one.get("spare"):
                continue
            adapter = self.vendor.adapter(fixture.get("config"))
            with (
                clock(fixture.get("at")),
                troubled(fixture["exchanges"], trouble, at, ordered=True) as asked,
                pytest.raises(error),
            ):
                adapter.push(stream, change)
            assert len({*asked[at:]}) == 1, "it went on"


class AnswerTroubles(Contract):
    """Trouble that does not show in the status."""

    def test_a_refusal_inside_an_answer(self) -> None:
        """Each code that the adapter's table knows, in an answer of status 200 to ``check``."""
        client = self._client()
        answers = client.answers if client else None
        if not isinstance(answers, Answers) or not answers.code.replace(".", "").isidentifier():
            return
        for codes, error in (
            (answers.auth, errors.AuthError),
            (answers.busy, errors.RetryableError),
        ):
            for code in codes:
                body = _nested(answers.code, code)
                with clock(None), _always(json=body), pytest.raises(error) as caught:
                    self.vendor.adapter().check()
                self.shows_no_secret(caught.value)

    def _client(self) -> Http | None:
        """The adapter's client; none where even making it asks the vendor."""
        try:
            with clock(None), responses.RequestsMock():
                return self.vendor.adapter().http
        except errors.RemoteError:
            return None

    def test_a_clock_that_is_wrong(self) -> None:
        """Who signs with a time learns the vendor's from a refusal, and tries once more."""
        client = self._client()
        if client is None or not client.signs:
            return
        theirs = {"Date": format_datetime(NOW + timedelta(hours=3), usegmt=True)}
        with (
            clock(None),
            _signing() as signed,
            _always(status=401, headers=theirs),
            pytest.raises(errors.AuthError),
        ):
            self.vendor.adapter().check()
        if not signed:
            return  # a token is had first, unsigned
        assert len(signed) > 1, "it was not tried once more"
        assert signed[0] != signed[-1], "the second one was signed by the same clock"


def _writes(exchange: Mapping[str, Any]) -> bool:
    return exchange["method"] != "GET" and not exchange.get("reads")


def _gather(pages: list[Page], came: Iterator[Page]) -> None:
    """Keep each page as it comes: what came before a trouble stands."""
    for page in came:
        pages.append(page)


def _nested(path: str, value: Any) -> Any:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


@contextmanager
def _always(**answer: Any) -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for method in ("GET", "POST", "PUT", "HEAD"):
            mock.add(method, ANYWHERE, **answer)
        yield mock


@contextmanager
def _signing() -> Iterator[list[Any]]:
    """Within the block, what is signed is written down."""
    sign, signed = Http._signed, list[Any]()

    def signing(client: Http, request: Any) -> Any:
        sign(client, request)
        signed.append((request.url, request.body, dict(request.headers)))
        return request

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Http, "_signed", signing)
        yield signed


STRANGE: tuple[Any, ...] = (
    None, "", "𠮷🎉", "no such word", 2**63 + 1, "9007199254740993", -1, 0.1, True, [], [None], {},
)  # fmt: skip


def _strange(row: Any) -> Iterator[Any]:
    """The row with one of its values replaced, at each of its places."""
    for place in _places(row):
        for value in STRANGE:
            changed = copy.deepcopy(row)
            holder = changed
            for step in place[:-1]:
                holder = holder[step]
            holder[place[-1]] = value
            yield changed


def _places(of: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = of.items() if isinstance(of, dict) else enumerate(of) if isinstance(of, list) else ()
    for step, value in items:
        yield (*above, step)
        if len(above) < 3:
            yield from _places(value, (*above, step))
