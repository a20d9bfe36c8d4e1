"""How a sender proves a request: recipes as data, and the few primitives below them.

A ``Recipe`` says where the signature stands, what was signed in which order, and with which digest.
The same lines verify what comes in and sign samples. A place is a text, ``kind`` or ``kind:name``:

    body, method, url, path   of the request; ``url`` with and without its port
    secret                    the secret itself, for digests that are no HMAC
    text:v0                   these very letters
    header:x-signature        a header; ``header:x-signature#v1`` = entries ``v1=…`` of its list
    query:sign, query         one parameter; all but the signature as ``k=v&…``, sorted
    form:token, form          one field of a form; all as name and value, sorted
    json:signature.token      a value inside a JSON body
    xml:Encrypt               the text of an element of an XML body

Nothing configured = refused; comparison in constant time, on the text a sender would have sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Literal
from urllib.parse import parse_qsl, urlsplit, urlunsplit
from xml.etree.ElementTree import Element

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_der_public_key
from defusedxml import ElementTree
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from hub.errors import SignatureError
from hub.sdk.types import HookRequest

Digest = Literal[
    "hmac-sha1",
    "hmac-sha256",
    "hmac-sha512",
    "md5",
    "sha1",
    "sha256",
    "ecdsa-p256-sha256",
    "ed25519",
]

_KINDS = frozenset(
    {"body", "method", "url", "path", "secret", "text", "header", "query", "form", "json", "xml"}
)
_NAMED = frozenset({"text", "header", "json", "xml"})
_VARIED = frozenset({"secret", "url"})

FIELDS_MAX = 1000
"""A form with more fields is refused: strangers may send forms, and taking them apart is slow."""


class Recipe(BaseModel):
    """How one kind of sender proves a request.

    Attributes:
        signature: the place of the signature.
        parts: the places of what is signed, in order.
        separator: stands between the parts.
        sort: the parts are sorted before they are joined.
        digest: a plain hash needs ``secret`` among the parts; the last two are public keys.
        encoding: of the signature.
        prefix: stands before the signature, such as ``sha256=``.
        split: between several signatures in one place; those without the prefix are ignored.
        key: how the secret is written; ``key_prefix`` stands before it.
        url_unquoted: characters whose ``%XX`` the sender decodes before it signs a URL.
        timestamp: the place of the instant, Unix seconds or milliseconds or ISO 8601; "" where the
            sender gives none.
        tolerance_s: how far the instant may be from now, either way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    signature: str
    parts: tuple[str, ...] = Field(min_length=1)
    separator: str = ""
    sort: bool = False
    digest: Digest = "hmac-sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    split: str = ""
    key: Literal["text", "base64", "hex"] = "text"
    key_prefix: str = ""
    url_unquoted: str = ""
    timestamp: str = ""
    tolerance_s: int = 300

    @field_validator("signature", "timestamp", "parts")
    @classmethod
    def _are_places(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for place in [value] if isinstance(value, str) else value:
            kind, _, name = place.partition(":")
            if place and (kind not in _KINDS or (kind in _NAMED and not name)):
                raise ValueError(f"{place!r} is no place; known: {', '.join(sorted(_KINDS))}")
        return value

    @model_validator(mode="after")
    def _uses_the_secret(self) -> Recipe:
        plain = self.digest in ("md5", "sha1", "sha256")
        if plain and "secret" not in self.parts:
            raise ValueError(f"{self.digest} proves nothing without the secret among the parts")
        return self

    def verify(self, request: HookRequest, secrets: Sequence[str]) -> None:
        """Return when a signature of the request fits any of the secrets, and it is fresh.

        Raises:
            SignatureError: something is missing or malformed, nothing fits, or it is stale.
        """
        given = self._given(request)
        keys = [key for secret in secrets if (key := self._key(secret))]
        told = self._told(request)
        fits = [
            _fits(self, key, message, signature)
            for key in keys
            for message in self._messages(told, request.url, key)
            for signature in given
        ]
        if not any(fits):
            raise SignatureError(
                "no configured secret fits the signature" if keys else "no secret is configured",
                hint="Compare the secret at the sender with the one of this connection.",
            )
        if self.timestamp:
            instant = value_at(self.timestamp, request)
            verify_fresh(instant, request.received_at, tolerance_s=self.tolerance_s)

    def sign(self, request: HookRequest, secret: str) -> HookRequest:
        """The request as its sender would send it; the timestamp must be in its place already.

        Raises:
            SignatureError: a part is missing, or only the sender has the private key.
        """
        key = self._key(secret)
        message = self._messages(self._told(request), request.url, key)[0]
        signature = self.prefix + _encoded(self, _digest(self.digest, key, message))
        kind, _, name = self.signature.partition(":")
        if kind == "query":
            return replace(request, query={**request.query, name: signature})
        if kind == "header":
            name, _, entry = name.partition("#")
            told, had = f"{entry}={signature}" if entry else signature, request.headers.get(name)
            joined = f"{had},{told}" if entry and had else told
            return replace(request, headers={**request.headers, name: joined})
        if kind == "json" and "." not in name:
            body = json.dumps({**json.loads(request.body), name: signature}, ensure_ascii=False)
            return replace(request, body=body.encode())
        raise SignatureError(f"a sample cannot be signed into {self.signature}")

    def _given(self, request: HookRequest) -> list[str]:
        found = _texts(self.signature, request)
        entries = [e for text in found for e in (text.split(self.split) if self.split else [text])]
        given = [e.removeprefix(self.prefix) for e in entries if e.startswith(self.prefix)]
        if not any(given):
            raise SignatureError(f"the signature is missing or malformed: {self.signature}")
        return given[:16]

    def _key(self, secret: str) -> bytes:
        """The key's bytes; empty, which is not used, when it is damaged."""
        text = secret.removeprefix(self.key_prefix)
        try:
            if self.key == "base64":
                return decode_base64(text)
            return bytes.fromhex(text) if self.key == "hex" else text.encode()
        except (ValueError, SignatureError):
            return b""

    def _messages(self, told: Mapping[str, bytes], url: str, key: bytes) -> list[bytes]:
        """What may have been signed: one message for each way to write the URL."""
        urls = _urls(url, self.url_unquoted) if "url" in self.parts else [""]
        return [
            self._message({**told, "secret": key, "url": u.encode("utf-8", "replace")})
            for u in urls
        ]

    def _message(self, told: Mapping[str, bytes]) -> bytes:
        parts = [told[place] for place in self.parts]
        return self.separator.encode().join(sorted(parts) if self.sort else parts)

    def _told(self, request: HookRequest) -> dict[str, bytes]:
        """What stands in the places that are the same for every key and every way to write."""
        return {place: self._part(place, request) for place in self.parts if place not in _VARIED}

    def _part(self, place: str, request: HookRequest) -> bytes:
        if place == "body":
            return request.body
        if place == "query":
            mine = self.signature.removeprefix("query:")
            pairs = sorted(pair for pair in request.query.items() if pair[0] != mine)
            return "&".join(f"{name}={value}" for name, value in pairs).encode()
        return value_at(place, request).encode("utf-8", "replace")


def verify_any(recipes: Mapping[str, Recipe], request: HookRequest, secrets: Sequence[str]) -> str:
    """The name of the first recipe by which the request is proven.

    Raises:
        SignatureError: none; what the first of those says whose signature stands in its place.
    """
    refusals: list[SignatureError] = []
    for name, recipe in recipes.items():
        try:
            recipe.verify(request, secrets)
        except SignatureError as exc:
            refusals.append(exc)
        else:
            return name
    raise max(refusals, key=lambda exc: bool(exc.hint))


STANDARD = Recipe(
    signature="header:webhook-signature",
    parts=("header:webhook-id", "header:webhook-timestamp", "body"),
    separator=".",
    encoding="base64",
    prefix="v1,",
    split=" ",
    key="base64",
    key_prefix="whsec_",
    timestamp="header:webhook-timestamp",
)
"""Standard Webhooks, v1.

Source: https://github.com/standard-webhooks/standard-webhooks (1.0.0, checked 2026-11)
"""

STANDARD_PUBLIC = STANDARD.model_copy(
    update={"digest": "ed25519", "prefix": "v1a,", "key_prefix": "whpk_"}
)
"""Standard Webhooks, v1a: the secret is the sender's public key."""


@cache
def standard(prefix: str = "webhook") -> tuple[Recipe, Recipe]:
    """Standard Webhooks v1 and v1a with other header names, such as ``svix-id``."""

    def renamed(recipe: Recipe) -> Recipe:
        told = recipe.model_dump_json().replace("header:webhook-", f"header:{prefix}-")
        return Recipe.model_validate_json(told)

    return renamed(STANDARD), renamed(STANDARD_PUBLIC)


def revealed(secrets: Iterable[SecretStr]) -> list[str]:
    """The texts of configured secrets, without empty ones."""
    return [text for secret in secrets if (text := secret.get_secret_value())]


def hmac_digest(key: bytes, message: bytes, *, digest: str = "sha256") -> bytes:
    """The HMAC of ``message``; ``digest`` as hashlib names it."""
    return hmac.new(key, message, digest).digest()


def verify_token(expected: Sequence[str], given: str) -> None:
    """Return when ``given`` equals one of the expected shared tokens.

    Raises:
        SignatureError: none is configured, or none is equal.
    """
    told = given.encode("utf-8", "replace")
    fits = [hmac.compare_digest(e.encode(), told) for e in expected if e]
    if not any(fits):
        raise SignatureError(
            "the token is not one of ours" if fits else "no token is configured",
            hint="Compare the token at the sender with the one of this connection.",
        )


def verify_fresh(timestamp: str, now: datetime, *, tolerance_s: int = 300) -> None:
    """Return when ``timestamp`` (Unix seconds or milliseconds, or ISO 8601) is close to ``now``.

    Raises:
        SignatureError: not an instant, too old, or from the future.
    """
    if abs(now.timestamp() - _seconds(timestamp)) > tolerance_s:
        raise SignatureError(
            "the timestamp is too far from now", hint="Check the clocks of both machines."
        )


def header(headers: Mapping[str, str], name: str) -> str:
    """The header's value.

    Raises:
        SignatureError: it is missing or empty.
    """
    value = headers.get(name, "")
    if not value:
        raise SignatureError(f"the header {name} is missing")
    return value


def decode_base64(text: str) -> bytes:
    """The bytes behind strict base64: no other text gives the same bytes.

    Raises:
        SignatureError: it is not base64.
    """
    try:
        decoded = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as exc:
        raise SignatureError("a signature or key is not base64") from exc
    if base64.b64encode(decoded).decode() != text:
        raise SignatureError("a signature or key is not base64")
    return decoded


def xml(body: bytes) -> Element:
    """The root of an XML body; entities and document types are refused.

    Raises:
        SignatureError: it is no such XML.
    """
    try:
        root: Element = ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError, LookupError) as exc:  # its refusals are ValueErrors
        raise SignatureError("the body is no XML") from exc
    return root


