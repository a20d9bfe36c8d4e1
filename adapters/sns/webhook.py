"""Amazon SNS: notifications signed with RSA by the certificate of the topic's region.

The certificate is fetched once, from that region's own host and no other; the subscription is
confirmed by visiting an address of the same host. With ``certificates`` nothing is fetched.

Source: https://docs.aws.amazon.com/sns/latest/dg/
sns-verify-signature-of-message-verify-message-signature.html (checked 2026-11)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_pem_x509_certificate
from pydantic import Field, field_validator

from hub.sdk import (
    ConfigError,
    ConnectionConfig,
    Envelope,
    HookRequest,
    Http,
    RejectedError,
    RemoteError,
    Reply,
    Row,
    SignatureError,
    WebhookReceiver,
)
from hub.sdk.signing import decode_base64, verify_fresh, verify_token

TOLERANCE_S = 3600
"""A retry keeps the instant of publication, and retries go on for about an hour."""

TIMEOUT_S = 5.0

CONFIRMS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
SIGNED_IN_CONFIRMS = (
    "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
)  # fmt: skip

LATER = Reply(503, b"The certificate cannot be fetched now.\n", {"Retry-After": "30"})

_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]+):\d{12}:[\w.-]+")
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]+\.pem")


class SnsConfig(ConnectionConfig):
    topic_arns: tuple[str, ...] = Field(
        min_length=1,
        description="Topics we take notifications from, and whose subscription we confirm",
        examples=[["arn:aws:sns:eu-west-1:123456789012:orders"]],
    )
    certificates: tuple[str, ...] = Field(
        default=(),
        description="Signing certificates (PEM) for a hub that may not fetch them; they change "
        "about once a year",
    )

    @field_validator("topic_arns")
    @classmethod
    def _are_topics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_ARN.fullmatch(arn) for arn in value):
            raise ValueError("write topics as arn:aws:sns:<region>:<account>:<name>")
        return value


class SnsReceiver(WebhookReceiver[SnsConfig]):
    """Our topics. An item is a message as SNS sent it."""

    def open(self, request: HookRequest) -> Envelope | Reply:
        message = _message(request.body)
        verify_token(self.config.topic_arns, message["TopicArn"])
        verify_fresh(message["Timestamp"], request.received_at, tolerance_s=TOLERANCE_S)
        try:
            certificates = self.config.certificates or (self._fetched(message),)
            _verify(message, certificates, request.received_at)
            if message["Type"] == CONFIRMS[0]:
                self._confirm(message)
                return Reply()
        except (RemoteError, ConfigError):
            return LATER
        return Envelope(self.items(request.body, _name))

    def parse(self, body: bytes) -> Iterator[Row]:
        """No rows: what a topic carries is up to its publisher."""
        _name(json.loads(body))
        yield from ()

    def _fetched(self, message: dict[str, str]) -> str:
        url = message.get("SigningCertURL", "")
        if not _CERTIFICATE.fullmatch(_path(url, message["TopicArn"])):
            raise SignatureError("the certificate's address is not the region's own")
        try:
            return _certificate(url, self.config.allow_networks)
        except RejectedError as exc:
            raise SignatureError("there is no certificate at its address") from exc

    def _confirm(self, message: dict[str, str]) -> None:
        url = message["SubscribeURL"]
        if _path(url, message["TopicArn"]) not in ("/", ""):
            raise SignatureError("the address to confirm at is not the region's own")
        try:
            _get(url, self.config.allow_networks)
        except RejectedError as exc:
            raise SignatureError("the confirmation was refused") from exc


def _message(body: bytes) -> dict[str, str]:
    """The fields of a message; each is text.

    Raises:
        SignatureError: it is none.
    """
    try:
        found = json.loads(body)
        message = {name: value for name, value in found.items() if isinstance(value, str)}
    except (ValueError, AttributeError, RecursionError) as exc:
        raise SignatureError("the body is no message") from exc
    signed = SIGNED_IN_CONFIRMS if message.get("Type") in CONFIRMS else SIGNED
    if missing := {*signed, "Signature"} - {"Subject"} - message.keys():
        raise SignatureError(f"the message has no {min(missing)}")
    return message


def _verify(message: dict[str, str], certificates: Sequence[str], now: datetime) -> None:
    digests = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 - the vendor's older version
    digest = digests.get(message.get("SignatureVersion", ""))
    if digest is None:
        raise SignatureError("the version of the signature is not known")
    signature = decode_base64(message["Signature"])
    names = SIGNED_IN_CONFIRMS if message["Type"] in CONFIRMS else SIGNED
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    for certificate in certificates:
        try:
            key = _public_key(certificate, now)
            key.verify(signature, text.encode("utf-8", "replace"), PKCS1v15(), digest)
        except InvalidSignature:
            continue
        return
    raise SignatureError("no certificate fits the signature")


def _public_key(pem: str, now: datetime) -> RSAPublicKey:
    try:
        certificate = load_pem_x509_certificate(pem.encode())
    except ValueError as exc:
        raise SignatureError("the certificate cannot be read") from exc
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise SignatureError("the certificate is of another kind")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise SignatureError("the certificate is not valid now")
    return key


def _path(url: str, arn: str) -> str:
    """The path of an address of the topic's region.

    Raises:
        SignatureError: it leads elsewhere.
    """
    _, partition, _, region, *_ = arn.split(":")
    host = f"sns.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}"
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise SignatureError("an address cannot be read") from exc
    if (parts.scheme, parts.netloc) != ("https", host):
        raise SignatureError("an address is not the region's own")
    return parts.path


@lru_cache(maxsize=64)
def _certificate(url: str, allow_networks: tuple[str, ...]) -> str:
    return _get(url, allow_networks)


def _get(url: str, allow_networks: tuple[str, ...]) -> str:
    """One try, without redirects: somebody waits."""
    http = Http("", allow_networks=allow_networks, timeout_s=TIMEOUT_S)
    try:
        return http.request("GET", url, repeatable=False, allow_redirects=False).text
    finally:
        http.close()


def _name(message: Any) -> tuple[Any, Any, Any]:
    return message["MessageId"], None, message.get("Subject") or message["Type"]
