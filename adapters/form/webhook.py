"""A form the hub hosts: people fill it in on a page, apps send the same as JSON.

GET answers with the page, or with its description for who wants JSON. A page carries a token that
says when it was asked for; the token is the submission's name, so that a form sent twice counts
once, and what is put right and sent again replaces what was sent before.
An app that keeps a secret of its own shows that instead.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, model_validator

from adapters.form.design import SHIPPED, Form, read_form
from adapters.form.entry import Entry, faults_of, read_entry
from adapters.form.limits import Limiter
from adapters.form.page import language_of, page, words_in
from hub.sdk import (
    ConfigError,
    ConnectionConfig,
    Envelope,
    HookRequest,
    Item,
    Reply,
    Row,
    SignatureError,
    SitePath,
    WebhookReceiver,
)
from hub.sdk.signing import body_hash, hmac_digest, revealed, verify_token

QUICKEST_S = 2
LONGEST_S = 24 * 3600
SAMPLE = "sample"
TRAP = "homepage"
NUMBER = re.compile(r"[0-9A-F]{8}")
TOKEN = "page_token"  # noqa: S105 - its name


class FormConfig(ConnectionConfig):
    form: str = Field(
        default="repair", pattern=r"^[a-z0-9_-]+$", description="A form shipped with the hub"
    )
    form_file: SitePath | None = Field(
        default=None, description="A form of your own: its TOML file, beside settings.toml"
    )
    page_secret: SecretStr = Field(
        min_length=16,
        description="Any long random text, 16 letters or more; pages are signed with it",
        examples=["Xo2mT0pWq8Z5nBvK"],
    )
    app_tokens: tuple[SecretStr, ...] = Field(
        default=(), description="Words of apps that send JSON without a page; two while one changes"
    )
    embed_origins: tuple[str, ...] = Field(
        default=(),
        description="Web pages that may embed the form, or send JSON from a browser",
        examples=[["https://www.example.com"]],
    )
    per_address_per_hour: int = Field(
        default=20, ge=1, description="How often one address may send, for each process"
    )

    @property
    def form_path(self) -> Path:
        """The file of the form."""
        return self.form_file or SHIPPED / f"{self.form}.toml"

    @model_validator(mode="after")
    def _has_a_sound_form(self) -> FormConfig:
        try:
            read_form(self.form_path)
        except ConfigError as exc:
            raise ValueError(f"{exc} {exc.hint}".strip()) from exc
        return self


class FormReceiver(WebhookReceiver[FormConfig]):
    """One form. A row is what one person sent."""

    asks_leave = True

    def __init__(self, config: FormConfig) -> None:
        super().__init__(config)
        self._limiter = Limiter(config.per_address_per_hour)

    @cached_property
    def form(self) -> Form:
        """What is asked."""
        return read_form(self.config.form_path)

    def open(self, request: HookRequest) -> Envelope | Reply:
        if request.method == "OPTIONS":
            return self._leave(request)
        if request.method == "GET":
            return self._shown(request)
        if "authorization" in request.headers:
            return self._from_app(request)
        return self._from_page(request)

    def parse(self, body: bytes) -> Iterator[Row]:
        yield Row("submissions", json.loads(body))

    def sample(self, at: datetime) -> HookRequest:
        word = (revealed(self.config.app_tokens) or [self._token(at, SAMPLE)])[0]
        headers = {"authorization": f"Bearer {word}"}
        values = {q.name: _harmless(q.kind, q.options) for q in self.form.questions if q.required}
        body = json.dumps({"values": values, "sample": at.isoformat()}).encode()
        return HookRequest("POST", headers, {}, body, at)

    def _shown(self, request: HookRequest) -> Reply:
        token = self._token(request.received_at, secrets.token_hex(12))
        if "application/json" in request.headers.get("accept", ""):
            told = {TOKEN: token, "form": self.form.model_dump(mode="json")}
            return self._json(request, 200, told)
        done = request.query.get("done", "")
        return self._page(request, token=token, done=done if NUMBER.fullmatch(done) else "")

    def _from_app(self, request: HookRequest) -> Envelope | Reply:
        given = request.headers["authorization"].removeprefix("Bearer ")
        known = revealed(self.config.app_tokens)
        if known:
            verify_token(known, given)
        else:  # only our own sample, which the page's secret signs; no page bears its name
            self._issued_at(given)
            verify_token([SAMPLE], given.split(".")[1])
        try:
            entry = read_entry(request, self.form)
        except (ValueError, TypeError, LookupError):
            return self._json(request, 422, _problem("unreadable", request))
        if faults := faults_of(entry, self.form):
            return self._json(request, 422, _problem("look", request, faults))
        name = request.headers.get("idempotency-key") or body_hash(request.body)
        return self._taken(request, entry, name, as_json=True)

    def _from_page(self, request: HookRequest) -> Envelope | Reply:
        as_json = request.headers.get("content-type", "").startswith("application/json")
        try:
            entry = read_entry(request, self.form)
        except (ValueError, TypeError, LookupError):
            raise SignatureError("what was sent cannot be read, so it proves no page") from None
        token = entry.more.get(TOKEN, "")
        age_s = (request.received_at - self._issued_at(token)).total_seconds()
        notice = (
            "trap" if entry.more.get(TRAP)
            else "soon" if age_s < QUICKEST_S
            else "again" if age_s > LONGEST_S
            else ""
        )  # fmt: skip
        faults = {} if notice else faults_of(entry, self.form)
        if notice or faults:
            return self._refused(request, entry, notice or "look", faults, as_json=as_json)
        if wait_s := self._limiter.wait_s(request.remote, request.received_at):
            refused = self._refused(request, entry, "often", {}, as_json=as_json, status=429)
            headers = {**refused.headers, "Retry-After": str(wait_s)}
            return Reply(429, refused.body, headers)
        return self._taken(request, entry, token.split(".")[1], as_json=as_json)

    def _refused(
        self,
        request: HookRequest,
        entry: Entry,
        notice: str,
        faults: Mapping[str, str],
        *,
        as_json: bool,
        status: int = 422,
    ) -> Reply:
        """The page again, with what was typed; a fresh one where the old one is too old."""
        if as_json:
            return self._json(request, status, _problem(notice, request, faults))
        token = entry.more.get(TOKEN, "")
        if notice == "again":
            token = self._token(request.received_at, secrets.token_hex(12))
        return self._page(
            request, token=token, notice=notice, faults=faults, typed=entry.values, status=status
        )

    def _taken(self, request: HookRequest, entry: Entry, name: str, *, as_json: bool) -> Envelope:
        language = language_of(request.query, request.headers)
        files = [file.row() for sent in entry.files.values() for file in sent]
        told = {key: value for key, value in entry.values.items() if value} | {"files": files}
        event = name
        if "authorization" not in request.headers:
            # Put right and sent again from the same page, it is the same submission, changed.
            event += "/" + body_hash(json.dumps(told, sort_keys=True).encode())
        row = {
            "id": name,
            "submitted_at": request.received_at.isoformat(),
            "language": language,
            "form": self.config.form_path.stem,
            **told,
        }
        body = json.dumps(row, ensure_ascii=False).encode()
        number = name[:8].upper()
        reply = (
            self._json(request, 202, {"id": name, "number": number})
            if as_json
            else _onward(language, number)
        )
        return Envelope([Item(body, event_id=event, type="submission")], reply)

    def _page(self, request: HookRequest, **shown: Any) -> Reply:
        language = language_of(request.query, request.headers)
        return page(self.form, language, embed_origins=self.config.embed_origins, **shown)

    def _json(self, request: HookRequest, status: int, told: Mapping[str, Any]) -> Reply:
        kind = "application/json" if status < 400 else "application/problem+json"
        headers = {"Content-Type": kind, "Cache-Control": "no-store", **self._cors(request)}
        return Reply(status, json.dumps(told, ensure_ascii=False).encode(), headers)

    def _leave(self, request: HookRequest) -> Reply:
        asked = {
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "content-type, idempotency-key",
            "Access-Control-Max-Age": "600",
        }
        allowed = self._cors(request)
        return Reply(204, b"", {**allowed, **asked} if allowed else {})

    def _cors(self, request: HookRequest) -> dict[str, str]:
        origin = request.headers.get("origin", "")
        if origin not in self.config.embed_origins:
            return {}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}

    def _token(self, at: datetime, nonce: str) -> str:
        told = f"{int(at.timestamp())}.{nonce}"
        return f"{told}.{self._mac(told)}"

    def _issued_at(self, token: str) -> datetime:
        """When a page of ours was asked for.

        Raises:
            SignatureError: it is none of ours.
        """
        told, _, mac = token.rpartition(".")
        verify_token([self._mac(told)], mac)
        return datetime.fromtimestamp(int(told.split(".")[0]), UTC)

    def _mac(self, told: str) -> str:
        return hmac_digest(self.config.page_secret.get_secret_value().encode(), told.encode()).hex()


def _onward(language: str, number: str) -> Reply:
    """To a page that may be loaded again: a browser that repeats a form may lack its files."""
    return Reply(303, b"", {"Location": f"?lang={language}&done={number}"})


def _problem(
    notice: str, request: HookRequest, faults: Mapping[str, str] | None = None
) -> dict[str, Any]:
    words = words_in(language_of(request.query, request.headers))
    told: dict[str, Any] = {"status": 422, "detail": words[notice]}
    return told | ({"faults": {name: words[f] for name, f in faults.items()}} if faults else {})


def _harmless(kind: str, options: Mapping[str, Any]) -> str:
    """A value that passes for a question that must be answered."""
    known = {"email": "sample@example.com", "phone": "+8613800000000", "date": "2026-01-01"}
    return next(iter(options), known.get(kind, "sample"))
