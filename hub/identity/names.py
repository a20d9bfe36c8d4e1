"""Names of people, taken apart: which family, which given name, and how much of it was said."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from hub.identity import words
from hub.models.normalise import folded, is_pinyin, is_word, pinyin

RECENT = 1 << 16

_HAN = re.compile(r"[㐀-鿿]+")
_LATIN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_CAMEL = re.compile(r"([A-ZÀ-Þ][a-zß-ÿ]{1,})([A-ZÀ-Þ])")
_TAIL = re.compile(r"[-—_@|/(（\[【,，·]")


class Name(NamedTuple):
    """A person's name.

    Attributes:
        family: as written, simplified or in lower case; "" where it was not said.
        given: likewise.
        family_sound: in pinyin or without accents, so that 王 and ``Wang`` agree.
        given_sound: likewise, a short form such as Maggie as Margaret.
        is_han: whether it stood there in 汉字.
        is_full: whether family and given name were said, if only as an initial.
        nick: a name that says neither, such as 云淡风轻.
        is_pinyin: whether it stood there in Latin letters that can be read as 汉字.
    """

    family: str = ""
    given: str = ""
    family_sound: str = ""
    given_sound: str = ""
    is_han: bool = False
    is_full: bool = False
    nick: str = ""
    is_pinyin: bool = False

    @property
    def key(self) -> str:
        """Equal for 李娜, ``Li Na`` and ``Na Li``."""
        return " ".join(sorted((self.family_sound, self.given_sound)))


@lru_cache(maxsize=RECENT)
def read_name(text: str) -> Name | None:
    """The name in what somebody typed; None when it names nobody, such as 微信用户 or ``N/A``."""
    plain = folded(text)
    if plain.lower().strip(" .-~*") in words.NOBODY or not plain:
        return None
    han = _HAN.findall(plain)
    if han and (len(han[0]) > 1 or len(han) > 1 or not _LATIN.search(_HAN.sub(" ", plain))):
        return _han_name(plain, han)
    return _latin_name(plain)


def join_name(given: str, family: str) -> Name | None:
    """The name a source keeps in two fields."""
    if _HAN.search(given + family):
        return read_name(family + given)
    given_, family_ = _plain(given), _plain(family)
    if given_ in words.NOBODY:
        given_ = ""
    if family_ in words.NOBODY:
        family_ = ""
    if not given_ and not family_:
        return None
    return _name(family_, given_)


def _han_name(plain: str, runs: list[str]) -> Name | None:
    text = _name_among(plain, runs)
    bare = words.TITLES_HAN.sub("", text)
    if not bare:
        return None
    family = _family_of(bare)
    if bare != text and (len(bare) == len(family) or len(bare) == 1):
        return Name(bare, "", _sound(bare), "", is_han=True)
    if len(bare) == len(family) + 1 and family and bare[-1] in words.SHORT_TITLES and bare == text:
        return Name(family, "", _sound(family), "", is_han=True)
    if len(bare) == 2 and bare[0] in words.FAMILIAR:
        if bare[1] in words.SURNAMES and bare[0] != "阿":
            return Name(bare[1], bare[1], _sound(bare[1]), pinyin(bare[1]), is_han=True, nick=bare)
        return Name("", bare[1], "", pinyin(bare[1]), is_han=True, nick=bare)
    if bare in words.ORDINARY or is_word(bare):
        return Name(nick=bare, is_han=True)
    given = bare[len(family) :]
    if family and 1 <= len(given) <= 2:
        return Name(family, given, _sound(family), pinyin(given), is_han=True, is_full=True)
    if family and not given:
        return Name(bare, bare, _sound(bare), pinyin(bare), is_han=True, nick=bare)
    if bare in words.NOBODY:
        return None
    return Name(nick=bare, is_han=True)


def _name_among(plain: str, runs: list[str]) -> str:
    """The run of 汉字 that is the name: 金顺 李岩 is 李岩, and 董 天 is one name."""
    first = runs[0]
    if len(runs) == 1:
        return first
    if len(first) > 1 and not _looks_full(first):
        return next((run for run in runs[1:] if _looks_full(run)), first)
    joined = first + runs[1]
    is_family = first in words.SURNAMES or first in words.COMPOUND_SURNAMES
    return joined if is_family and "".join(plain.split()).startswith(joined) else first


def _looks_full(text: str) -> bool:
    """Whether a common surname leads: 金顺 may be a company, 李岩 is a person."""
    bare = words.TITLES_HAN.sub("", text)
    return (2 <= len(bare) <= 3 and bare[0] in words.COMMON_SURNAMES) or bare[
        :2
    ] in words.COMPOUND_SURNAMES


def _family_of(text: str) -> str:
    if text[:2] in words.COMPOUND_SURNAMES:
        return text[:2]
    return text[0] if text[0] in words.SURNAMES else ""


@lru_cache(maxsize=4096)
def _sound(family: str) -> str:
    return words.SURNAME_SOUNDS.get(family) or pinyin(family)


def _latin_name(plain: str) -> Name | None:
    head, comma, tail = plain.partition(",")
    camel = _CAMEL.fullmatch("".join(_LATIN.findall(plain)))
    if camel and " " not in plain.strip():
        return _name(_plain(camel[2]), _plain(camel[1]))
    if comma and _LATIN.search(tail):
        family, given = _words(head), _words(tail)
        if family and given:
            return _name("".join(family), given[0])
    found = _words(_TAIL.split(plain)[0] if "," not in plain else head) or _words(plain)
    titled = len(found) < len(_LATIN.findall(plain)) and bool(_TITLED.search(plain.lower()))
    if (
        not found
        or (len(found) == 1 and found[0] in words.NOBODY)
        or " ".join(found) in words.NOBODY
    ):
        return None
    if len(found) == 1:
        if titled:
            return _name(found[0], "")
        return _name("", found[0])
    return _arranged(found)


_TITLED = re.compile(r"\b(?:" + "|".join(sorted(words.TITLES_LATIN)) + r")\b")


def _arranged(found: list[str]) -> Name:
    for i, word in enumerate(found):
        if word in words.PARTICLES and i < len(found) - 1:
            return _name("".join(found[i:]), found[0] if i else "")
    long = [word for word in found if len(word) > 1]
    if len(long) >= 2:
        found = long  # Park Zoë Y.
    if all(is_pinyin(word) for word in found):
        sounds = words.surname_sounds()
        if found[0] in sounds and (found[-1] not in sounds or len(found) > 2):
            return _name(found[0], "".join(found[1:]))
        if found[-1] in sounds:
            return _name(found[-1], "".join(found[:-1]))
    if len(found[-1]) == 1 and len(found) == 2:
        return _name(found[0], found[1])  # Russo H.
    return _name(found[-1], found[0])


def _words(text: str) -> list[str]:
    found = [_plain(word) for word in _LATIN.findall(text)]
    return [word for word in found if word and word not in words.TITLES_LATIN]


def _name(family: str, given: str) -> Name:
    full = bool(family and given)
    sounds = bool(given) and is_pinyin(given) and (not family or family in words.surname_sounds())
    short = words.NICKNAMES.get(given, given)
    return Name(family, given, family, short, is_full=full, is_pinyin=sounds)


_SPECIAL = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe", "ı": "i"})


def _plain(text: str) -> str:
    """Lower case, letters only, without accents."""
    text = text.strip().lower()
    if not text.isascii():
        split = unicodedata.normalize("NFKD", text.translate(_SPECIAL))
        text = "".join(c for c in split if not unicodedata.combining(c))
    return text if text.isalpha() else "".join(c for c in text if c.isalpha())
