"""Numbers, money, instants and phones in the reader's language."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import phonenumbers
from babel.core import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_skeleton, format_timedelta
from babel.numbers import format_currency, format_decimal, get_currency_symbol, is_currency
from flask import Flask
from flask_babel import get_locale, get_timezone
from flask_babel import gettext as _

from hub.models import Address
from hub.store import read

# Minor digits by ISO 4217 where they are not 2. CLDR's differ: it says how prices are shown.
MINOR_DIGITS = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
         "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}  # fmt: skip
JUST_NOW = timedelta(seconds=45)


def now() -> datetime:
    """This instant."""
    return datetime.now(UTC)


def locale() -> Locale:
    """The reader's."""
    return cast("Locale", get_locale())


def instant(value: Any) -> datetime | None:
    """An aware instant from a document, None when there is none."""
    if isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def day(value: Any) -> date | None:
    """A day from a document, None when there is none."""
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def local(at: datetime) -> datetime:
    """The instant on the reader's clock."""
    return at.astimezone(get_timezone())


def today() -> date:
    """The day it is for the reader."""
    return local(now()).date()


def age(at: datetime) -> str:
    """How long ago, or in how long: 2 小时前, in 3 hours."""
    distance = at - now()
    if abs(distance) < JUST_NOW:
        return str(_("just now"))
    return format_timedelta(distance, add_direction=True, locale=locale())


def span(seconds: int) -> str:
    """How long something took: 3:05."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}:{rest:02d}"


def when(at: datetime) -> str:
    """The whole instant, for whoever wants to know exactly."""
    return format_datetime(local(at), "medium", locale=locale())


def clock(at: datetime) -> str:
    """The time of day, on 24 hours."""
    return local(at).strftime("%H:%M")


def on(value: date) -> str:
    """A day, without its year in this one."""
    skeleton = "MMMd" if value.year == today().year else "yMMMd"
    return format_skeleton(skeleton, value, locale=locale())


def heading(value: date) -> str:
    """A day as the timeline names it."""
    distance = (today() - value).days
    if distance in (0, 1):
        return str(_("Today") if distance == 0 else _("Yesterday"))
    if value.year == today().year:
        return format_skeleton("MMMEd", value, locale=locale())
    return format_date(value, "long", locale=locale())


def money(amount: Any) -> str:
    """¥12,800.00 for a ``Money`` of a document; "" for none."""
    if not isinstance(amount, dict) or "amount_minor" not in amount:
        return ""
    currency = str(amount.get("currency", ""))
    digits = MINOR_DIGITS.get(currency, 2)
    value = Decimal(int(amount["amount_minor"])).scaleb(-digits)
    if not is_currency(currency):
        return f"{format_decimal(value, locale=locale())} {currency}"
    gap = "\xa0" if get_currency_symbol(currency, locale())[-1].isalpha() else ""
    pattern = f"¤{gap}#,##0" + ("." + "0" * digits if digits else "")
    return format_currency(value, currency, pattern, locale=locale(), currency_digits=False)


def number(value: Any) -> str:
    """A quantity without needless zeros."""
    return format_decimal(Decimal(str(value)).normalize(), locale=locale())


def phone(value: str) -> str:
    """A phone as people write it: nationally at home, internationally elsewhere."""
    if "*" in value:
        return value  # hidden; a parser would take the stars for spaces
    plain, _sep, extension = value.partition(";ext=")
    try:
        parsed = phonenumbers.parse(plain, None)
    except phonenumbers.NumberParseException:
        return value  # never was a number, whatever its source says
    at_home = phonenumbers.region_code_for_number(parsed) == read.REGION
    style = phonenumbers.PhoneNumberFormat
    written = phonenumbers.format_number(parsed, style.NATIONAL if at_home else style.INTERNATIONAL)
    word = _("ext.")  # Babel looks for no text inside another
    return f"{written} {word} {extension}" if extension else written


def contact(type_: str, value: str) -> str:
    """A contact point as people write it."""
    return phone(value) if type_ in ("phone", "fax") else value


def address_link(type_: str, value: str) -> str:
    """What a click on a contact point opens; "" for nothing."""
    if "*" in value:
        return ""
    if type_ == "phone":
        return "tel:" + value
    return "mailto:" + value if type_ == "email" else ""


def postal(address: Address) -> str:
    """An address on one line: from the large to the small in Chinese, the other way elsewhere."""
    a = address
    parts = [a.street, a.city, a.region, a.postal_code, a.country]
    if any("一" <= sign <= "鿿" for sign in a.street + a.city):
        return " ".join(filter(None, (a.country, a.region, a.city, a.street, a.postal_code)))
    return ", ".join(filter(None, parts))


def language_name(tag: str) -> str:
    """``zh-CN`` as 中文 (中国)."""
    try:
        return Locale.parse(tag, sep="-").get_display_name(locale()) or tag
    except (UnknownLocaleError, ValueError):
        return tag


def initial(name: str) -> str:
    """What stands for somebody without a picture: their family name, or their first letter."""
    return next((sign.upper() for sign in name if sign.isalnum()), "·")


def install(app: Flask) -> None:
    """Give the templates these filters."""
    app.jinja_env.filters.update(
        age=age, span=span, when=when, clock=clock, on=on, money=money, number=number,
        language_name=language_name, postal=postal, initial=initial, instant=instant, day=day,
    )  # fmt: skip
    app.jinja_env.globals.update(contact=contact, address_link=address_link, today=today, now=now)
