"""How two records stand to each other, field by field, and what that weighs (Fellegi–Sunter)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from rapidfuzz.distance import OSA, JaroWinkler
from rapidfuzz.fuzz import ratio, token_set_ratio

from hub.identity import words
from hub.identity.keys import phone_base
from hub.identity.names import Name
from hub.identity.places import Company, Place
from hub.identity.traits import Traits
from hub.identity.weights import Weights
from hub.models.normalise import pinyin


class Evidence(NamedTuple):
    """One line of the evidence table."""

    field: str
    level: str
    bits: float


class Spread(NamedTuple):
    """Who else can be reached under a value.

    Attributes:
        names: how many people or companies of different names hold it.
    """

    names: int = 1


Spreads = Mapping[str, Spread]
"""Contact key → its spread; a key that is not there belongs to these two alone."""

_ALONE = Spread()

MORE_MAX = 5.0
"""Bits at most from a field nobody told us the meaning of."""

UNIQUE = frozenset(
    {"unionid", "openid", "external_userid", "tax_id", "vat_id", "member_no", "duns"}
)
"""Issued once to each and not typed by people; of others, such as a passport, a slip is likely."""

PER_ACCOUNT = frozenset({"openid", "external_userid"})
"""Of those, what each account of the company knows a person by: two values contradict nothing."""

NAME_FIELDS = frozenset({"family", "given", "hint", "nick", "clash"})

GUARDS = frozenset({"clash", "hint", "branch", "seat"})
"""Fields that measure nothing; what they weigh is set."""

SLIPS = frozenset({"near", "local", "road", "street", "numbers"})
"""Levels at which values are not equal, and may be meant to be."""

COMMON = frozenset({"city", "postcode", "seat"})
"""Fields in which whole towns are equal."""

DOUBT_MAX = 1.0
"""Bits at most of namesakes with other numbers, and nothing that is equal."""

FAINT_MAX = -3.0
"""The same where a town or a road is all they share: no reason to ask a person."""

UNNAMED_MAX = {"company": 0.5, "place": 4.0}

NEAR, LOOSE = 0.88, 0.74


def compare(a: Traits, b: Traits, weights: Weights, spreads: Spreads) -> list[Evidence]:
    """The evidence table of two records of one kind; empty fields are not in it."""
    rows: list[Evidence] = []
    if a.kind == "person":
        _names(a.name, b.name, weights, rows)
        _companies("company", a.company, b.company, weights, rows)
    else:
        _companies("org", a.company, b.company, weights, rows)
        if a.seat and b.seat:
            level = "same" if a.seat == b.seat else "differ"
            rows.append(Evidence("seat", level, weights.bits("seat", level)))
    if a.city and b.city:
        _text("city", a.city, b.city, weights, rows)
    _contacts(a, b, weights, spreads, rows)
    if a.born and b.born:
        _born(a.born, b.born, weights, rows)
    if a.postcode and b.postcode:
        _text("postcode", a.postcode, b.postcode, weights, rows)
    if a.more and b.more:
        theirs = dict(b.more)
        for key, value in a.more:
            if other := theirs.get(key):
                _text(f"more.{key}", value, other, weights, rows)
                rows[-1] = rows[-1]._replace(bits=min(rows[-1].bits, MORE_MAX))
    if a.kind == "person":
        _capped(rows)
    return rows


def _capped(rows: list[Evidence]) -> None:
    """Colleagues share a company and families a home: without a given name they join nobody."""
    if any(row.field in ("given", "nick") and row.bits > 0 for row in rows):
        return
    for i, row in enumerate(rows):
        if row.field in UNNAMED_MAX and row.bits > UNNAMED_MAX[row.field]:
            rows[i] = row._replace(bits=UNNAMED_MAX[row.field])


def total(rows: Sequence[Evidence], weights: Weights, kind: str) -> float:
    """Log2 of the odds that the two are one customer."""
    bits = sum(row.bits for row in rows) - weights.prior_bits(kind)
    telling = [row for row in rows if row.bits > 0.5 and row.field not in NAME_FIELDS]
    if not telling:
        return min(bits, 0.0)  # namesakes: a name alone is never enough
    is_near = all(row.level in SLIPS or row.field in COMMON for row in telling)
    if is_near and any(row.field == "phone" for row in rows):
        is_faint = all(row.field in COMMON or row.field == "place" for row in telling)
        return min(bits, FAINT_MAX if is_faint else DOUBT_MAX)  # numbers are handed out in rows
    return bits


# ---- names


def _names(a: Name | None, b: Name | None, w: Weights, rows: list[Evidence]) -> None:
    if a is None or b is None:
        return
    if a.nick or b.nick:
        _nicks(a, b, w, rows)
        return
    straight = _name_levels(a, b, w)
    if not (a.is_han and b.is_han) and (a.is_full or b.is_full or not (a.family or b.family)):
        turned = Name(
            b.given, b.family, b.given_sound, b.family_sound, b.is_han, b.is_full, "", b.is_pinyin
        )
        swapped = _name_levels(a, turned, w)
        if swapped and sum(r.bits for r in swapped) > sum(r.bits for r in straight) + 1:
            straight = swapped
    rows += straight
    if a.is_full and b.is_full:
        levels = {row.level for row in straight}
        for level in ("differ", "half"):
            if level in levels:
                rows.append(Evidence("clash", level, w.bits("clash", level)))
                break


def _name_levels(a: Name, b: Name, w: Weights) -> list[Evidence]:
    rows = []
    if a.family and b.family:
        level = _word_level(a.family, b.family, a.family_sound, b.family_sound)
        if a.is_han != b.is_han:
            level = "spelled" if level == "sound" else "differ"
        rows.append(_name_row("family", level, a.family, a.family_sound, w))
    if a.given and b.given:
        level = _given_level(a, b)
        if level:
            rows.append(_name_row("given", level, a.given, a.given_sound, w))
    if rows or not (a.family or a.given) or not (b.family or b.given):
        return rows
    one, other = a.family_sound or a.given_sound, b.family_sound or b.given_sound
    if one == other:
        field = "family" if a.family else "given"
        return [_name_row(field, "sound", one, one, w)]
    return []


def _name_row(field: str, level: str, value: str, sound: str, w: Weights) -> Evidence:
    if level == "exact":
        table = field if value.isascii() else f"{field}_han"
        return Evidence(field, level, w.shared_bits(field, level, table, value))
    if level in ("sound", "spelled"):
        return Evidence(field, level, w.shared_bits(field, level, f"{field}_sound", sound))
    return Evidence(field, level, w.bits(field, level))


def _given_level(a: Name, b: Name) -> str:
    if a.is_han != b.is_han:
        han, latin = (a, b) if a.is_han else (b, a)
        if (
            han.given_sound == latin.given_sound
            or han.family_sound + han.given_sound == latin.given_sound
        ):
            return "spelled"
        if len(latin.given) == 1 or (latin.is_pinyin and not latin.family and len(han.given) > 1):
            return ""
        return "differ" if latin.is_pinyin else ""  # an English name is one more name
    if a.is_han and b.is_han and a.given != b.given and a.given_sound != b.given_sound:
        if a.given in b.given or b.given in a.given:
            return "near"  # one 汉字 was left out
        return "differ" if len(a.given) != len(b.given) else _han_level(a.given, b.given)
    return _word_level(a.given, b.given, a.given_sound, b.given_sound)


def _han_level(a: str, b: str) -> str:
    if len(a) == 2 and a == b[::-1]:
        return "near"
    return "half" if len(a) == 2 and (a[0] == b[0] or a[1] == b[1]) else "differ"


@lru_cache(maxsize=1 << 16)
def _word_level(a: str, b: str, a_sound: str, b_sound: str) -> str:
    if a == b:
        return "exact"
    if a_sound == b_sound:
        return "sound"
    if not a.isascii() and not b.isascii():
        return "differ"
    a, b = a_sound, b_sound
    if len(a) == 1 or len(b) == 1:
        return "near" if a[0] == b[0] else "differ"
    if len(a) > 1 and len(b) > 1:
        alike = JaroWinkler.similarity(a, b)
        slips = OSA.distance(a, b)
        if (slips <= 1 and min(len(a), len(b)) > 3) or (
            alike >= NEAR and slips <= max(len(a), len(b)) // 3
        ):
            return "near"
        if alike >= LOOSE or _shared_letters(a, b) >= 0.8:
            return "loose"
    return "differ"


def _shared_letters(a: str, b: str) -> float:
    """The share of letters two words have in common, in any order: what fast typing leaves."""
    return sum((Counter(a) & Counter(b)).values()) / max(len(a), len(b))


def is_same_name(a: Name, b: Name) -> bool:
    """Whether two full names may be one, a slip or another script aside."""
    if a.is_han and b.is_han:
        return a.family_sound == b.family_sound and _given_level(a, b) not in ("differ", "half")
    turned = Name(
        b.given, b.family, b.given_sound, b.family_sound, b.is_han, b.is_full, "", b.is_pinyin
    )
    return any(_fits(a, other) for other in (b, turned))


def _fits(a: Name, b: Name) -> bool:
    family = _word_level(a.family, b.family, a.family_sound, b.family_sound)
    return family not in ("differ", "loose") and _given_level(a, b) not in ("differ", "loose")


def _nicks(a: Name, b: Name, w: Weights, rows: list[Evidence]) -> None:
    if a.nick and a.nick == b.nick:
        rows.append(Evidence("nick", "exact", w.shared_bits("nick", "exact", "nick", a.nick)))
        return
    if _says_given(a, b) or _says_given(b, a):
        rows.append(
            Evidence(
                "given",
                "sound",
                w.shared_bits("given", "sound", "given_sound", pinyin(a.nick or b.nick)),
            )
        )
        return
    hint, name = (a, b) if a.nick else (b, a)
    if hint.given and (name.family or name.given) and not name.nick:
        sound = hint.given_sound
        fits = hint.given in name.given or sound == name.family_sound
        fits = fits or (not name.is_han and sound in name.given_sound)
        level = "same" if fits else "differ"
        if fits or (name.family and name.given and name.is_han):
            rows.append(Evidence("hint", level, w.bits("hint", level)))


def _says_given(nick: Name, name: Name) -> bool:
    """俊英 says what 袁俊英 is called."""
    return len(nick.nick) == 2 and nick.nick[0] not in words.FAMILIAR and nick.nick == name.given


# ---- companies


def _companies(
    field: str, a: Company | None, b: Company | None, w: Weights, rows: list[Evidence]
) -> None:
    if a is None or b is None:
        return
    level = _company_level(a, b)
    if field == "org" and level in ("part", "loose") and not a.is_han and not b.is_han:
        rows.append(_word_row(a, b, level, w))
    elif level in ("exact", "part"):
        shorter = min(a.sound, b.sound, key=len)
        rows.append(Evidence(field, level, w.shared_bits(field, level, field, shorter)))
    else:
        rows.append(Evidence(field, level, w.bits(field, level)))
    if level != "differ" and (a.branch != b.branch):
        rows.append(Evidence("branch", "differ", w.bits("branch", "differ")))


def _word_row(a: Company, b: Company, level: str, w: Weights) -> Evidence:
    """Names that share some words: as much as the rarest of them, less what stands alone."""
    weigh = {word: -math.log2(w.frequency("word", word)) for word in {*a.words, *b.words}}
    shared = [word for word in weigh if word in a.words and word in b.words]
    if not shared:
        return Evidence("org", level, w.bits("org", level))
    share = sum(weigh[word] for word in shared) / sum(weigh.values())
    best = max(weigh[word] for word in shared)
    level = "part" if level == "part" or share >= 0.6 else "loose"
    if level == "loose" and share < 0.4:
        return Evidence("org", "differ", w.bits("org", "differ") / 2)
    bits = w.m_bits("org", level) + min(best, 9.0)
    return Evidence("org", level, bits if level == "part" else min(bits, 2.0))


@lru_cache(maxsize=1 << 16)
def _company_level(a: Company, b: Company) -> str:
    if a.core == b.core or a.sound == b.sound:
        return "exact"
    if a.is_han != b.is_han:
        han, latin = (a, b) if a.is_han else (b, a)
        brand = latin.words[0]
        if len(brand) > 3 and (han.sound.startswith(brand) or brand.startswith(han.sound)):
            return "part"
        return "differ"
    if _digits(a.core) != _digits(b.core):
        return "differ"  # the 3rd plant is not the 4th
    if a.is_han:
        if len(min(a.core, b.core, key=len)) > 1 and (
            a.core.startswith(b.core) or b.core.startswith(a.core)
        ):
            return "part"
        if a.core[:2] == b.core[:2] and ratio(a.core, b.core) >= 75:
            return "near"
        if len(a.core) > 3 and len(a.core) == len(b.core) and OSA.distance(a.core, b.core) == 1:
            return "near"
        return "differ"
    mine, theirs = set(a.words), set(b.words)
    if mine <= theirs or theirs <= mine:
        return "part"
    if a.sound.startswith(b.sound) or b.sound.startswith(a.sound):
        return "part"
    alike = max(ratio(a.core, b.core), token_set_ratio(" ".join(a.words), " ".join(b.words)) - 5)
    return "near" if alike >= 85 else "loose" if alike >= 65 else "differ"


# ---- how they are reached


def _contacts(a: Traits, b: Traits, w: Weights, spreads: Spreads, rows: list[Evidence]) -> None:
    found: list[tuple[float, str, str]] = []
    kind = a.kind[0]
    mine = theirs = _NOTHING
    if a.phones and b.phones:
        mine, theirs = {phone_base(v): v for v in a.phones}, {phone_base(v): v for v in b.phones}
        for base in mine.keys() & theirs.keys():
            one, other = mine[base], theirs[base]
            if one != other and "ext=" in one and "ext=" in other:
                continue
            landline = is_landline(one) or is_landline(other)
            odds = _odds(spreads.get(f"p{kind}{base}", _ALONE), 0.5 if landline else 0.05)
            found.append((odds, "phone", base))
    if a.emails and b.emails:
        for value in set(a.emails).intersection(b.emails):
            role = value.partition("@")[0] in words.ROLES
            odds = _odds(spreads.get(f"e{kind}{value}", _ALONE), 0.3 if role else 0.03)
            found.append((odds, "email", value))
    if a.ids and b.ids:
        found += _numbers(a, b, w, spreads, rows)
    found.sort(reverse=True)
    for i, (odds, field, _) in enumerate(found):
        if i == 0:
            bits = w.prior_bits(a.kind) + odds + _gap(a, b, odds, field)
        else:
            bits = min(2.0, max(0.5, 2.0 + odds)) if odds < 6 else odds
        rows.append(Evidence(field, "same", bits))
    shared = {field for _, field, _ in found}
    if mine and "phone" not in shared:
        level = _phone_level(mine, theirs)
        rows.append(Evidence("phone", level, w.bits("phone", level)))
    if a.emails and b.emails and "email" not in shared:
        level = _email_level(a.emails, b.emails)
        rows.append(Evidence("email", level, w.bits("email", level)))
    if a.place and b.place:
        _places(a.place, b.place, w, rows, is_known=bool(found))
    if found and found[0][0] < 1.5:  # a branch shares all of it with its parent, a family at home
        rows[:] = [
            r._replace(bits=min(r.bits, 0.5))
            if r.field in ("place", "city", "seat", "company")
            else r
            for r in rows
        ]


_NOTHING: Mapping[str, str] = {}


def _numbers(
    a: Traits, b: Traits, w: Weights, spreads: Spreads, rows: list[Evidence]
) -> Iterator[tuple[float, str, str]]:
    """What they share of what is handed out once; types that differ are told in ``rows``."""
    ids, kind = _by_type(b.ids), a.kind[0]
    for type_, values in _by_type(a.ids).items():
        if (others := ids.get(type_)) is None:
            continue
        if shared := values & others:
            for value in shared:
                odds = _odds(spreads.get(f"i{kind}{type_}:{value}", _ALONE), 0.003)
                yield odds, type_, value
        elif type_ not in PER_ACCOUNT:
            near = type_ not in UNIQUE and any(
                id_level(x, y) == "near" for x in values for y in others
            )
            level = "near" if near else "differ"
            rows.append(Evidence(f"id.{type_}", level, w.bits("id", level)))


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _by_type(ids: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for type_, value in ids:
        found.setdefault(type_, set()).add(value)
    return found


def _odds(spread: Spread, doubt: float) -> float:
    """Log2 of the odds that two of a value's holders are one, by how many differ behind it."""
    return -math.log2(spread.names - 1 + doubt)


