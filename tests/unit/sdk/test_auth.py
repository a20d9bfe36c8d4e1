"""Tokens that run out, against a vendor on loopback that takes a refresh token once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.errors import AuthError, ConfigError, RetryableError
from hub.sdk import Http, auth, http
from hub.sdk.auth import MemoryTokens, OAuth2, TokenAuth, Tokens, challenge, new_verifier
from tests.token_server import CLIENT, SECRET, TokenServer, serving

LOOPBACK = ("127.0.0.0/8", "::1/128")
CALLBACK = "https://hub.example.com/oauth/callback"


@pytest.fixture
def vendor() -> Iterator[TokenServer]:
    with serving(TokenServer()) as server:
        yield server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Moves the clock on."""
    at = [datetime(2027, 1, 1, tzinfo=UTC)]
    monkeypatch.setattr(auth, "now", lambda: at[0])

    def move(by: timedelta) -> None:
        at[0] += by

    return move


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF", lambda _: 0.0)


def oauth(vendor: TokenServer, **more: Any) -> OAuth2:
    where = {"token_url": f"{vendor.address}/token", "authorize_url": f"{vendor.address}/agree"}
    return OAuth2(**{"client_id": CLIENT, "client_secret": SECRET, **where, **more})


def plain() -> Http:
    return Http("", allow_networks=LOOPBACK)


def signed_in(vendor: TokenServer) -> Tokens:
    asked, verifier = oauth(vendor), new_verifier()
    back = vendor.agree(asked.ask_url(CALLBACK, "state", verifier))
    return asked.redeem(plain(), back, CALLBACK, verifier)


def client(vendor: TokenServer, store: MemoryTokens) -> Http:
    return Http(
        vendor.address,
        auth=TokenAuth(store, oauth(vendor).renew),
        allow_networks=LOOPBACK,
    )