def value_at(place: str, request: HookRequest) -> str:
    """What stands in a place of the request.

    Raises:
        SignatureError: nothing does.
    """
    found = _texts(place, request)
    if not found:
        raise SignatureError(f"the request has no {place}")
    return found[0]


def body_hash(body: bytes) -> str:
    """A stable name for an event whose vendor gives none: hex SHA-256."""
    return hashlib.sha256(body).hexdigest()


def form(body: bytes) -> list[tuple[str, str]]:
    """The fields of an ``application/x-www-form-urlencoded`` body, in order.

    Raises:
        SignatureError: it is no such form.
    """
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            max_num_fields=FIELDS_MAX,
        )
    except ValueError as exc:
        raise SignatureError("the body is no form") from exc


def _texts(place: str, request: HookRequest) -> list[str]:
    """What stands in a place; empty when there is nothing."""
    kind, _, name = place.partition(":")
    return [text for text in _READERS[kind](request, name) if text is not None]


def _from_header(request: HookRequest, name: str) -> list[str | None]:
    name, _, entry = name.partition("#")
    value = request.headers.get(name)
    if not entry or value is None:
        return [value]
    pairs = (part.strip().partition("=") for part in value.split(","))
    return [told for key, _, told in pairs if key == entry]


def _from_path(request: HookRequest, _: str) -> list[str | None]:
    try:
        return [urlsplit(request.url).path]
    except ValueError:  # half an IPv6 address
        return [None]


