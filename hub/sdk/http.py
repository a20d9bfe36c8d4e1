"""The one way out: time-outs, short retries, status → error, guarded addresses, no secrets in logs.

Retried here for seconds: connection failures, 429 and 5xx of calls that may be repeated. A POST
without an idempotency key is sent once; when its answer is lost the outcome is unknown.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import orjson
import requests
from requests.auth import HTTPBasicAuth
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random
from urllib3.exceptions import HTTPError, NewConnectionError

from hub.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    GoneError,
    HubError,
    RejectedError,
    RemoteError,
    RetryableError,
    UnknownOutcomeError,
)
from hub.sdk.egress import GuardedAdapter
from hub.sdk.pace import Pace

if TYPE_CHECKING:
    from hub.sdk.auth import TokenAuth

log = logging.getLogger(__name__)

T = TypeVar("T")

Outgoing = requests.PreparedRequest
"""A request about to leave, with ``method``, ``url``, ``headers`` and ``body`` as they will be."""

Sign = Callable[[Outgoing, datetime], None]
"""Proves a request: puts a signature into its headers or its URL. Called for every try anew, with
the vendor's clock."""

TRIES = 3
BACKOFF = wait_exponential(multiplier=0.3, max=5.0) + wait_random(0, 0.3)
RETRY_AFTER_MAX_S = 20.0
"""A vendor that asks for a longer rest is not asked again here; the task comes back later."""

REST_MAX_S = 24 * 3600.0
"""Nobody is believed who asks for more."""

SKEW = timedelta(seconds=30)
"""Clocks that differ by more are told apart from a signature that is wrong."""

SIZE_MAX_BYTES = 64 * 1024 * 1024
TOTAL_MAX_S = 120.0
"""For one try, whatever trickles in."""

READS = frozenset({"GET", "HEAD", "OPTIONS"})
UNCERTAIN = frozenset({408, 500, 502, 504})
"""Answers after which a write may or may not have happened."""

REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
GONE = frozenset({404, 410})