def _gap(a: Traits, b: Traits, odds: float, field: str) -> float:
    """Numbers change hands: where several names share one, those close in time belong together."""
    if field != "phone" or odds > 3 or not a.day or not b.day:
        return 0.0
    return max(-2.0, 1.0 - abs(a.day - b.day) / 180)


def is_landline(value: str) -> bool:
    """Whether it is a Chinese landline, behind which a house or a company stands."""
    return ";cn" in value


def id_level(a: str, b: str) -> str:
    """``near`` when one may be the other with a slip."""
    return "near" if OSA.distance(a, b) <= max(1, min(len(a), len(b)) // 6) else "differ"


def _phone_level(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    near = any(x != y and OSA.distance(x, y, score_cutoff=1) <= 1 for x in mine for y in theirs)
    return "near" if near else "differ"


def _email_level(mine: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    level = "differ"
    for x in mine:
        for y in theirs:
            if OSA.distance(x, y, score_cutoff=2) <= 2 and _digits(x) == _digits(y):
                return "near"  # other digits are no slip: mailboxes are numbered
            local = x.partition("@")[0]
            if local == y.partition("@")[0] and len(local) > 3 and local not in words.ROLES:
                level = "local"
    return level


# ---- where and when


def _places(a: Place, b: Place, w: Weights, rows: list[Evidence], *, is_known: bool) -> None:
    level = _place_level(a, b)
    if level in ("exact", "house"):
        bits = w.shared_bits(
            "place", level, "place", f"{a.street}|{a.numbers[0] if a.numbers else ''}"
        )
        bits = min(bits, 3.0) if is_known else bits
    else:
        bits = w.bits("place", level)
    rows.append(Evidence("place", level, bits))


@lru_cache(maxsize=1 << 16)
def _place_level(a: Place, b: Place) -> str:
    same_house = bool(a.numbers and b.numbers and a.numbers[0] == b.numbers[0])
    if a.is_han != b.is_han:
        if (
            same_house
            and len(a.numbers) > 1
            and len(b.numbers) > 1
            and set(a.numbers) & set(b.numbers[1:])
        ):
            return "numbers"
        return "numbers" if same_house and len(a.numbers[0]) > 2 else "differ"
    alike = (
        1.0
        if a.street == b.street
        else ratio(a.street, b.street) / 100
        if a.street and b.street
        else 0.0
    )
    if alike < 0.85 and a.street and b.street and min(len(a.street), len(b.street)) > 4:
        alike = max(alike, token_set_ratio(a.street, b.street) / 100 - 0.05)
    if same_house and alike >= 0.8:
        return "exact" if a.numbers == b.numbers and alike == 1 else "house"
    if alike >= 0.85 and a.street:
        return "road" if a.numbers and b.numbers else "street"
    return "numbers" if same_house and len(set(a.numbers) & set(b.numbers)) > 1 else "differ"


def _born(a: str, b: str, w: Weights, rows: list[Evidence]) -> None:
    level = _born_level(a, b)
    if level == "exact":
        rows.append(Evidence("born", level, w.shared_bits("born", level, "born", a)))
    else:
        rows.append(Evidence("born", level, w.bits("born", level)))


@lru_cache(maxsize=1 << 16)
def _born_level(a: str, b: str) -> str:
    if a == b:
        return "exact"
    parts = (a[:4] == b[:4]) + (a[4:6] == b[4:6]) + (a[6:] == b[6:])
    if (
        parts == 2
        or OSA.distance(a, b) <= 1
        or (a[:4] == b[:4] and a[4:6] == b[6:] and a[6:] == b[4:6])
    ):
        return "near"
    return "far" if parts == 1 or OSA.distance(a, b) <= 2 else "differ"


def _text(field: str, a: str, b: str, w: Weights, rows: list[Evidence]) -> None:
    if a == b:
        rows.append(Evidence(field, "exact", w.shared_bits(field, "exact", field, a)))
        return
    level = _text_level(a, b)
    rows.append(Evidence(field, level, w.bits(field, level)))


@lru_cache(maxsize=1 << 16)
def _text_level(a: str, b: str) -> str:
    if a.replace(" ", "") == b.replace(" ", ""):
        return "near"
    if min(len(a), len(b)) <= 4:
        return "near" if len(a) > 2 and OSA.distance(a, b) <= 1 else "differ"
    return "near" if JaroWinkler.similarity(a, b) >= NEAR else "differ"


BitsOf = Callable[[Traits, Traits], float]
_ = pinyin
