"""Companies and addresses, taken apart into what tells one from another."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from hub.identity import words
from hub.models.normalise import folded, pinyin

RECENT = 1 << 16

_HAN = re.compile(r"[㐀-鿿]+")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NUMBER = re.compile(r"\d+")
_NO_BODY = frozenset(
    {"无", "个人", "暂无", "none", "na", "n", "null", "unknown", "test", "测试", "未知", "自由职业"}
)


class Company(NamedTuple):
    """The name of an organisation.

    Attributes:
        core: what is left without place and legal form, in lower case without spaces.
        sound: the core in pinyin.
        words: its words, as they are looked up; 汉字 as one word.
        branch: what makes it a branch; "" for the company itself.
        place: the places in its name.
        is_han: whether it stood there in 汉字.
    """

    core: str
    sound: str
    words: tuple[str, ...]
    branch: str = ""
    place: str = ""
    is_han: bool = False


@lru_cache(maxsize=RECENT)
def read_company(text: str) -> Company | None:
    """The company in what somebody typed; None when there is none."""
    plain = folded(text).lower()
    if not plain or plain in _NO_BODY or plain in words.NOBODY:
        return None
    return _han_company(plain) if _HAN.search(plain) else _latin_company(plain)


def _han_company(plain: str) -> Company | None:
    plain = "".join(plain.split())
    branch = ""
    if found := words.BRANCH.search(plain):
        head = words.LEGAL_HAN.split(plain[: found.end()])
        branch = head[-1] or found[0] if len(head) > 1 else found[0]
        plain = plain[: found.start()] or plain
        if branch and plain.endswith(branch):
            plain = plain[: -len(branch)]
    place = "".join(words.PLACE_IN_BRACKETS.findall(plain))
    bare = words.PLACE_IN_BRACKETS.sub("", plain)
    if found := words.PLACE_HEAD.match(bare):
        place += found[0]
        bare = bare[found.end() :] or bare
    core = "".join(_WORD.findall(words.LEGAL_HAN.sub("", bare))) or "".join(_WORD.findall(bare))
    if not core:
        return None
    return Company(core, pinyin(core), (core,), branch, place, is_han=True)


def _latin_company(plain: str) -> Company | None:
    branch = "branch" if words.BRANCH.search(plain) else ""
    found = [word.replace("'", "").replace("’", "") for word in _WORD.findall(plain)]
    places = words.place_sounds()
    kept = [w for w in found if w not in words.LEGAL_LATIN and w != "branch"] or found
    while len(kept) > 1 and kept[-1] in places:
        kept.pop()
    if len(kept) > 1 and kept[0] in places and kept[0] != "china":
        kept = kept[1:]
    if not kept:
        return None
    core = "".join(kept)
    place = " ".join(w for w in found if w in places)
    return Company(core, core, tuple(kept), branch, place)


@lru_cache(maxsize=4096)
def town(text: str) -> str:
    """The first Chinese town named in a text, in pinyin; "" where there is none."""
    if _HAN.search(text):
        return next((pinyin(found) for found in words.TOWN.findall(text)), "")
    return next((word for word in text.split() if word in words.town_sounds()), "")


class Place(NamedTuple):
    """A postal address.

    Attributes:
        street: the road, without city and number.
        numbers: house, building and room, in the order they were written.
        city: what stood before the road.
    """

    street: str
    numbers: tuple[str, ...]
    city: str = ""
    is_han: bool = False


_ROAD_HAN = re.compile(r"([㐀-鿿]{1,8}?(?:大道|大街|公路|路|街|道|巷|弄|胡同))")
_HOUSE_HAN = re.compile(r"(\d+)号")


@lru_cache(maxsize=RECENT)
def read_place(text: str) -> Place | None:
    """The address in what somebody typed; None when no road and no number stands in it."""
    plain = folded(text).lower()
    if _HAN.search(plain):
        return _han_place("".join(plain.split()))
    return _latin_place(plain)


def _han_place(plain: str) -> Place | None:
    found = words.REGION_HAN.match(plain)
    region = found[0] if found else ""
    rest = plain[len(region) :]
    road = _ROAD_HAN.match(rest) or _ROAD_HAN.search(rest)
    street = road[1] if road else "".join(_HAN.findall(rest))[:12]
    numbers = _main_first(_NUMBER.findall(rest), _HOUSE_HAN.search(rest))
    if not street and not numbers:
        return None
    return Place(street, numbers, region, is_han=True)


def _main_first(numbers: list[str], main: re.Match[str] | None) -> tuple[str, ...]:
    """The numbers with that of the house in front."""
    if main and numbers and numbers[0] != main[1] and main[1] in numbers:
        numbers.remove(main[1])
        numbers.insert(0, main[1])
    return tuple(numbers)


_HOUSE_LATIN = re.compile(r"\bno\.?\s*(\d+)")


def _latin_place(plain: str) -> Place | None:
    first, *more = plain.split(",")
    found = [words.STREET_WORDS.get(word, word) for word in _WORD.findall(first)]
    while more and not any(word.isalpha() and word not in words.UNITS for word in found):
        found += [words.STREET_WORDS.get(word, word) for word in _WORD.findall(more.pop(0))]
    if "room" in found and more and not any(word in ("st", "rd", "ave") for word in found):
        found += [words.STREET_WORDS.get(word, word) for word in _WORD.findall(more.pop(0))]
    for i, word in enumerate(found):
        if word in ("between", "near", "off", "at") and i > 1:
            found = found[:i]
            break
    figures = [word.lstrip("0") for word in found if word[0].isdigit() and not word.isalpha()]
    numbers = _main_first(figures, _HOUSE_LATIN.search(plain))
    street = " ".join(word for word in found if word.isalpha() and word not in words.UNITS)
    if not street and not numbers:
        return None
    if not numbers and not more:
        return None  # a town
    return Place(street, numbers, " ".join(_WORD.findall(" ".join(more))))
