"""Named pure steps of an expression: ``created_at | utc Asia/Shanghai``.

A step takes one value and gives another; a value it cannot take is any ``ValueError``,
``TypeError`` or the like, which the expression turns into a ``MappingError`` with the path. An
empty value (None or blank text) never reaches a step, unless the step says ``takes_none``.
"""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache, partial
from typing import Any, Literal

import nh3

from hub.errors import MappingSpecError
from hub.instants import instant, moment, written, zone_of
from hub.models import Money, Ref

Direction = Literal["both", "read", "write"]
Given = Literal["", "path", "currency", "connection", "find"]

WRONG_VALUE = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)
"""What a step raises when it gets a value it cannot take."""


@dataclass(frozen=True, slots=True)
class Transform:
    """One named step.

    Attributes:
        name: as written in a mapping.
        doc: one line: what comes out.
        run: the step itself: the value first, then what it is ``given``, then its words.
        wants: what it can take, as told to the administrator.
        direction: "read" (fields), "write" (push) or both.
        given: what else it gets per row: the value of a "path" written as its first argument (for
            a "currency" a code will do), the name of the "connection", or how to "find" the
            counterpart of a reference.
        words: its other arguments, by name, with the function that reads each at load time.
        required: the arguments that must be written.
        gives: the canonical value it makes, "Ref", "Money" or "kind", where that must be known.
        takes_none: it is also asked about an empty value.
    """

    name: str
    doc: str
    run: Callable[..., Any]
    wants: str
    direction: Direction = "both"
    given: Given = ""
    words: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    gives: str = ""
    takes_none: bool = False

    @property
    def usage(self) -> str:
        """How it is written: ``utc [zone]``."""
        arguments = [_path_name(self.run)] if self.given in ("path", "currency") else []
        arguments += [name if name in self.required else f"[{name}]" for name in self.words]
        return " ".join([self.name, *arguments])

    def bind(self, words: list[str]) -> Callable[..., Any]:
        """The step with its words read once, ready to run on every row.

        Raises:
            MappingSpecError: the words do not fit.
        """
        if not len(self.required) <= len(words) <= len(self.words):
            problem = f'"{self.name}" has the wrong arguments'
            raise MappingSpecError(problem, hint=f"Write: {self.usage}")
        bound = {}
        for (name, read), word in zip(self.words.items(), words, strict=False):
            try:
                bound[name] = read(word)
            except (*WRONG_VALUE, OSError) as exc:  # ZoneInfo opens files
                problem = f'"{word}" is not a {name} for "{self.name}"'
                raise MappingSpecError(problem, hint=f"Write: {self.usage}") from exc
        return partial(self.run, **bound) if bound else self.run


TRANSFORMS: dict[str, Transform] = {}
"""Every step by its name."""


def _path_name(run: Callable[..., Any]) -> str:
    return list(inspect.signature(run).parameters)[1]