def test_challenge_is_that_of_the_standard() -> None:
    """Source: RFC 7636, appendix B."""
    assert challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == (
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


def test_the_page_to_agree_on_keeps_the_vendors_own_parameters() -> None:
    asked = OAuth2("https://x/token", "me", authorize_url="https://x/ask?tenant=7", scope="a b")
    query = parse_qs(urlsplit(asked.ask_url(CALLBACK, "st", "ver")).query)
    assert query["tenant"] == ["7"]
    assert query["scope"] == ["a b"]
    assert query["redirect_uri"] == [CALLBACK]
    assert query["code_challenge"] == [challenge("ver")]
    assert "ver" not in query.values()


def test_an_answer_is_redeemed_once_and_only_with_its_verifier(vendor: TokenServer) -> None:
    asked, verifier = oauth(vendor), new_verifier()
    back = vendor.agree(asked.ask_url(CALLBACK, "state", verifier))
    with pytest.raises(AuthError, match="invalid_grant"):
        asked.redeem(plain(), back, CALLBACK, new_verifier())
    back = vendor.agree(asked.ask_url(CALLBACK, "state", verifier))
    tokens = asked.redeem(plain(), back, CALLBACK, verifier)
    assert tokens.access in vendor.valid
    assert tokens.told["instance"] == "https://eu7.example.com"
    with pytest.raises(AuthError, match="invalid_grant"):
        asked.redeem(plain(), back, CALLBACK, verifier)


def test_a_person_who_says_no_is_told_how_to_begin_again(vendor: TokenServer) -> None:
    with pytest.raises(AuthError, match="access_denied") as caught:
        oauth(vendor).redeem(plain(), f"{CALLBACK}?error=access_denied&state=x", CALLBACK, "v")
    assert "hub connect" in caught.value.hint


@pytest.mark.parametrize("in_body", [True, False])
def test_client_credentials(vendor: TokenServer, in_body: bool) -> None:
    asked = oauth(vendor, authorize_url="", in_body=in_body)
    api = Http(vendor.address, auth=TokenAuth(MemoryTokens(), asked.renew), allow_networks=LOOPBACK)
    assert api.get("/records") == []
    assert [form["grant_type"] for form in vendor.asked] == ["client_credentials"]


def test_a_grant_of_our_own_is_made_anew_each_time(vendor: TokenServer) -> None:
    made: list[str] = []

    def grant() -> dict[str, str]:
        made.append("assertion")
        return {"grant_type": "client_credentials", "assertion": str(len(made))}

    asked = oauth(vendor, authorize_url="", grant=grant)
    for _ in range(2):
        asked.renew(plain(), None)
    assert [form["assertion"] for form in vendor.asked] == ["1", "2"]


def test_who_needs_nobody_to_sign_in_is_not_told_to(vendor: TokenServer) -> None:
    with pytest.raises(AuthError, match="gives no tokens") as caught:
        oauth(vendor, authorize_url="", client_id="another").renew(plain(), None)
    assert "hub connect" not in caught.value.hint


@pytest.mark.parametrize(("lasts_s", "early_s"), [(7200, 900), (1800, 900), (600, 300), (60, 30)])
def test_renewed_a_quarter_of_an_hour_early_or_at_half_of_a_short_life(
    lasts_s: int, early_s: int
) -> None:
    tokens = Tokens.lasting("a", str(lasts_s))
    assert tokens.expires_at is not None
    assert tokens.due_at == tokens.expires_at - timedelta(seconds=early_s)


@pytest.mark.parametrize("unknown", [None, "", 0, -1, "soon"])
def test_tokens_without_a_known_end_are_never_due(unknown: Any) -> None:
    assert Tokens.lasting("a", unknown).due_at is None


def test_each_refresh_token_is_shown_once(
    vendor: TokenServer, clock: Callable[[timedelta], None]
) -> None:
    store = MemoryTokens(signed_in(vendor))
    api = client(vendor, store)
    for _ in range(3):
        api.get("/records")
        clock(timedelta(minutes=50))
    shown = [form["refresh_token"] for form in vendor.asked if "refresh_token" in form]
    assert len(shown) == len(set(shown)) == 2
    assert len(set(vendor.api)) == 3


def test_new_tokens_are_stored_before_they_are_used(
    vendor: TokenServer, clock: Callable[[timedelta], None]
) -> None:
    store = MemoryTokens(signed_in(vendor))
    stored: list[bool] = []
    vendor.on_api = lambda token: stored.append(token == getattr(store.load(), "access", ""))
    clock(timedelta(minutes=50))
    client(vendor, store).get("/records")
    assert stored == [True]


def test_a_refresh_token_that_is_not_replaced_is_kept(
    vendor: TokenServer, clock: Callable[[timedelta], None]
) -> None:
    store = MemoryTokens(signed_in(vendor))
    vendor.rotates = False
    for _ in range(2):
        clock(timedelta(minutes=50))
        client(vendor, store).get("/records")
    assert vendor.refreshes == 2


def test_while_tokens_hold_a_renewal_that_fails_hinders_nobody(
    vendor: TokenServer, clock: Callable[[timedelta], None]
) -> None:
    api = client(vendor, MemoryTokens(signed_in(vendor)))
    vendor.mood = ["down"] * 100
    clock(timedelta(minutes=50))
    for _ in range(5):
        api.get("/records")
    assert vendor.refreshes == http.TRIES  # one renewal with its short retries, then a pause
    clock(timedelta(minutes=11))
    with pytest.raises(RetryableError):
        api.get("/records")
    vendor.mood = []
    api.get("/records")


def test_a_lost_answer_is_asked_for_again(
    vendor: TokenServer, clock: Callable[[timedelta], None]
) -> None:
    api = client(vendor, MemoryTokens(signed_in(vendor)))
    vendor.grace, vendor.mood = True, ["lose"]
    clock(timedelta(minutes=50))
    assert api.get("/records") == []


def test_a_vendor_without_grace_ends_in_a_sentence(
    vendor: TokenServer, clock: Callable[[timedelta], None]
) -> None:
    api = client(vendor, MemoryTokens(signed_in(vendor)))
    vendor.mood = ["lose"]
    clock(timedelta(minutes=50))
    with pytest.raises(AuthError, match="invalid_grant") as caught:
        api.get("/records")
    assert "hub connect" in caught.value.hint


def test_tokens_another_process_replaced_are_read_not_declared_dead(vendor: TokenServer) -> None:
    store = MemoryTokens(signed_in(vendor))
    api = client(vendor, store)
    api.get("/records")
    store.renew(0, lambda tokens: oauth(vendor).renew(plain(), tokens))
    api.get("/records")
    assert vendor.refreshes == 1
    assert len(vendor.api) == 3


def test_tokens_refused_before_their_end_are_renewed_once(
    vendor: TokenServer, clock: Callable[[timedelta], None]
) -> None:
    api = client(vendor, MemoryTokens(signed_in(vendor)))
    clock(timedelta(minutes=2))
    vendor.valid.clear()
    api.get("/records")
    vendor.valid.clear()
    with pytest.raises(AuthError):  # these are young: the next ones would fare no better
        api.get("/records")
    assert vendor.refreshes == 1


def test_many_threads_renew_once(vendor: TokenServer, clock: Callable[[timedelta], None]) -> None:
    api = client(vendor, MemoryTokens(signed_in(vendor)))
    clock(timedelta(minutes=50))
    together = threading.Barrier(8)

    def ask(_: int) -> Any:
        together.wait()
        return api.get("/records")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [[]] * 8
    assert vendor.refreshes == 1


def test_a_revoked_grant_ends_at_once(
    vendor: TokenServer, clock: Callable[[timedelta], None]
) -> None:
    api = client(vendor, MemoryTokens(signed_in(vendor)))
    clock(timedelta(minutes=2))
    vendor.revoke()
    with pytest.raises(AuthError, match="invalid_grant"):
        api.get("/records")
    assert vendor.refreshes == 1


def test_without_a_sign_in_a_person_is_asked_for(vendor: TokenServer) -> None:
    with pytest.raises(AuthError, match="nobody has signed in"):
        client(vendor, MemoryTokens()).get("/records")
    assert vendor.asked == []


def _raise_for_body(body: Any) -> None:
    if body.get("errcode"):
        raise AuthError(f"code {body['errcode']}")


def app_client(vendor: TokenServer, secret: str = SECRET) -> Http:
    """A vendor that gives a token against a key, wants it in the query, and says no with 200."""

    def fetch(http: Http, _: Tokens | None) -> Tokens:
        body = http.get(f"{vendor.address}/gettoken", params={"secret": secret})
        return Tokens.lasting(body["access_token"], body["expires_in"])

    tokens = TokenAuth(
        MemoryTokens(),
        fetch,
        carry=lambda tokens: {"params": {"access_token": tokens.access}},
        raise_for_body=_raise_for_body,
    )
    return Http(
        vendor.address, auth=tokens, allow_networks=LOOPBACK, raise_for_body=_raise_for_body
    )


def test_a_token_against_a_key_is_the_same_thing(
    vendor: TokenServer, clock: Callable[[timedelta], None]
) -> None:
    api = app_client(vendor)
    assert api.get("/things", params={"page": 1}) == {"errcode": 0}
    clock(timedelta(minutes=2))
    vendor.valid.clear()  # another program was given a newer one
    assert api.get("/things") == {"errcode": 0}
    assert len(set(vendor.api)) == 2
    with pytest.raises(AuthError, match="40001"):
        app_client(vendor, "wrong").get("/things")


def test_tokens_go_to_the_vendor_alone(vendor: TokenServer) -> None:
    def carry(tokens: Tokens) -> dict[str, dict[str, str]]:
        return {"headers": {"X-Access-Token": tokens.access}}

    tokens = TokenAuth(MemoryTokens(signed_in(vendor)), oauth(vendor).renew, carry=carry)
    api = Http(vendor.address, auth=tokens, allow_networks=LOOPBACK)
    elsewhere = vendor.address.replace("127.0.0.1", "localhost")
    assert "x-access-token" in api.get("/seen")
    assert "x-access-token" not in api.get(f"{elsewhere}/seen")
    assert "x-access-token" not in api.get("/away")  # redirected there


def test_only_allowed_networks_are_asked_for_tokens(vendor: TokenServer) -> None:
    tokens = TokenAuth(MemoryTokens(), oauth(vendor, authorize_url="").renew)
    with pytest.raises(ConfigError, match="may not reach"):
        Http("https://api.example.com", auth=tokens).get("/")


def test_a_vendor_in_trouble_is_tried_later(vendor: TokenServer) -> None:
    vendor.mood = ["busy"]
    with pytest.raises(RetryableError, match="temporarily_unavailable"):
        oauth(vendor, authorize_url="").renew(plain(), None)


def test_no_token_is_shown_anywhere(
    vendor: TokenServer,
    clock: Callable[[timedelta], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = signed_in(vendor)
    asked = oauth(vendor)
    vendor.revoke()
    clock(timedelta(minutes=50))
    with pytest.raises(AuthError) as caught:  # this vendor repeats the form in its answer
        client(vendor, MemoryTokens(tokens)).get("/records")
    seen = f"{tokens!r} {asked!r} {caught.value!r} {caught.value.hint} {caplog.text}"
    seen += repr(caught.value.__cause__)
    for secret in (tokens.access, tokens.refresh, SECRET):
        assert secret not in seen