def _from_form(request: HookRequest, name: str) -> list[str | None]:
    fields = form(request.body)
    if name:
        return [next((value for key, value in fields if key == name), None)]
    return ["".join(key + value for key, value in sorted(set(fields)))]


def _from_json(request: HookRequest, name: str) -> list[str | None]:
    try:
        found = json.loads(request.body)
        for step in name.split("."):
            found = found[step]
    except (ValueError, LookupError, TypeError, RecursionError):
        return [None]
    return [str(found) if isinstance(found, str | int) else None]


def _from_xml(request: HookRequest, name: str) -> list[str | None]:
    try:
        return [xml(request.body).findtext(name)]
    except (SignatureError, SyntaxError):  # the name is a path that may be wrong
        return [None]


_READERS: Mapping[str, Callable[[HookRequest, str], list[str | None]]] = {
    "text": lambda _, name: [name],
    "method": lambda request, _: [request.method.upper()],
    "path": _from_path,
    "query": lambda request, name: [request.query.get(name)],
    "header": _from_header,
    "form": _from_form,
    "json": _from_json,
    "xml": _from_xml,
}


def _urls(url: str, unquoted: str) -> list[str]:
    """The ways a sender may have written our address; the first is as it came."""
    for letter in unquoted:
        url = url.replace(f"%{ord(letter):02X}", letter).replace(f"%{ord(letter):02x}", letter)
    try:
        split = urlsplit(url)
        host, given = split.hostname or "", split.port
    except ValueError:  # a port that is no number, half an IPv6 address
        return [url]
    port = {"https": 443, "http": 80}.get(split.scheme)
    netlocs = [split.netloc, host if given else f"{host}:{port}"]
    return [urlunsplit(split._replace(netloc=netloc)) for netloc in netlocs]


