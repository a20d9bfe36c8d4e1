"""One spelling for what people write in many: phones, mail addresses, tax numbers, names."""

from __future__ import annotations

import gc
import re
import threading
import unicodedata
from collections.abc import Callable, Container
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import phonenumbers
from email_validator import EmailNotValidError, validate_email

if TYPE_CHECKING:
    from opencc import OpenCC

STRONG_TYPES = frozenset(
    {"phone", "email", "tax_id", "unionid", "openid", "external_userid", "member_no"}
)
"""Types whose equality can make two records one customer."""

UNIQUE_TYPES = frozenset({"tax_id", "unionid", "member_no"})
"""Types of which a customer has one: two values contradict each other."""

RECENT = 8192
"""Spellings remembered: a few batches' worth. One batch asks for the same value several times, and
a longer memory would cost 100 MiB for values that seldom come back.
"""

_LOADING = threading.Lock()
"""Pypinyin's modules import each other: two threads at once would find them half loaded."""

_EXTENSION = re.compile(r"(?:转|分机|ext\.?|x|#|-{2,})\s*(\d{1,6})\s*$", re.IGNORECASE)
_HAN = re.compile(r"[㐀-鿿]+")
_WORDS = re.compile(r"[^\W\d_]+", re.UNICODE)
_HONORIFICS = re.compile(r"(先生|女士|小姐|老师|经理|总监|主任)$")
_COMPANY_SUFFIX = re.compile(
    r"(股份有限公司|有限责任公司|有限公司|集团公司|公司|集团"
    r"|\b(co|company|corp|corporation|inc|ltd|limited|llc|gmbh|ag|sa|bv|plc|pty|kg)\b\.?)+",
    re.IGNORECASE,
)
_TAX_ID_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


@lru_cache(maxsize=RECENT)
def identifier_value(type_: str, value: str, region: str = "CN") -> str | None:
    """The one spelling of a contact point or identifier; None when it cannot be one.

    Phones become E.164, a known extension behind ``;ext=``; mail addresses lower case without
    ``+tag``; a 统一社会信用代码 (GB 32100-2015) must have a right check digit.
    """
    value = _folded(value)
    if type_ in ("phone", "fax"):
        return _phone(value, region)
    if type_ == "email":
        return _email(value)
    if type_ == "tax_id":
        return _tax_id(value, region)
    return value or None


def _folded(text: str) -> str:
    """Full width as half width, and so on, without white space round it."""
    return (text if text.isascii() else unicodedata.normalize("NFKC", text)).strip()


def is_blocked(type_: str, value: str) -> bool:
    """Whether a normalised value says nothing about anybody: placeholders people type."""
    if type_ == "phone":
        digits = value.partition(";")[0].lstrip("+")
        tail = digits[-8:]
        return len(set(tail)) == 1 or digits[-11:] in _PLACEHOLDER_PHONES
    if type_ == "email":
        return value.partition("@")[0] in _PLACEHOLDER_MAILBOXES
    return len(set(value)) == 1


_PLACEHOLDER_PHONES = frozenset({"13800138000", "13800000000", "13812345678", "13888888888"})
_PLACEHOLDER_MAILBOXES = frozenset(
    {"test", "noreply", "no-reply", "donotreply", "none", "na", "null", "unknown", "mailer-daemon"}
)


_CN_MOBILE = re.compile(r"(\+86 ?)?(1[3-9]\d)([ -]?)(\d{4})\3(\d{4})", re.ASCII)
"""The usual ways to write one. 179 is an access code of a carrier, not the start of a number."""


def _phone(value: str, region: str) -> str | None:
    usual = _CN_MOBILE.fullmatch(value)
    if usual and (region == "CN" or usual[1]) and usual[2] != "179":
        return f"+86{usual[2]}{usual[4]}{usual[5]}"  # as the library says, in a tenth of its time
    extension = ""
    if found := _EXTENSION.search(value):
        extension, value = found.group(1), value[: found.start()]
    if value.startswith("0086"):
        value = "+86" + value[4:]
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    plain = f"+{number.country_code}{phonenumbers.national_significant_number(number)}"
    extension = extension or number.extension or ""
    return f"{plain};ext={extension}" if extension else plain


_PLAIN_MAILBOX = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")


def _email(value: str) -> str | None:
    local, _, domain = value.partition("@")
    is_plain = value.isascii() and _PLAIN_MAILBOX.fullmatch(local)
    if is_plain and len(local) <= 64 and len(value) <= 254:
        known = _mail_domain(domain)  # its check is nine tenths of the work, and most share one
    else:
        local, known = _valid_email(value) or ("", None)
    return f"{local.partition('+')[0] or local}@{known}".lower() if known else None


_PLAIN_DOMAIN = re.compile(r"(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+([a-z]+)", re.IGNORECASE)
_LABEL_MAX = 63


def _mail_domain(domain: str) -> str | None:
    plain = len(domain) <= _LABEL_MAX and _PLAIN_DOMAIN.fullmatch(domain)
    if plain and domain.isascii():  # only its last part can be forbidden
        return domain if _known_domain(f"a.{plain[1]}") else None
    return _known_domain(domain)


@lru_cache(maxsize=RECENT)
def _known_domain(domain: str) -> str | None:
    found = _valid_email(f"a@{domain}")
    return found[1] if found else None


def _valid_email(value: str) -> tuple[str, str] | None:
    try:
        found = validate_email(
            value, check_deliverability=False, test_environment=True, allow_smtputf8=True
        )
    except EmailNotValidError:
        return None
    return found.local_part, found.domain


