"""Proof for senders that sign nothing: shared words, a secret path, addresses, a certificate.

Each is configured or not; all that are configured must hold, and none configured = refused.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address

from pydantic import Field, SecretStr

from hub.errors import SignatureError
from hub.sdk.adapter import ConnectionConfig
from hub.sdk.signing import header, revealed, verify_token
from hub.sdk.types import HookRequest

Secrets = tuple[SecretStr, ...]


class ProofConfig(ConnectionConfig):
    """The config of a receiver whose vendor signs nothing; extend it, and call ``prove``."""

    token_header: str = Field(
        default="X-Hub-Token",
        pattern=r"^[a-zA-Z0-9-]+$",
        description="Header in which the sender gives one of `header_tokens`",
        examples=["X-Api-Key"],
    )
    header_tokens: Secrets = Field(
        default=(), description="Words the sender gives in that header; two while one is rotated"
    )
    path_tokens: Secrets = Field(
        default=(), description="Secret last part of the address: /hooks/<connection>/<token>"
    )
    token_query: str = Field(
        default="token",
        pattern=r"^[a-zA-Z0-9_-]+$",
        description="Parameter of the address in which the sender gives one of `query_tokens`",
    )
    query_tokens: Secrets = Field(
        default=(),
        description="Words the sender gives in that parameter: /hooks/<connection>?token=…",
    )
    basic_user: str = Field(default="", description="User of HTTP basic authentication")
    basic_passwords: Secrets = Field(default=(), description="Passwords of that user")
    sender_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        description="Networks the sender calls from; behind our own proxy set `proxies` too",
        examples=[["203.0.113.0/24"]],
    )
    certificate_header: str = Field(
        default="",
        pattern=r"^[a-zA-Z0-9-]*$",
        description="Header in which our own proxy gives the verified client certificate's "
        "fingerprint, such as X-Client-Cert-Fingerprint; the proxy must remove it from what comes "
        "from outside",
    )
    certificate_fingerprints: tuple[str, ...] = Field(
        default=(), description="Fingerprints of the certificates we accept"
    )

    @property
    def asks(self) -> bool:
        """Whether any proof is configured."""
        return any(
            (
                self.header_tokens,
                self.path_tokens,
                self.query_tokens,
                self.basic_user or self.basic_passwords,
                self.sender_networks,
                self.certificate_header or self.certificate_fingerprints,
            )
        )


def prove(config: ProofConfig, request: HookRequest) -> None:
    """Return when the request holds everything the config asks for.

    Raises:
        SignatureError: something is missing or different, or nothing is configured.
    """
    if not config.asks:
        raise SignatureError(
            "nothing is configured that would prove the sender",
            hint="Configure header_tokens, path_tokens, query_tokens, basic_passwords, "
            "sender_networks or certificate_fingerprints.",
        )
    if config.header_tokens:
        given = header(request.headers, config.token_header.lower())
        verify_token(revealed(config.header_tokens), given)
    if config.path_tokens:
        verify_token(revealed(config.path_tokens), request.path)
    if config.query_tokens:
        verify_token(revealed(config.query_tokens), request.query.get(config.token_query, ""))
    if config.basic_user or config.basic_passwords:
        told = [_basic(config.basic_user, word) for word in revealed(config.basic_passwords)]
        verify_token(told, header(request.headers, "authorization"))
    if config.certificate_header or config.certificate_fingerprints:
        given = header(request.headers, config.certificate_header.lower())
        verify_token([_plain(f) for f in config.certificate_fingerprints], _plain(given))
    if config.sender_networks:
        _verify_sender(config, request.remote)


def attest(config: ProofConfig, request: HookRequest) -> HookRequest:
    """The request with everything the config asks for, as its sender would send it."""
    headers, query = dict(request.headers), dict(request.query)
    path, remote = request.path, request.remote
    for token in revealed(config.header_tokens)[:1]:
        headers[config.token_header.lower()] = token
    for token in revealed(config.path_tokens)[:1]:
        path = token
    for token in revealed(config.query_tokens)[:1]:
        query[config.token_query] = token
    for password in revealed(config.basic_passwords)[:1]:
        headers["authorization"] = _basic(config.basic_user, password)
    for fingerprint in config.certificate_fingerprints[:1]:
        headers[config.certificate_header.lower()] = fingerprint
    for network in config.sender_networks[:1]:
        remote = str(network.network_address)
    return replace(request, headers=headers, query=query, path=path, remote=remote)


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _verify_sender(config: ProofConfig, remote: str) -> None:
    try:
        address = ip_address(remote)
    except ValueError as exc:
        raise SignatureError("the sender's address is not known") from exc
    if not any(address in network for network in config.sender_networks):
        raise SignatureError(
            f"the sender's address {address} is in none of sender_networks",
            hint="Add its network; behind our own proxy set `proxies` in settings.toml.",
        )


def _plain(fingerprint: str) -> str:
    return fingerprint.replace(":", "").lower()
