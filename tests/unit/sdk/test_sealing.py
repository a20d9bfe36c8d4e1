"""Encrypted events: what was sealed opens with its key, and with nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import SignatureError
from hub.sdk.sealing import decrypt_cbc, encrypt_cbc, seal, unseal, unseal_any

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
OTHER = "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


@given(st.binary(max_size=200), st.text(max_size=30))
def test_what_was_sealed_opens(text: bytes, receiver: str) -> None:
    assert unseal(KEY, seal(KEY, text, receiver)) == (text, receiver)


def test_the_salt_hides_equal_texts_and_a_given_one_repeats_them() -> None:
    assert seal(KEY, b"x", "r") != seal(KEY, b"x", "r")
    assert seal(KEY, b"x", "r", salt=b"0" * 16) == seal(KEY, b"x", "r", salt=b"0" * 16)


@pytest.mark.parametrize(
    ("key", "sealed"),
    [
        (OTHER, seal(KEY, b"x", "r", salt=b"0" * 16)),
        ("short", seal(KEY, b"x", "r", salt=b"0" * 16)),
        ("é" * 43, seal(KEY, b"x", "r", salt=b"0" * 16)),
        (KEY, ""),
        (KEY, "!!!"),
        (KEY, base64.b64encode(b"x" * 31).decode()),
        (KEY, base64.b64encode(b"x" * 32).decode()),
    ],
)
def test_anything_else_is_refused(key: str, sealed: str) -> None:
    with pytest.raises(SignatureError):
        unseal(key, sealed)


def test_a_length_that_lies_is_refused() -> None:
    aes = base64.b64decode(KEY + "=")
    inside = b"0" * 16 + (1000).to_bytes(4, "big") + b"short"
    sealed = base64.b64encode(encrypt_cbc(aes, aes[:16], inside, padded_bits=256)).decode()
    with pytest.raises(SignatureError):
        unseal(KEY, sealed)


def test_whichever_key_fits_opens_and_only_for_us() -> None:
    sealed = seal(KEY, b"x", "r")
    for keys in ([KEY], [OTHER, KEY], [KEY, OTHER], ["short", KEY]):
        assert unseal_any(keys, sealed, ["q", "r"]) == (b"x", "r", KEY)
    assert unseal_any([KEY], sealed).receiver == "r"
    for keys, receivers in (([], ["r"]), ([OTHER], ["r"]), ([KEY], ["q"]), ([KEY], [])):
        with pytest.raises(SignatureError):
            unseal_any(keys, sealed, receivers)


@given(st.binary(max_size=100))
def test_garbage_is_refused(data: bytes) -> None:
    aes = base64.b64decode(KEY + "=")
    assert decrypt_cbc(aes, aes[:16], encrypt_cbc(aes, aes[:16], data)) == data
    try:
        decrypt_cbc(aes, aes[:16], data)
    except SignatureError:
        return
    assert len(data) % 16 == 0  # by chance it ends like padding
