"""What one party record says about whose it is, in one spelling."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import orjson
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE as COUNTRY_CODES

from hub.identity.names import Name, join_name, read_name
from hub.identity.places import Company, Place, read_company, read_place, town
from hub.models import Address, ContactPoint, Level, Organization, Party, Person
from hub.models.normalise import STRONG_TYPES, folded, identifier_value, is_blocked

Ref: TypeAlias = tuple[str, str]
"""(source, id there) of a record."""


class Traits(NamedTuple):
    """The normalised record.

    Attributes:
        phones: in E.164, an extension behind ``;ext=``; placeholders are left out.
        seat: the Chinese city an organisation sits in, in pinyin.
        ids: (type, value) of what a source or a state hands out once.
        born: as YYYYMMDD.
        more: other values by what the source calls them.
        day: when it was last changed, in days.
        is_claim: whether a stranger said all of it: then it holds contacts and identifiers alone,
            and goes to whoever surely has them.
    """

    ref: Ref
    kind: str
    name: Name | None
    company: Company | None
    phones: tuple[str, ...]
    emails: tuple[str, ...]
    ids: tuple[tuple[str, str], ...]
    place: Place | None
    seat: str
    city: str
    postcode: str
    born: str
    more: tuple[tuple[str, str], ...]
    day: int
    is_claim: bool = False


def read_traits(record: Mapping[str, Any], region: str = "CN") -> Traits:
    """The traits of a record as it was typed; what cannot be read is left out.

    Args:
        record: with ``source``, ``source_id`` and any of ``kind``, ``name``, ``emails``,
            ``phones``, ``company``, ``address``, ``identifiers``, ``attributes``, ``updated_at``.
        region: of phones written without a country.
    """
    kind = "org" if str(record.get("kind") or "") in ("org", "organization") else "person"
    given = {k: str(v) for k, v in (record.get("attributes") or {}).items() if v not in (None, "")}
    company = str(record.get("company") or "")
    name = str(record.get("name") or "")
    organisation = read_company(name or company if kind == "org" else company)
    place = _place(str(record.get("address") or ""), given)
    return Traits(
        (str(record["source"]), str(record["source_id"])),
        kind,
        _name(name, given) if kind == "person" else None,
        organisation,
        _values("phone", record.get("phones") or (), region),
        _values("email", record.get("emails") or (), region),
        _ids(_named_ids(given) | (record.get("identifiers") or {})),
        place,
        _seat(organisation, place) if kind == "org" else "",
        _text(_first(given, _CITY)),
        _text(_first(given, _POSTCODE)),
        _born(_first(given, _BORN)),
        _more(given),
        _day(str(record.get("updated_at") or "")),
    )


def name_of(ref: Ref) -> str:
    """The record's one name, such as ``crm/people/7``."""
    return "/".join(ref)


def ref_of(name: str) -> Ref:
    """The reference behind a name."""
    source, _, id_ = name.partition("/")
    return source, id_


def party_traits(party: Party, region: str) -> Traits:
    """The traits of a party record; what is merely claimed counts where nothing is sure."""
    points = [point for point in party.contact_points if point.type in STRONG_TYPES]
    sure = [point for point in points if point.level is not Level.CLAIMED]
    told: dict[str, Any] = {
        "source": party.ref.connection,
        "source_id": f"{party.ref.stream}/{party.ref.id}",
        "kind": "org" if party.kind == Organization.kind else "person",
        **_reached_by(sure or points, region),
    }
    if points and not sure:
        return read_traits(told, region)._replace(is_claim=True)
    told["name"] = party.name
    if isinstance(party, Person):
        told["company"] = party.organization_name
    if party.addresses:
        told |= _lives_at(party.addresses[0])
    at = party.occurred_at
    return read_traits(told, region)._replace(day=at.date().toordinal() if at else 0)


def _reached_by(points: Iterable[ContactPoint], region: str) -> dict[str, Any]:
    phones: list[str] = []
    emails: list[str] = []
    ids: dict[str, list[str]] = {}
    for point in points:
        if point.type == "phone":
            phones.append(point.value)
        elif point.type == "email":
            emails.append(point.value)
        elif value := identifier_value(point.type, point.value, region):
            ids.setdefault(point.type, []).append(value)
    return {"phones": phones, "emails": emails, "identifiers": ids}


def _lives_at(address: Address) -> dict[str, Any]:
    attributes = {"city": address.city, "postcode": address.postal_code}
    if not address.street:
        return {"attributes": attributes}
    parts = [part for part in (address.region, address.city, address.street) if part]
    text = "".join(parts) if not address.street.isascii() else ", ".join(reversed(parts))
    return {"attributes": attributes, "address": text}


def dumps(t: Traits) -> str:
    """The traits as JSON, without their reference."""
    parts = [None if part is None else tuple(part) for part in (t.name, t.company, t.place)]
    name, company, place = parts
    told = (t.kind, name, company, t.phones, t.emails, t.ids, place, *t[8:])
    return orjson.dumps(told).decode()


def loads(ref: Ref, text: str) -> Traits:
    """The traits ``dumps`` wrote."""
    kind, name, company, phones, emails, ids, place, *rest = orjson.loads(text)
    seat, city, postcode, born, more, day, is_claim = rest
    if company:
        company = Company(company[0], company[1], tuple(company[2]), *company[3:])
    return Traits(
        ref,
        kind,
        Name(*name) if name else None,
        company,
        tuple(phones),
        tuple(emails),
        tuple((type_, value) for type_, value in ids),
        Place(place[0], tuple(place[1]), *place[2:]) if place else None,
        seat,
        city,
        postcode,
        born,
        tuple((key, value) for key, value in more),
        day,
        is_claim,
    )