class Http:
    """A client for one base URL.

    Attributes:
        pace: asked before every request and told of every answer; the hub sets it.
        tokens: what it was given as ``auth``, where that is renewed.
        answers: what it was given as ``raise_for_body``.

    Args:
        base: what relative paths are joined to.
        auth: (user, password) for HTTP Basic, or tokens that are renewed (``hub.sdk.auth``).
        sign: for vendors that want every request signed.
        headers: sent with every request.
        allow_networks: private networks that may be reached, as CIDR.
        timeout_s: for connecting and between two bytes.
        raise_for_body: called with each decoded JSON answer; raises for vendors that hide errors
            behind status 200.
        raise_for_refusal: called with status and decoded body of each answer of 400 and more that
            is JSON; raises where the body says better than the status what is to be done.
        hidden: parts of the address that no error may show: a token the vendor wants in the path.
        conflicts: statuses by which this vendor says that it holds a newer copy.
        heard: told the headers of every answer, where some vendors say what is left of a budget.
    """

    def __init__(
        self,
        base: str,
        *,
        auth: tuple[str, str] | TokenAuth | None = None,
        sign: Sign | None = None,
        headers: Mapping[str, str] | None = None,
        allow_networks: Sequence[str] = (),
        timeout_s: float = 30.0,
        raise_for_body: Callable[[Any], None] | None = None,
        raise_for_refusal: Callable[[int, Any], None] | None = None,
        hidden: Collection[str] = (),
        conflicts: Collection[int] = (409, 412),
        heard: Callable[[Mapping[str, str]], None] | None = None,
    ) -> None:
        self.base = base.rstrip("/")
        self._timeout_s = timeout_s
        self.answers, self._raise_for_refusal = raise_for_body, raise_for_refusal
        self._hidden = [text for text in hidden if text]
        self._conflicts, self._heard = conflicts, heard
        self._session = _Session()
        self._session.own_headers = tuple(headers or ())
        self._session.trust_env = False  # a proxy variable must not lead round the guard
        self._session.max_redirects = 5
        self.tokens: TokenAuth | None = None
        if isinstance(auth, tuple):  # as UTF-8: a Chinese password does not fit Latin-1
            self._session.auth = HTTPBasicAuth(auth[0].encode(), auth[1].encode())
        elif auth:
            self.tokens = auth
            self._session.own_headers += auth.header_names
        self._sign = sign
        if sign:
            self._session.auth = self._signed
        self._session.headers.update({"User-Agent": "Conduit", **(headers or {})})
        self._ahead = timedelta(0)
        self.pace: Pace | None = None
        self.allow(allow_networks)

    @property
    def signs(self) -> bool:
        """Whether every request is signed."""
        return self._sign is not None

    def allow(self, networks: Sequence[str]) -> None:
        """Let this client reach these private networks and no others."""
        guarded = GuardedAdapter(networks)
        self._session.mount("http://", guarded)
        self._session.mount("https://", guarded)
        if self.tokens:
            self.tokens.allow(networks)

    def now(self) -> datetime:
        """The vendor's clock, as its last answer told; ours until there was one."""
        return _utc_now() + self._ahead

    def get(self, path: str, **kwargs: Any) -> Any:
        """The decoded JSON answer to a GET."""
        return self.json("GET", path, **kwargs)

    def find(self, path: str, **kwargs: Any) -> Any:
        """The decoded JSON answer to a GET; None when the vendor says that there is no such thing.

        It says so in JSON: a 404 of another form comes from something else at that address. Others
        say it with status 200: see ``gone`` of ``Answers``.
        """
        try:
            return self.json("GET", path, absent=GONE, **kwargs)
        except GoneError:
            return None

    def json(self, method: str, path: str, **kwargs: Any) -> Any:
        """The decoded JSON answer; None when the body is empty.

        Raises:
            RetryableError: the answer is not JSON.
            UnknownOutcomeError: nor is that of a write, which may have happened.
        """
        return self._let_in(partial(self._json, method, path, **kwargs))

    def _json(self, method: str, path: str, **kwargs: Any) -> Any:
        response = self._request(method, path, **kwargs)
        if not response.content or response.status_code in kwargs.get("absent", ()):
            return None
        try:
            body = orjson.loads(response.content)
        except orjson.JSONDecodeError as exc:
            uncertain = not _repeatable(method, **kwargs)
            raise (UnknownOutcomeError if uncertain else RetryableError)(
                f"{method} {_bare(response.url)} answered something that is not JSON",
                hint="Check the address of this connection: it may lead to a web page.",
            ) from exc
        if self.answers:
            self.answers(body)
        return body

    def request(
        self,
        method: str,
        path: str,
        *,
        idempotency_key: str | None = None,
        repeatable: bool | None = None,
        any_status: bool = False,
        **kwargs: Any,
    ) -> requests.Response:
        """The answer, when its status is below 400.

        Args:
            method: as in HTTP.
            path: joined to the base, or a whole URL.
            idempotency_key: sent along; makes a POST repeatable.
            repeatable: True for a POST that only reads.
            any_status: give the answer whatever its status; only a lost one raises.
            kwargs: as ``requests`` takes them: params, json, data, headers, timeout …

        Raises:
            AuthError: 401 or 403.
            RetryableError: unreachable, 408, 429 or 5xx, after the short retries; or its budget
                does not allow it now.
            ConflictError: 409 or 412, or what this vendor uses.
            RejectedError: any other 4xx.
            UnknownOutcomeError: a write was sent and its answer was lost.
        """
        return self._let_in(
            partial(
                self._request,
                method,
                path,
                idempotency_key=idempotency_key,
                repeatable=repeatable,
                any_status=any_status,
                **kwargs,
            )
        )

    def _request(
        self,
        method: str,
        path: str,
        *,
        idempotency_key: str | None = None,
        repeatable: bool | None = None,
        **kwargs: Any,
    ) -> requests.Response:
        url = path if urlsplit(path).scheme else f"{self.base}{path}"
        if self.tokens and _host(url) == _host(self.base):
            kwargs = self.tokens.signed(kwargs)
        if idempotency_key:
            kwargs["headers"] = {**kwargs.get("headers", {}), "Idempotency-Key": idempotency_key}
        repeatable = _repeatable(method, idempotency_key, repeatable=repeatable)
        retrying = Retrying(
            stop=stop_after_attempt(TRIES if repeatable else 1),
            wait=_wait,
            retry=retry_if_exception(_is_short),
            before=self._keep_pace,  # what it raises is not retried
            reraise=True,
        )
        return retrying(self._once, method, url, repeatable=repeatable, **kwargs)

    def _let_in(self, call: Callable[[], T]) -> T:
        """The call's answer; once more with newer tokens when those sent are not taken any longer.

        Whoever refuses a request has not done it, so that a write may be sent again as well.
        """
        with self._hiding():
            if self.tokens is None:
                return self._in_time(call)
            sent = self.tokens.current()
            try:
                return call()
            except AuthError:
                if not self.tokens.replaced(sent):
                    raise
            return call()

    def _in_time(self, call: Callable[[], T]) -> T:
        """The call's answer; once more when it was refused and signed by a clock that is wrong."""
        before = self._ahead
        try:
            return call()
        except AuthError:
            if self._sign is None or abs(self._ahead - before) < SKEW:
                raise
        return call()

    def _signed(self, request: Outgoing) -> Outgoing:
        if self._sign:
            self._sign(request, self.now())
        return request

    @contextmanager
    def _hiding(self) -> Iterator[None]:
        """Keep out of errors what they must not show of the address."""
        try:
            yield
        except HubError as exc:
            for text in self._hidden:
                exc.args = tuple(str(arg).replace(text, "***") for arg in exc.args)
                exc.hint = exc.hint.replace(text, "***")
            raise

    def _keep_pace(self, _: RetryCallState) -> None:
        if self.pace:
            self.pace.before()

    def _once(
        self,
        method: str,
        url: str,
        *,
        repeatable: bool,
        any_status: bool = False,
        absent: Collection[int] = (),
        **kwargs: Any,
    ) -> requests.Response:
        """One try. What requests raised is not kept as cause: its text shows the whole URL."""
        began = time.monotonic()
        kwargs.setdefault("timeout", self._timeout_s)
        # requests turns a redirected write into a GET, which would look like success.
        # A signature is of one address.
        kwargs.setdefault("allow_redirects", method in READS and self._sign is None)
        try:
            response = self._session.request(method, url, stream=True, **kwargs)
            _read_capped(response, began + TOTAL_MAX_S)
        except (requests.ConnectionError, requests.Timeout) as exc:
            if _never_sent(exc):
                raise _unreachable(method, url, exc) from None
            raise _lost(method, url, repeatable=repeatable) from None
        except (requests.exceptions.ChunkedEncodingError, TimeoutError, HTTPError):
            raise _lost(method, url, repeatable=repeatable) from None
        except requests.TooManyRedirects:
            raise RemoteError(f"{method} {_bare(url)} redirects without end") from None
        took_ms = round((time.monotonic() - began) * 1000)
        log.debug(
            "http", extra={"method": method, "status": response.status_code, "took_ms": took_ms}
        )
        self._ahead = _ahead(response.headers.get("Date")) or self._ahead
        if self.pace:
            rest_s = retry_after_s(response)
            self.pace.after(response.status_code, rest_s)
        if self._heard:
            self._heard(response.headers)
        if response.is_redirect and not kwargs["allow_redirects"]:
            raise ConfigError(
                f"{method} {_bare(url)} leads elsewhere",
                hint="Set the address of this connection to where the system is now.",
            )
        if any_status or (response.status_code in absent and _is_json(response)):
            return response
        if not repeatable and response.status_code in UNCERTAIN:
            raise UnknownOutcomeError(f"{method} {_bare(url)} answered {response.status_code}")
        if self._raise_for_refusal and response.status_code >= 400:
            with suppress(orjson.JSONDecodeError):
                self._raise_for_refusal(response.status_code, orjson.loads(response.content))
        _raise_for_status(response, self._conflicts)
        return response

    def close(self) -> None:
        """Close the pooled sockets."""
        self._session.close()
        if self.tokens:
            self.tokens.close()