def _fits(recipe: Recipe, key: bytes, message: bytes, given: str) -> bool:
    if recipe.digest in ("ecdsa-p256-sha256", "ed25519"):
        return _is_by(recipe.digest, key, message, given)
    expected = _encoded(recipe, _digest(recipe.digest, key, message))
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def _digest(digest: Digest, key: bytes, message: bytes) -> bytes:
    kind, _, algorithm = digest.rpartition("-")
    if digest in ("ecdsa-p256-sha256", "ed25519"):
        raise SignatureError("only the sender has the private key")
    if not kind:
        return hashlib.new(algorithm, message).digest()
    return hmac.new(key, message, algorithm).digest()


def _is_by(digest: Digest, key: bytes, message: bytes, given: str) -> bool:
    try:
        signature = decode_base64(given)
        if digest == "ed25519":
            ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        else:
            public = load_der_public_key(key)
            if not isinstance(public, ec.EllipticCurvePublicKey):
                return False
            public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except (SignatureError, InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _encoded(recipe: Recipe, digest: bytes) -> str:
    return digest.hex() if recipe.encoding == "hex" else base64.b64encode(digest).decode()


def _seconds(timestamp: str) -> float:
    if timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 13:
        return int(timestamp) / (1000 if len(timestamp) == 13 else 1)
    try:
        at = datetime.fromisoformat(timestamp)
    except ValueError as exc:
        raise SignatureError("the timestamp is not an instant") from exc
    if at.tzinfo is None:
        raise SignatureError("the timestamp has no time zone")
    return at.timestamp()
