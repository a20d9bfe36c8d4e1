"""Customers of a made-up company, in Chinese and in other languages, over several systems.

Everything follows from a seed and the shares below; the truth is known because we made it. Names
come from frequencies, so namesakes happen as in life: by chance, and more often to 王 than to 鄂.
"""

from __future__ import annotations

import random
import string
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pypinyin import lazy_pinyin


class Shares(NamedTuple):
    """How often what goes wrong in life goes wrong here."""

    organisations: float = 0.12
    foreign: float = 0.3
    household: float = 0.08
    recycled: float = 0.04
    dealer: float = 0.02
    placeholder: float = 0.03
    typo: float = 0.05
    pinyin: float = 0.06
    traditional: float = 0.03
    honorific: float = 0.07
    nameless: float = 0.08
    nickname: float = 0.06
    born: float = 0.25
    records: tuple[float, ...] = (0.2, 0.25, 0.22, 0.15, 0.1, 0.05, 0.03)


_READ = tomllib.loads((Path(__file__).parent / "people.toml").read_text("utf-8"))


def _joined(key: str) -> str:
    return "".join(_READ[key].split())


SURNAMES, GIVEN, BRANDS = _joined("surnames"), _joined("given"), _joined("brands")
WESTERN = {part: _READ[f"western_{part}"].split() for part in ("given", "family", "brands")}
SHORT, TRADES, CITIES = _READ["short"], _READ["trades"], _READ["cities"]
ROADS, TOWNS, MAILS = (_READ[key].split() for key in ("roads", "towns", "mails"))
STREETS = ("Oak Street", "Maple Avenue", "Station Road", "Church Lane", "High Street", "Mill Road")
NICKS, TITLES = _READ["nicks"].split(), _READ["titles"].split()
NOBODY = ("微信用户", "未知", "客户", "N/A", "test", "游客")
TRADITIONAL = str.maketrans(_joined("simplified"), _joined("traditional"))
SOURCES = ("shop", "pos", "helpdesk", "wechat", "ledger", "hotline")
FIRST_DAY, DAYS = date(2023, 1, 1), 900
_CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"


@dataclass
class Person:
    """One customer as they are."""

    id: str
    family: str
    given: str
    is_han: bool
    phones: list[str]
    emails: list[str]
    address: dict[str, str]
    born: str
    employer: Company | None = None
    ids: dict[str, str] = field(default_factory=dict)
    until: int = DAYS
    since: int = 0


@dataclass
class Company:
    """One organisation as it is."""

    id: str
    name: str
    english: str
    short: str
    phone: str
    email: str
    tax_id: str
    address: dict[str, str]
    is_han: bool = True


class Made(NamedTuple):
    """One record, and whose it is."""

    record: dict[str, Any]
    entity: str


def people(entities: int, seed: int = 7, shares: Shares | None = None) -> Iterator[Made]:
    """The records of that many customers, in no order that tells anything."""
    return _World(random.Random(seed), shares or Shares()).records(entities)