def _repeatable(
    method: str, idempotency_key: str | None = None, *, repeatable: bool | None = None, **_: Any
) -> bool:
    return method in REPEATABLE or idempotency_key is not None if repeatable is None else repeatable


def _is_short(failure: BaseException) -> bool:
    """Whether it is worth a few seconds of waiting."""
    return isinstance(failure, RetryableError) and (
        failure.retry_after_s is None or failure.retry_after_s <= RETRY_AFTER_MAX_S
    )


def _wait(state: RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome else None
    asked = failure.retry_after_s if isinstance(failure, RetryableError) else None
    return BACKOFF(state) if asked is None else asked


class _Session(requests.Session):
    """Forgets the connection's own headers when a redirect leads to another host."""

    own_headers: tuple[str, ...] = ()

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        before, after = str(response.request.url), str(prepared_request.url)
        if self.should_strip_auth(before, after):  # type: ignore[no-untyped-call]
            for name in self.own_headers:
                prepared_request.headers.pop(name, None)
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]


def _read_capped(response: requests.Response, deadline: float) -> None:
    """Read the body as it comes: neither without end nor drop by drop."""
    chunks, size = [], 0
    while chunk := response.raw.read1(64 * 1024, decode_content=True):
        if time.monotonic() > deadline:
            response.close()
            raise TimeoutError
        size += len(chunk)
        if size > SIZE_MAX_BYTES:
            response.close()
            raise RemoteError(f"{_bare(response.url)} sent more than {SIZE_MAX_BYTES} bytes")
        chunks.append(chunk)
    response._content = b"".join(chunks)


