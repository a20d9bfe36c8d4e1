"""The keys under which records that may be one customer meet: candidates, not yet matches.

Every key is an equality that an index answers. A limit bounds what one key may bring
together, so the cost of a popular value does not grow with the square of its holders.
"""

from __future__ import annotations

from functools import lru_cache

from hub.identity import words
from hub.identity.traits import Traits
from hub.models.normalise import pinyin

CONTACT_HOLDERS_MAX, OTHER_HOLDERS_MAX = 50, 20
"""Holders of one key that are compared; a key with more tells nothing apart and is passed over.

A number or a mailbox is evidence by itself; a name or a street needs more of it, and who has more
meets under another key too.
"""

ROLES = frozenset(
    [
        "info",
        "office",
        "sales",
        "service",
        "contact",
        "admin",
        "support",
        "mail",
        "hello",
        "kefu",
        "hr",
        "market",
        "marketing",
        "purchase",
        "finance",
        "enquiries",
        "reception",
        "post",
        "webmaster",
        "shop",
        "team",
    ]
)


def holders_max(key: str) -> int:
    """How many holders of the key are compared."""
    return CONTACT_HOLDERS_MAX if key[0] in "pei" else OTHER_HOLDERS_MAX


def phone_base(value: str) -> str:
    """The number without its extension."""
    return value.partition(";")[0]


def contact_keys(t: Traits) -> list[str]:
    """The keys by which a record can be reached or is known, each with how many share it."""
    keys = [f"p{t.kind[0]}{phone_base(value)}" for value in t.phones]
    keys += [f"e{t.kind[0]}{value}" for value in t.emails]
    keys += [f"i{t.kind[0]}{type_}:{value}" for type_, value in t.ids]
    return keys


def contact_field(key: str) -> str:
    """What a contact key is of: phone, email, or the type of an identifier."""
    if key[:1] == "i":
        return key[2:].partition(":")[0]
    return {"p": "phone", "e": "email"}.get(key[:1], "")


def blocking_keys(t: Traits) -> list[str]:
    """All keys of a record, the contact keys first.

    What is claimed may be a person's or an organisation's: it stands under the keys of both.
    """
    keys = contact_keys(t)
    if t.is_claim:
        return list(dict.fromkeys(key[0] + kind + key[2:] for key in keys for kind in "po"))
    keys += _mail_keys(t) + _place_keys(t)
    keys += _person_keys(t) if t.kind == "person" else _company_keys(t)
    return list(dict.fromkeys(keys))


@lru_cache(maxsize=4096)
def recent_keys(t: Traits) -> tuple[str, ...]:
    """As ``blocking_keys``, for records that are asked about several times in one batch."""
    return tuple(blocking_keys(t))


def _mail_keys(t: Traits) -> list[str]:
    locals_ = (value.partition("@")[0] for value in t.emails)
    return [
        f"l{t.kind[0]}{local}" for local in locals_ if len(local) > 2 and local not in words.ROLES
    ]


def _place_keys(t: Traits) -> list[str]:
    place, keys = t.place, []
    if place and place.street and t.postcode:
        keys.append(f"h{t.kind[0]}{place.street[:8]}|{t.postcode}")
    if place and place.numbers:
        if place.street and (t.kind == "org" or (t.name and not t.name.is_han)):
            # Han names that differ are no slips, and under one roof nobody is joined without a name
            keys.append(f"a{t.kind[0]}{place.street}|{place.numbers[0]}")
        if t.postcode:
            keys.append(f"z{t.kind[0]}{t.postcode}|{place.numbers[0]}")
    return keys


def _person_keys(t: Traits) -> list[str]:
    name, born, keys = t.name, t.born, []
    if name and len(name.family_sound) > 1 and len(name.given_sound) > 1:
        keys.append("s" + "".join(sorted(name.family_sound + name.given_sound)))
        if not name.is_han:
            keys.append("t" + "|".join(sorted((name.family_sound[:3], name.given_sound[:3]))))
    if name and born:
        for word in {name.family_sound, name.given_sound} - {""}:
            keys += [f"y{word[:4]}|{born[:4]}", f"m{word[:4]}|{born[4:]}"]
    if born:
        keys.append(f"b{born}")
    if name and t.postcode:
        keys += [
            f"q{word[:4]}|{t.postcode}" for word in {name.family_sound, name.given_sound} - {""}
        ]
    return keys


def _company_keys(t: Traits) -> list[str]:
    company, keys = t.company, []
    if company:
        keys.append(f"o{company.sound}")
        keys += [f"w{word}" for word in company.words[:4] if len(word) > 2]
        if company.is_han:
            keys += [f"w{pinyin(company.core[:2])}", f"w{pinyin(company.core[:3])}"]
    return keys