def _step(
    wants: str,
    *,
    name: str = "",
    direction: Direction = "both",
    given: Given = "",
    gives: str = "",
    takes_none: bool = False,
    **words: Callable[[str], Any],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a function under its own name; its docstring's first line documents it."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        parameters = inspect.signature(run).parameters
        called = name or run.__name__
        TRANSFORMS[called] = Transform(
            name=called,
            doc=(run.__doc__ or "").partition("\n")[0],
            run=run,
            wants=wants,
            direction=direction,
            given=given,
            words=words,
            required=tuple(w for w in words if parameters[w].default is inspect.Parameter.empty),
            gives=gives,
            takes_none=takes_none,
        )
        return run

    return register


# Text


def to_text(value: Any) -> str:
    """A single value as text: 5 and 5.0 are "5", True is "true".

    Raises:
        TypeError: it is a list or an object.
        ValueError: it is not a finite number.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(_number(value))
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError


@_step("a single value")
def text(value: Any) -> str:
    """The value as text; a number without needless digits."""
    return to_text(value)


@_step("text")
def strip(value: Any) -> str:
    """Text without blanks around it."""
    return to_text(value).strip()


@_step("text")
def lower(value: Any) -> str:
    """Text in lower case."""
    return to_text(value).lower()


@_step("text")
def upper(value: Any) -> str:
    """Text in upper case."""
    return to_text(value).upper()


@_step("text")
def digits(value: Any) -> str:
    """Only the digits 0 to 9."""
    return "".join(char for char in to_text(value) if char in "0123456789")


@_step("text", start=str)
def prefix(value: Any, *, start: str) -> str:
    """The text with this in front; an empty text stays empty."""
    return start + to_text(value)


@_step("a given name", given="path", takes_none=True)
def full_name(given: Any, family: Any) -> str:
    """Given and family name as one: family first and no blank where either is Chinese."""
    first, last = (to_text(part).strip() if part is not None else "" for part in (given, family))
    if re.search(r"[\u3400-\u9fff]", first + last):
        return last + first
    return f"{first} {last}".strip()


@_step("HTML", direction="read")
def plain(value: Any) -> str:
    """HTML as plain text; blocks end lines."""
    spaced = re.sub(r"(?i)<(br|/p|/div|/tr|/li|/h[1-6])\b[^>]*>", "\\g<0>\n", to_text(value))
    return html.unescape(nh3.clean(spaced, tags=set())).strip()


@_step("anything")
def unless_false(value: Any) -> Any:
    """Nothing where the vendor writes false for "empty"; anything else as it is."""
    return None if value is False else value


# Lists


@_step("text", separator=str)
def split(value: Any, *, separator: str = ",") -> list[str]:
    """The parts between separators (a comma), stripped, without empty ones."""
    return [part for piece in to_text(value).split(separator) if (part := piece.strip())]


@_step("a list of single values", separator=str)
def join(value: Any, *, separator: str = ", ") -> str:
    """The items as one text, separated by ", ", without empty ones."""
    parts = (to_text(item).strip() for item in _list(value) if item is not None)
    return separator.join(part for part in parts if part)


@_step("a list")
def first(value: Any) -> Any:
    """The first item, if there is one."""
    items = _list(value)
    return items[0] if items else None


@_step("a list")
def last(value: Any) -> Any:
    """The last item, if there is one."""
    items = _list(value)
    return items[-1] if items else None


@_step("anything", name="list")
def as_list(value: Any) -> list[Any]:
    """A list of this one value; a list stays as it is."""
    return value if isinstance(value, list) else [value]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError
    return list(value)


# Numbers

_GROUPED = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
_MOST_DIGITS = 20

_YES_NO = {
    **dict.fromkeys(("true", "yes", "y", "on", "t", "1", "是"), True),
    **dict.fromkeys(("false", "no", "n", "off", "f", "0", "否"), False),
}


def _number(value: Any) -> Decimal:
    """A finite number of sane size: 1E+999999 would become an integer of a megabyte."""
    if isinstance(value, str):
        grouped = "," in value and _GROUPED.fullmatch(value.strip())
        number = Decimal(value.replace(",", "") if grouped else value)
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        number = Decimal(str(value))
    elif isinstance(value, dict):  # {"__class__": "Decimal", "decimal": "1.50"}
        return _number(value["decimal"])
    else:
        raise TypeError
    if not number:
        return Decimal(0)
    if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        raise ValueError
    return number


@_step("a number")
def decimal(value: Any) -> Decimal:
    """An exact number; text may group its thousands ("1,234.50")."""
    return _number(value)


@_step("a whole number")
def integer(value: Any) -> int:
    """A whole number; 5.0 is one, 5.5 is not."""
    if type(value) is int:
        return value
    number = _number(value)
    if number != int(number):
        raise ValueError
    return int(number)


@_step("a number")
def number(value: Any) -> int | float:
    """A plain JSON number, whole where it can be."""
    exact = _number(value)
    return int(exact) if exact == int(exact) else float(exact)


@_step("a number", direction="read")
def percent(value: Any) -> float:
    """A percentage as a part of one: 60 is 0.6."""
    return float(_number(value).scaleb(-2))


@_step("yes or no")
def boolean(value: Any) -> bool:
    """True or false from true, yes, on, y, t, 1, 是 and their opposites."""
    if isinstance(value, bool):
        return value
    return _YES_NO[to_text(value).strip().lower()]


# Money

_MINOR_DIGITS = {
    code: digits
    for digits, codes in (
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    )
    for code in codes.split()
}
"""Minor digits where they are not two.

Source: ISO 4217 list one. Not CLDR (Babel): it gives how many digits people write, which differs.
"""


def minor_digits(currency: str) -> int:
    """How many decimal digits the minor unit of a currency has."""
    return _MINOR_DIGITS.get(currency, 2)


@_step("a number and a currency code", direction="read", given="currency", gives="Money")
def money(value: Any, currency: Any) -> dict[str, Any]:
    """Money in minor units, rounded half up; the currency is a path or a code such as CNY."""
    code, digits = _currency(currency)
    minor = _number(value).scaleb(digits).to_integral_value(ROUND_HALF_UP)
    return {"amount_minor": int(minor), "currency": code}


@lru_cache(maxsize=1024)
def _currency(written: str) -> tuple[str, int]:
    """The ISO 4217 code and its minor digits."""
    code = written.strip().upper()
    if not re.fullmatch("[A-Z]{3}", code):
        raise ValueError
    code = "CNY" if code == "RMB" else code  # in wide use, yet not in ISO 4217
    return code, minor_digits(code)


@_step("money", direction="write")
def amount(value: Any) -> str:
    """Money as a plain decimal text in the major unit: "123.45"."""
    of = Money.model_validate(value)
    return f"{Decimal(of.amount_minor).scaleb(-minor_digits(of.currency)):f}"


# Times


def _told(value: Any) -> Any:
    """The value, a number among text as one: "1,700,000,000" is written so by some."""
    return value if isinstance(value, str | date | dict) else _number(value)


@_step("a date and time", zone=zone_of)
def utc(value: Any, *, zone: tzinfo = UTC) -> datetime | None:
    """An instant from ISO text, Unix time or an e-mail date, in this zone if it names none."""
    return instant(_told(value), zone)


@_step("a date", name="date", zone=zone_of)
def day(value: Any, *, zone: tzinfo | None = None) -> date | None:
    """The date as written, or the date of an instant in the zone named."""
    found = moment(_told(value))
    if not isinstance(found, datetime):
        return found
    return (found.astimezone(zone) if zone and found.tzinfo else found).date()


@_step("an instant", direction="write", zone=zone_of)
def local(value: Any, *, zone: tzinfo) -> str | None:
    """Wall clock text in the zone named: "2026-11-21 18:50:57"."""
    at = utc(value)
    return written(at, "local", zone) if at else None


@_step("an instant", direction="write")
def epoch(value: Any) -> int | None:
    """Unix seconds."""
    at = utc(value)
    return int(written(at, "s")) if at else None


@_step("an instant", direction="write")
def epoch_ms(value: Any) -> int | None:
    """Unix milliseconds."""
    at = utc(value)
    return int(written(at, "ms")) if at else None


# References and parties


@_step("an id", direction="read", given="connection", gives="Ref", stream=str)
def ref(value: Any, connection: str, *, stream: str) -> dict[str, str]:
    """A reference to the record with this id in that stream of the same connection."""
    if isinstance(value, bool):
        raise TypeError
    return {"connection": connection, "stream": stream, "id": to_text(value).strip()}


@_step("a reference", direction="write", given="find", stream=str)
def deref(value: Any, find: Callable[[Ref, str], str | None], *, stream: str) -> str | None:
    """The id of the record's counterpart in the target system; nothing if it has none."""
    return find(Ref.model_validate(value), stream)


_ORGANIZATION = re.compile(
    r"""
      有限公司 | 有限责任公司 | 股份公司 | 株式会社
    | (?: 公司 | 集团 | 大学 | 学院 | 学校 | 中学 | 小学 | 幼儿园 | 医院 | 诊所 | 卫生院 | 养老院
        | 研究院 | 设计院 | 科学院 | 法院 | 检察院 | 研究所 | 事务所 | 派出所 | 委员会 | 居委会
        | 村委会 | 政府 | 协会 | 学会 | 商会 | 工会 | 基金会 | 合作社 | 出版社 | 旅行社 | 报社
        | 俱乐部 | 经营部 | 门市部 | 营业部 | 事业部 | 服务部 | 批发部 | 工作室 | 银行 | 分行
        | 支行 | 商行 | 超市 | 商场 | 商城 | 药房 | 中心 | 总部 | 大厦 | 物业 | 农场
        | (?<=..)[厂店局馆站] )
      (?: [（(] [^（）()]* [）)] )? $
    | \b (?i: ltd | limited | inc | incorporated | corp | corporation | company | gmbh | llc | llp
        | plc | s\.?a\.?r\.?l | s\.?r\.?l | s\.?p\.?a | pty | pte | university | hospital | college
        | bank | institute | foundation | association | ministry | group | holdings? ) \b \W* $
    | \b (?: S\.?A | A\.?G | K\.?G | N\.?V | B\.?V | A/S | A\.?B | Oy | Oyj | KK | Co ) \.? \W* $
    | \b (?i: co\.?,?\s*ltd | gmbh\s*&\s*co | university\s+of | bank\s+of | ministry\s+of ) \b
    """,
    re.VERBOSE,
)


@_step("a name", direction="read", gives="kind")
def party_kind(value: Any) -> str | None:
    """Organization when the name ends like one (有限公司, 医院, Ltd, GmbH …), else Person."""
    name = to_text(value).strip()
    if not name:
        return None
    return "Organization" if _ORGANIZATION.search(name) else "Person"