def _raise_for_status(response: requests.Response, conflicts: Collection[int]) -> None:
    status = response.status_code
    if status < 400:
        return
    where = f"{response.request.method} {_bare(response.url)} answered {status}"
    if status in (401, 403):
        raise AuthError(where, hint="Check user, password or token, and what they may do.")
    if status in (408, 425, 429) or status >= 500:
        after_s = retry_after_s(response)
        raise RetryableError(where, retry_after_s=after_s, maybe_done=status != 429)
    words = response.text[:300] if _is_json(response) else ""
    if status == 404 and not words:
        words = "Check the address of this connection: the system knows nothing there."
    raise (ConflictError if status in conflicts else RejectedError)(where, hint=words)


def _is_json(response: requests.Response) -> bool:
    return "json" in response.headers.get("Content-Type", "")


def retry_after_s(response: requests.Response) -> float | None:
    """How long the answer asks us to rest, at most ``REST_MAX_S``; None when it does not."""
    value = response.headers.get("Retry-After")
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return min(float(value), REST_MAX_S)
    try:
        asked = (parsedate_to_datetime(value) - _utc_now()).total_seconds()
        return min(max(0.0, asked), REST_MAX_S)
    except (ValueError, TypeError):
        return None


def _utc_now() -> datetime:
    """The clock; the contract suite sets it."""
    return datetime.now(UTC)


def _ahead(date: str | None) -> timedelta | None:
    try:
        return parsedate_to_datetime(date) - _utc_now() if date else None
    except (ValueError, TypeError):
        return None


def _never_sent(exc: requests.RequestException) -> bool:
    """Whether it failed before the request left: no address, no connection, no TLS."""
    if isinstance(exc, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError):
        return True
    reason = getattr(exc.args[0] if exc.args else None, "reason", None)
    return isinstance(reason, NewConnectionError)


def _lost(method: str, url: str, *, repeatable: bool) -> RemoteError:
    if repeatable:
        return RetryableError(f"{method} {_bare(url)} did not answer in time")
    return UnknownOutcomeError(f"{method} {_bare(url)} was sent, its answer was lost")


def _unreachable(method: str, url: str, exc: requests.RequestException) -> RetryableError:
    hint = "Check the address, and that the system is running."
    if isinstance(exc, requests.exceptions.SSLError):
        hint = "The certificate of this address is not valid."
    words = f"{method} {_bare(url)} cannot be reached: {_innermost(exc)}"
    return RetryableError(words, hint=hint, maybe_done=False)


def _innermost(exc: BaseException) -> str:
    """What it came down to, such as ConnectionRefusedError."""
    while below := exc.__cause__ or exc.__context__:
        exc = below
    return type(exc).__name__


def _host(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _bare(url: str) -> str:
    """The URL without user, query and fragment, where tokens hide."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