def _tax_id(value: str, region: str) -> str | None:
    code = re.sub(r"[\s-]", "", value).upper()
    if region != "CN" or len(code) != 18:
        return code if len(code) >= 5 else None
    if any(c not in _TAX_ID_ALPHABET for c in code):
        return None
    total = sum(_TAX_ID_ALPHABET.index(c) * pow(3, i, 31) for i, c in enumerate(code[:17]))
    return code if _TAX_ID_ALPHABET[-total % 31] == code[17] else None


@lru_cache(maxsize=RECENT)
def _spelled(text: str) -> tuple[str, ...]:
    """The pinyin of each 汉字, and what stands between them."""
    if text.isascii():
        return (text,)
    lazy_pinyin, phrases = _pinyin()
    if len(text) > 4 or not _HAN.fullmatch(text):
        return tuple(lazy_pinyin(text))
    for i in range(len(text) - 1):
        for j in range(i + 2, len(text) + 1):
            if text[i:j] in phrases:
                return tuple(lazy_pinyin(text))
    return tuple([sound for han in text for sound in _sound(han)])


@lru_cache(maxsize=RECENT)
def _sound(han: str) -> list[str]:
    """The pinyin of one 汉字 outside any phrase, without taking a name apart ten times slower."""
    return _pinyin()[0](han)


@cache
def _pinyin() -> tuple[Callable[[str], list[str]], Container[str]]:
    """Pypinyin and its phrases on first use: they take half a second and 40 MiB to load.

    What was loaded stays for good, so the garbage collector need not look through it again.
    """
    with _LOADING:
        from pypinyin import lazy_pinyin
        from pypinyin.constants import PHRASES_DICT

    gc.freeze()
    return lazy_pinyin, PHRASES_DICT


def pinyin(text: str) -> str:
    """The sound of 汉字, in one word and without tones; other writing stays as it is."""
    return "".join(_spelled(text))


def folded(text: str) -> str:
    """Half width, simplified 汉字, and no white space round it."""
    return _simplified(_folded(text))


def is_word(text: str) -> bool:
    """Whether the 汉字 are a phrase of the language, such as 简单, and so hardly a name."""
    return text in _pinyin()[1]


def is_pinyin(word: str) -> bool:
    """Whether the word can be read as pinyin syllables."""
    return "".join(_syllables(word)) == word and all(
        part in _pinyin_syllables() for part in _syllables(word)
    )


@lru_cache(maxsize=RECENT)
def _simplified(text: str) -> str:
    """The text in simplified 汉字."""
    converter, signs = _opencc()
    return text if signs.isdisjoint(text) else str(converter.convert(text))


@cache
def _opencc() -> tuple[OpenCC, frozenset[str]]:
    """OpenCC, and characters of which one stands in every text it would change."""
    import opencc

    folder = Path(opencc.__file__).parent / "dictionary"
    signs: set[str] = set()
    for name in ("TSCharacters.txt", "TSPhrases.txt"):
        for line in (folder / name).read_text("utf-8").splitlines():
            old, _, new = line.partition("\t")
            if new.split(" ")[0] != old and signs.isdisjoint(old):
                signs.add(old[0])
    return opencc.OpenCC("t2s"), frozenset(signs)


@lru_cache(maxsize=RECENT)
def name_key(name: str, kind: str = "Person") -> str:
    """One spelling for a name; equal keys mean names that do not contradict each other.

    A person's key is the sorted pinyin syllables or words, so 李娜, 李娜女士, ``Li Na`` and
    ``Na Li`` share one; a display name in both scripts counts by its 汉字. An organisation's key
    leaves out suffixes such as 有限公司 and Ltd.
    """
    name = _folded(name)
    if kind == "Organization":
        bare = _COMPANY_SUFFIX.sub("", _simplified(name)) or name
        return "".join(_WORDS.findall(bare.lower()) + re.findall(r"\d+", bare))
    han = "".join(_HAN.findall(name))
    if len(han) >= 2:
        return " ".join(sorted(_spelled(_HONORIFICS.sub("", _simplified(han)) or han)))
    words = [syllable for word in _WORDS.findall(name.lower()) for syllable in _syllables(word)]
    return " ".join(sorted(words + re.findall(r"\d+", name)))


def search_keys(name: str) -> str:
    """What a name is found by: lower case, simplified, and in pinyin: by words, whole, initials."""
    folded = _folded(name).lower()
    simplified = _simplified(folded)
    words = " ".join(_spelled(simplified)).split()
    initials = "".join(word[0] for word in words) if len(words) > 1 else ""
    forms = (folded, simplified, " ".join(words), "".join(words), initials)
    return "\n".join(dict.fromkeys(form for form in forms if form))


@cache
def _pinyin_syllables() -> frozenset[str]:
    _pinyin()  # loads the whole of it
    from pypinyin.constants import PINYIN_DICT
    from pypinyin.contrib.tone_convert import to_normal

    # A set first: the same 1,500 sounds stand there 50,000 times.
    spelled = {s for sounds in PINYIN_DICT.values() for s in sounds.split(",")}
    return frozenset(to_normal(sound).replace("ü", "v") for sound in spelled)


def _syllables(word: str) -> list[str]:
    """The word as pinyin syllables, longest first, or whole when it is not pinyin."""
    known, parts, rest = _pinyin_syllables(), [], word
    while rest:
        part = next((rest[:n] for n in range(min(6, len(rest)), 0, -1) if rest[:n] in known), None)
        if part is None:
            return [word]
        parts.append(part)
        rest = rest[len(part) :]
    return parts