def _seat(company: Company | None, place: Place | None) -> str:
    return town(company.place if company else "") or town(place.city if place else "")


_GIVEN, _FAMILY = ("given_name", "first_name"), ("family_name", "last_name", "surname")
_CITY, _POSTCODE = ("city", "suburb", "town"), ("postcode", "zip", "postal_code")
_BORN = ("birth_date", "date_of_birth", "dob")
_STREET = ("street", "address_1", "street_number", "address")
_OTHER = ("middle_name", "full_name", "name", "updated_at", "created_at", "id")
_READ = frozenset({*_GIVEN, *_FAMILY, *_CITY, *_POSTCODE, *_BORN, *_STREET, *_OTHER})
"""Attributes with a meaning; any other is compared as it stands."""

_TEXT_MAX = 60


def _first(given: Mapping[str, str], keys: Iterable[str]) -> str:
    return next((given[key] for key in keys if key in given), "")


def _name(text: str, given: Mapping[str, str]) -> Name | None:
    first, last = _first(given, _GIVEN), _first(given, _FAMILY)
    if first or last:
        return join_name(first, last)
    return read_name(text) if text else None


_MISTYPED_MAIL = re.compile(r"[^\s,;]{3,}")


@lru_cache(maxsize=1 << 13)
def _value(type_: str, raw: str, region: str) -> str | None:
    value = identifier_value(type_, raw, region)
    if type_ == "phone":
        return _phone(raw, value)
    if value is None and _MISTYPED_MAIL.fullmatch(raw.strip()):
        value = raw.strip().lower()  # a mail address with a slip still tells something
    if value is None or is_blocked(type_, value):
        return None
    local, _, domain = value.partition("@")
    return f"{local.replace('.', '')}@gmail.com" if domain in _DOTLESS else value


_DOTLESS = frozenset({"gmail.com", "googlemail.com"})
_MOBILE_CN = re.compile(r"\+861[3-9]\d{9}")
_NORTH_AMERICA = re.compile(r"\+?1[-. (]+(\d{3})[-. )]+(\d{3})[-. ](\d{4})")
_LANDLINE_CN = re.compile(r"\+86(?:10|2\d|[3-9]\d\d)[2-9]\d{6,7}")


def _phone(raw: str, value: str | None) -> str | None:
    """A mobile number in E.164; any other as ``~`` and the digits behind country and trunk code.

    Numbers of other countries are written without their country as often as with it.
    """
    plain = folded(raw)
    if found := _NORTH_AMERICA.fullmatch(plain):
        return f"~{''.join(found.groups())}"
    if value is None:
        digits = "".join(c for c in plain if c.isdigit())
        return f"~{digits.lstrip('0')}" if 7 <= len(digits) <= 15 and len(set(digits)) > 2 else None
    if is_blocked("phone", value):
        return None
    base, _, extension = value.partition(";")
    if _MOBILE_CN.fullmatch(base):
        return value
    national = base[1 + len(_country_code(base)) :]
    behind = f";{extension}" if extension else ""
    landline = _LANDLINE_CN.fullmatch(base) and _SAYS_CN.match(plain)
    return f"~{national}{';cn' if landline else ''}{behind}"


@lru_cache(maxsize=4096)
def _country_code(base: str) -> str:
    return next(base[1:n] for n in (2, 3, 4) if n == 4 or int(base[1:n]) in COUNTRY_CODES)


_SAYS_CN = re.compile(r"[(（]?(?:0[1-9]|\+?86|0086)")


def _values(type_: str, given: Iterable[Any], region: str) -> tuple[str, ...]:
    found = (_value(type_, str(raw), region) for raw in given if raw)
    return tuple(dict.fromkeys(value for value in found if value))


def _named_ids(given: Mapping[str, str]) -> dict[str, Any]:
    """Attributes that are identifiers by their name, such as ``soc_sec_id``."""
    return {key: value for key, value in given.items() if _is_id(key)}


def _is_id(key: str) -> bool:
    return key.endswith("_id") or key in ("ssn", "passport")


def _ids(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Every identifier; of one type there may be several."""
    found = []
    for type_, told in sorted(given.items()):
        for raw in told if isinstance(told, list | tuple) else (told,):
            value = re.sub(r"[\s-]", "", folded(str(raw or "")))
            if len(set(value)) > 1:
                keeps_case = type_.endswith("id") and not value.isupper()
                found.append((str(type_), value if keeps_case else value.upper()))
    return tuple(found)


def _place(address: str, given: Mapping[str, str]) -> Place | None:
    street = given.get("street") or given.get("address_1") or ""
    if street:
        return read_place(f"{given.get('street_number', '')} {street}, -")
    return read_place(address) if address else None


def _born(text: str) -> str:
    digits: list[str] = re.findall(r"\d+", text)
    if len(digits) == 1 and len(digits[0]) == 8:
        return digits[0]
    if len(digits) < 3:
        return ""
    a, b, c = digits[:3]
    if len(a) == 4:
        return f"{a}{b:0>2}{c:0>2}"
    return f"{c}{b:0>2}{a:0>2}" if len(c) == 4 else ""


def _more(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    found = (
        (key, _text(value))
        for key, value in sorted(given.items())
        if key not in _READ and not _is_id(key)
    )
    return tuple((key, value) for key, value in found if value and len(value) <= _TEXT_MAX)


@lru_cache(maxsize=1 << 13)
def _text(value: str) -> str:
    return " ".join(re.findall(r"\w+", folded(value).lower()))


def _day(text: str) -> int:
    try:
        return datetime.fromisoformat(text).toordinal() if text else 0
    except ValueError:
        return 0
