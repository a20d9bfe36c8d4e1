"""Proof for senders that sign nothing: what is asked for must be there; nothing asked = refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.errors import SignatureError
from hub.sdk import HookRequest
from hub.sdk.proof import ProofConfig, attest, prove

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BARE = HookRequest("POST", {}, {}, b"{}", NOW)

KINDS: dict[str, dict[str, Any]] = {
    "header": {"header_tokens": ["tokén"], "token_header": "X-Api-Key"},
    "path": {"path_tokens": ["token"]},
    "query": {"query_tokens": ["token"], "token_query": "code"},
    "basic": {"basic_user": "用户", "basic_passwords": ["pass:word"]},
    "network": {"sender_networks": ["203.0.113.0/24", "2001:db8::/32"]},
    "certificate": {
        "certificate_header": "X-Client-Cert-Fingerprint",
        "certificate_fingerprints": ["AB:CD:EF"],
    },
}


FORGED: dict[str, dict[str, Any]] = {
    "header": {"headers": {"x-api-key": "token"}},
    "path": {"path": "tokem"},
    "query": {"query": {"code": "token "}},
    "basic": {"headers": {"authorization": "Basic dXNlcjpwYXNz"}},
    "network": {"remote": "203.0.114.1"},
    "certificate": {"headers": {"x-client-cert-fingerprint": "abcdee"}},
}


def refused(config: ProofConfig, request: HookRequest) -> None:
    with pytest.raises(SignatureError):
        prove(config, request)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_asked_for_must_be_there(kind: str) -> None:
    config = ProofConfig.model_validate(KINDS[kind])
    assert config.asks
    genuine = attest(config, BARE)
    prove(config, genuine)
    refused(config, BARE)
    refused(config, replace(genuine, **FORGED[kind]))


def test_nothing_asked_for_is_refused() -> None:
    refused(ProofConfig(), BARE)
    assert not ProofConfig().asks


def test_all_of_several_must_hold() -> None:
    several = {name: told for kind in KINDS.values() for name, told in kind.items()}
    config = ProofConfig.model_validate(several)
    genuine = attest(config, BARE)
    prove(config, genuine)
    lacks: list[dict[str, Any]] = [{"query": {}}, {"path": ""}, {"remote": ""}, {"remote": "here"}]
    for lacking in (
        *lacks,
        *(
            {"headers": {k: v for k, v in genuine.headers.items() if k != n}}
            for n in genuine.headers
        ),
    ):
        refused(config, replace(genuine, **lacking))


@pytest.mark.parametrize(
    "half",
    [
        {"header_tokens": [""]},
        {"path_tokens": [""]},
        {"query_tokens": [""]},
        {"basic_user": "user"},
        {"basic_passwords": [""]},
        {"certificate_header": "X-Cert"},
        {"certificate_fingerprints": ["ab"]},
    ],
)
def test_half_a_proof_is_none(half: dict[str, Any]) -> None:
    config = ProofConfig.model_validate(half)
    assert config.asks
    for sent in (BARE, replace(BARE, headers={"x-hub-token": "", "x-cert": ""})):
        refused(config, sent)


def test_two_words_while_one_is_changed() -> None:
    config = ProofConfig.model_validate({"header_tokens": ["old", "new"]})
    for word in ("old", "new"):
        prove(config, replace(BARE, headers={"x-hub-token": word}))


def test_a_fingerprint_in_any_writing() -> None:
    config = ProofConfig.model_validate(KINDS["certificate"])
    for told in ("ab:cd:ef", "ABCDEF", "abcdef"):
        prove(config, replace(BARE, headers={"x-client-cert-fingerprint": told}))


@pytest.mark.parametrize("remote", ["203.0.113.255", "2001:db8::1"])
def test_networks(remote: str) -> None:
    prove(ProofConfig.model_validate(KINDS["network"]), replace(BARE, remote=remote))