class _World:
    def __init__(self, chance: random.Random, shares: Shares) -> None:
        self.r, self.shares, self.number = chance, shares, 0
        self.surname_weights = [1 / (i + 4) for i in range(len(SURNAMES))]
        self.given_weights = [1 / (i + 12) for i in range(len(GIVEN))]
        self.western_weights = {k: [1 / (i + 8) for i in range(len(v))] for k, v in WESTERN.items()}
        self.dealers = [self._mobile() for _ in range(5)]

    def records(self, entities: int) -> Iterator[Made]:
        waiting: list[Made] = []
        employers: list[Company] = []
        freed: list[tuple[str, int]] = []
        home: Person | None = None
        for n in range(entities):
            if self.r.random() < self.shares.organisations:
                parent = employers[-1] if employers and self.r.random() < 0.08 else None
                company = self._company(f"O{n}", parent)
                employers = [*employers[-40:], company]
                waiting += self._all(company)
            else:
                home = self._person(f"P{n}", employers, home, freed)
                waiting += self._all(home)
                if self.r.random() < self.shares.recycled:
                    home.until = self.r.randrange(200, 500)
                    freed.append((home.phones[0], home.until))
            if len(waiting) > 5000:
                self.r.shuffle(waiting)
                yield from waiting[2500:]
                del waiting[2500:]
        self.r.shuffle(waiting)
        yield from waiting

    # ---- as they are

    def _person(
        self, id_: str, employers: list[Company], home: Person | None, freed: list[tuple[str, int]]
    ) -> Person:
        r = self.r
        is_han = r.random() >= self.shares.foreign
        if is_han:
            family = r.choices(SURNAMES, self.surname_weights)[0]
            given = "".join(r.choices(GIVEN, self.given_weights, k=r.choice((1, 2, 2, 2))))
        else:
            family = r.choices(WESTERN["family"], self.western_weights["family"])[0].title()
            given = r.choices(WESTERN["given"], self.western_weights["given"])[0].title()
        phone = self._mobile() if is_han else self._abroad()
        person = Person(
            id_, family, given, is_han, [phone], [], self._address(is_han=is_han), self._born()
        )
        if home and home.is_han == is_han and r.random() < self.shares.household:
            person = replace(person, family=home.family, address=home.address)
            person.phones = [home.phones[0]] if r.random() < 0.5 else [phone, home.phones[0]]
        elif freed and r.random() < 0.3:
            person.phones[0], person.since = freed.pop()
            person.since += 60
        if employers and r.random() < 0.35:
            person.employer = r.choice(employers)
        if r.random() < 0.25:
            person.phones.append(self._mobile())
        for _ in range(r.choice((0, 1, 1, 1, 2))):
            person.emails.append(self._mail(person))
        if r.random() < 0.4:
            person.ids["unionid"] = "o" + self._letters(27)
        if r.random() < 0.3:
            person.ids["member_no"] = f"M{r.randrange(10**8):08}"
        return person

    def _company(self, id_: str, parent: Company | None) -> Company:
        r = self.r
        city = r.choice(list(CITIES))
        code, english_city = CITIES[city]
        if parent and parent.is_han:
            return replace(
                parent,
                id=id_,
                name=f"{parent.name}{city}分公司",
                english="",
                short=f"{parent.short}{city}分公司",
                tax_id=self._tax_id(),
                address=self._address(is_han=True, city=city),
            )
        if r.random() < self.shares.foreign:
            brand = f"{r.choice(WESTERN['brands'])} {r.choice(WESTERN['family']).title()}"
            name = f"{brand} {r.choice(list(TRADES.values()))}"
            domain = "".join(name.lower().split()[:2]).encode("ascii", "ignore").decode()
            return Company(
                id_,
                f"{name} {r.choice(('Ltd.', 'Inc.', 'GmbH', 'LLC'))}",
                name,
                name.rsplit(" ", 1)[0],
                self._abroad(),
                f"{r.choice(('info', 'sales'))}@{domain}.com",
                f"DE{r.randrange(10**9):09}",
                self._address(is_han=False),
                is_han=False,
            )
        brand = "".join(r.sample(BRANDS, r.choice((2, 2, 3))))
        trade = r.choice(list(TRADES))
        sound = "".join(lazy_pinyin(brand))
        name = r.choice(
            (
                f"{city}{brand}{trade}有限公司",
                f"{brand}{trade}（{city}）有限公司",
                f"{city}市{brand}{trade}股份有限公司",
            )
        )
        return Company(
            id_,
            name,
            f"{english_city} {sound.title()} {TRADES[trade]} Co., Ltd.",
            brand,
            f"{code}-{r.randrange(2 * 10**7, 9 * 10**7)}",
            f"{r.choice(('info', 'office'))}@{sound}{r.randrange(100)}.com.cn",
            self._tax_id(),
            self._address(is_han=True, city=city),
        )

    def _address(self, *, is_han: bool, city: str = "") -> dict[str, str]:
        r = self.r
        if is_han:
            city = city or r.choice(list(CITIES))
            text = f"{city}市{r.choice(ROADS)}{r.randrange(1, 1500)}号"
            return {
                "city": city,
                "text": text,
                "room": f"{r.randrange(1, 30)}栋{r.randrange(101, 2800)}室",
            }
        town = r.choice(TOWNS)
        return {
            "city": town,
            "text": f"{r.randrange(1, 400)} {r.choice(STREETS)}, {town}",
            "room": "",
        }

    def _born(self) -> str:
        return (date(1950, 1, 1) + timedelta(days=self.r.randrange(20_000))).isoformat()

    def _mobile(self) -> str:
        return f"1{self.r.choice('3456789')}{self.r.randrange(10**9):09}"

    def _abroad(self) -> str:
        r = self.r
        return r.choice(
            (
                f"+1 {r.randrange(201, 989)}-{r.randrange(201, 989)}-{r.randrange(10**4):04}",
                f"+44 7{r.randrange(100, 999)} {r.randrange(10**6):06}",
                f"+49 15{r.randrange(10)} {r.randrange(10**8):08}",
                f"+852 {r.choice('569')}{r.randrange(1000):03} {r.randrange(10**4):04}",
            )
        )

    def _mail(self, p: Person) -> str:
        r = self.r
        family, given = ("".join(lazy_pinyin(part)) for part in (p.family.lower(), p.given.lower()))
        family, given = (part.encode("ascii", "ignore").decode() or "x" for part in (family, given))
        if r.random() < 0.3:
            return f"{r.randrange(10**8, 10**10)}@qq.com"
        local = r.choice(
            (f"{given}.{family}", f"{family}{given}", f"{given[0]}{family}", f"{family}_{given}")
        )
        domain = (
            p.employer.email.partition("@")[2]
            if p.employer and r.random() < 0.5
            else r.choice(MAILS)
        )
        return f"{local}{r.randrange(1000)}@{domain}"

    def _tax_id(self) -> str:
        body = (
            "91"
            + "".join(self.r.choice(string.digits) for _ in range(6))
            + "".join(self.r.choices(_CODE, k=9))
        )
        total = sum(_CODE.index(c) * pow(3, i, 31) for i, c in enumerate(body))
        return body + _CODE[-total % 31]

    def _letters(self, n: int) -> str:
        return "".join(self.r.choices(string.ascii_letters + string.digits + "_-", k=n))

    # ---- as they are written down

    def _all(self, who: Person | Company) -> list[Made]:
        count = self.r.choices(range(1, len(self.shares.records) + 1), self.shares.records)[0]
        write = self._of_person if isinstance(who, Person) else self._of_company
        return [Made(write(who), who.id) for _ in range(count)]  # type: ignore[arg-type]

    def _record(self, source: str, kind: str, day: int) -> dict[str, Any]:
        self.number += 1
        at = FIRST_DAY + timedelta(days=day)
        return {
            "source": source,
            "source_id": f"{source[0].upper()}{self.number:08}",
            "kind": kind,
            "name": None,
            "emails": [],
            "phones": [],
            "company": None,
            "address": None,
            "identifiers": {},
            "attributes": {},
            "updated_at": f"{at.isoformat()}T{self.r.randrange(24):02}:00:00Z",
        }

    def _of_person(self, p: Person) -> dict[str, Any]:
        r, s = self.r, self.shares
        source = r.choice(SOURCES)
        record = self._record(
            source, "person", r.randrange(min(p.since, DAYS - 1), max(p.until, p.since + 1))
        )
        record["name"] = self._name(p, source)
        shown = source != "wechat" or r.random() < 0.8
        record["phones"] = [self._phone(v) for v in p.phones if shown and r.random() < 0.8]
        record["emails"] = [
            self._typed(v)
            for v in p.emails
            if source in ("shop", "helpdesk", "ledger") and r.random() < 0.7
        ]
        if not record["phones"] and not record["emails"] and source != "wechat":
            record["phones"] = [self._phone(p.phones[0])]
        if source == "wechat":
            record["identifiers"]["openid"] = self._openid(p)
        for key, value in p.ids.items():
            if key != "openid" and r.random() < (
                0.8 if (key == "unionid") == (source == "wechat") else 0.15
            ):
                record["identifiers"][key] = value
        if p.employer and r.random() < 0.5:
            record["company"] = r.choice(
                (p.employer.name, p.employer.short, p.employer.english or p.employer.name)
            )
            if r.random() < 0.2:
                record["phones"].append(
                    p.employer.phone + (f"转{r.randrange(100, 999)}" if r.random() < 0.5 else "")
                )
        if source in ("shop", "ledger") and r.random() < 0.7:
            record["address"] = p.address["text"] + (p.address["room"] if r.random() < 0.7 else "")
        if r.random() < s.born and source in ("shop", "pos"):
            record["attributes"]["birth_date"] = p.born
        if r.random() < s.dealer:
            record["phones"].append(r.choice(self.dealers))
        if r.random() < s.placeholder:
            record["phones"].append(r.choice(("13800138000", "00000000", "无")))
        return record

    def _openid(self, p: Person) -> str:
        return p.ids.setdefault("openid", "w" + self._letters(27))

    def _of_company(self, c: Company) -> dict[str, Any]:
        r = self.r
        record = self._record(r.choice(("ledger", "shop", "helpdesk")), "org", r.randrange(DAYS))
        record["name"] = record["company"] = r.choice(
            (c.name, c.name, c.name.replace("（", "(").replace("）", ")"), c.english or c.name)
        )
        if r.random() < 0.1:
            record["name"] = c.short
        if r.random() < 0.6:
            record["phones"] = [c.phone + (f"-{r.randrange(100, 999)}" if r.random() < 0.1 else "")]
        if r.random() < 0.4:
            record["emails"] = [c.email]
        if r.random() < 0.6 or not (record["phones"] or record["emails"]):
            record["address"] = c.address["text"] + c.address["room"]
        if r.random() < 0.5:
            record["identifiers"]["tax_id" if c.is_han else "vat_id"] = c.tax_id
        return record

    def _name(self, p: Person, source: str) -> str | None:
        r, s, roll = self.r, self.shares, self.r.random()
        if roll < s.nameless or (source == "hotline" and roll < 0.4):
            return r.choice((None, None, None, *NOBODY))
        if source == "wechat" and r.random() < 0.4:
            return r.choice(
                (r.choice(NICKS), f"{p.given}🌸", f"小{p.given[-1]}" if p.is_han else p.given)
            )
        if r.random() < s.honorific:
            return (
                f"{p.family}{r.choice(TITLES)}"
                if p.is_han
                else f"{r.choice(('Mr', 'Ms.', 'Dr.'))} {p.family}"
            )
        return self._han(p) if p.is_han else self._western(p)

    def _han(self, p: Person) -> str:
        r, s = self.r, self.shares
        if r.random() < s.pinyin:
            family, given = (
                "".join(lazy_pinyin(p.family)).title(),
                "".join(lazy_pinyin(p.given)).title(),
            )
            return r.choice(
                (
                    f"{given} {family}",
                    f"{family} {given}",
                    f"{family.upper()} {given}",
                    f"{family}, {given}",
                )
            )
        name = p.family + p.given
        if r.random() < s.traditional:
            name = name.translate(TRADITIONAL)
        if r.random() < s.typo:
            spot = r.randrange(1, len(name))
            name = name[:spot] + r.choice(GIVEN) + name[spot + 1 :]
        return r.choice(
            (name, name, name, name, f" {name} ", f"{p.family} {name[1:]}", f"{name}（VIP）")
        )

    def _western(self, p: Person) -> str:
        r = self.r
        given = (
            SHORT.get(p.given.lower(), p.given)
            if r.random() < self.shares.nickname * 2
            else p.given
        )
        name = r.choice(
            (
                f"{given} {p.family}",
                f"{given} {p.family}",
                f"{p.family}, {given}",
                f"{given[0]}. {p.family}",
                f"{given} {p.family}".upper(),
                f"{given} {r.choice('ABCDEFGHJ')}. {p.family}",
            )
        )
        return self._typed(name) if r.random() < self.shares.typo * 2 else name

    def _typed(self, text: str) -> str:
        r = self.r
        if r.random() > self.shares.typo or len(text) < 5:
            return text
        spot = r.randrange(1, len(text) - 1)
        return r.choice(
            (
                text[:spot] + text[spot + 1 :],
                text[:spot] + text[spot + 1] + text[spot] + text[spot + 2 :],
                text[:spot] + r.choice(string.ascii_lowercase) + text[spot + 1 :],
                text.upper(),
            )
        )

    def _phone(self, value: str) -> str:
        r = self.r
        if r.random() < self.shares.typo / 3:
            spot = r.randrange(4, len(value))
            value = value[:spot] + r.choice(string.digits) + value[spot + 1 :]
        if value.startswith("+"):
            digits = "".join(c for c in value if c.isdigit())
            return r.choice((value, value, f"+{digits}", f"00{digits}"))
        if not value.startswith("1"):
            return value
        return r.choice(
            (
                value,
                value,
                value,
                f"+86{value}",
                f"+86 {value[:3]} {value[3:7]} {value[7:]}",
                f"0086{value}",
                f"{value[:3]}-{value[3:7]}-{value[7:]}",
                f"86{value}",
            )
        )
