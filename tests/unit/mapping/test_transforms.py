from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from hub.mapping.transforms import TRANSFORMS, WRONG_VALUE, minor_digits

EVENING = datetime(2026, 11, 21, 18, 50, 57, tzinfo=UTC)


def run(step: str, value: Any, *given: Any, words: tuple[str, ...] = ()) -> Any:
    return TRANSFORMS[step].bind([*words])(value, *given)


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-21T18:50:57Z",
        "2026-11-21T18:50:57",
        "2026-11-21 18:50:57",
        "2026-11-21.18:50:57",
        "2026-11-22T02:50:57+08:00",
        "2026-11-22T02:50:57.000+0800",
        "2026-11-22 02:50:57 +0800",
        "2026-11-21 18:50:57 UTC",
        "20261121T185057Z",
        "20261121185057",
        "2026/11/21 18:50:57",
        "2026年11月21日 18时50分57秒",
        "Sat, 21 Nov 2026 18:50:57 +0000",
        "21 Nov 2026 18:50:57 GMT",
        "/Date(1795287057000)/",
        "/Date(1795287057000+0000)/",
        " 1795287057 ",
        "1795287057.000",
        1795287057,
        1795287057.0,
        1795287057000,
        "1795287057000",
        1795287057000000,
        {"__class__": "datetime", "year": 2026, "month": 11, "day": 21, "hour": 18, "minute": 50,
         "second": 57},
        EVENING,
        EVENING.astimezone(timezone(timedelta(hours=-5))),
    ],
)  # fmt: skip
def test_instants_in_every_writing(written: Any) -> None:
    found = run("utc", written)
    assert found == EVENING
    assert found.tzinfo is UTC


def test_a_zone_is_used_only_when_none_is_written() -> None:
    zone = ("Asia/Shanghai",)
    assert run("utc", "2026-11-22 02:50:57", words=zone) == EVENING
    assert run("utc", "2026-11-21T18:50:57Z", words=zone) == EVENING
    assert run("utc", "2026-11-22", words=zone) == datetime(2026, 11, 21, 16, tzinfo=UTC)


@pytest.mark.parametrize("written", ["2026-1-5 8:03", "2026/1/5 08:03", "2026年1月5日 8时3分"])
def test_unpadded_times(written: str) -> None:
    assert run("utc", written) == datetime(2026, 1, 5, 8, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "written", [0, "0", "0000-00-00 00:00:00", "0001-01-01T00:00:00", "/Date(-62135596800000)/"]
)
def test_never_is_no_time(written: Any) -> None:
    assert run("utc", written) is None
    assert run("date", written) is None


@pytest.mark.parametrize("wrong", ["soon", "12", "2026-13-01", True, [], {}, 1e300, "9" * 40])
def test_what_is_no_time(wrong: Any) -> None:
    for step in ("utc", "date"):
        with pytest.raises(WRONG_VALUE):
            run(step, wrong)


@pytest.mark.parametrize(
    ("written", "words", "expected"),
    [
        ("2026-11-21", (), date(2026, 11, 21)),
        ("20261121", (), date(2026, 11, 21)),
        ("2026/11/21", (), date(2026, 11, 21)),
        ("2026-11-21T23:30:00+08:00", (), date(2026, 11, 21)),
        ("2026-11-21T18:00:00Z", ("Asia/Shanghai",), date(2026, 11, 22)),
        (1795287057, ("Asia/Shanghai",), date(2026, 11, 22)),
        ("2026-11-21 23:30:00", ("Asia/Shanghai",), date(2026, 11, 21)),
        ({"year": 2026, "month": 11, "day": 21}, (), date(2026, 11, 21)),
    ],
)
def test_dates(written: Any, words: tuple[str, ...], expected: date) -> None:
    assert run("date", written, words=words) == expected


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("412.00", "CNY", 41200),
        (412, "cny", 41200),
        (0.1, "EUR", 10),
        ("1,234.50", "USD", 123450),
        ("100", "JPY", 100),
        ("1.2345", "KWD", 1235),
        ("2.675", "USD", 268),
        ("-2.675", "USD", -268),
        ({"__class__": "Decimal", "decimal": "103"}, "CNY", 10300),
        ("0E+999999", "CNY", 0),
        (5, "RMB", 500),
    ],
)
def test_money(value: Any, currency: str, minor: int) -> None:
    code = {"cny": "CNY", "RMB": "CNY"}.get(currency, currency)
    assert run("money", value, currency) == {"amount_minor": minor, "currency": code}


@pytest.mark.parametrize(
    ("value", "currency"),
    [("x", "CNY"), ("1E+999999999", "CNY"), ("NaN", "CNY"), (True, "CNY"), ([], "CNY"),
     (1, None), (1, "RENMINBI"), (1, 156), (1, [])],
)  # fmt: skip
def test_what_is_no_money(value: Any, currency: Any) -> None:
    with pytest.raises(WRONG_VALUE):
        run("money", value, currency)


def test_minor_digits_follow_iso_4217() -> None:
    codes = ("CNY", "JPY", "KWD", "IDR", "HUF", "CLF", "IQD")
    assert [minor_digits(code) for code in codes] == [2, 0, 3, 2, 2, 4, 3]


@pytest.mark.parametrize(
    ("step", "value", "expected"),
    [
        ("strip", " a ", "a"),
        ("lower", "Straße É", "straße é"),
        ("upper", "a1", "A1"),
        ("text", 5.0, "5"),
        ("text", 5.25, "5.25"),
        ("text", True, "true"),
        ("text", date(2026, 11, 21), "2026-11-21"),
        ("digits", "+86 (10) 1234-5678 转 9", "86101234" + "56789"),
        ("digits", "１２３", ""),
        ("integer", "42", 42),
        ("integer", 42.0, 42),
        ("decimal", "1,234.50", Decimal("1234.50")),
        ("decimal", 0.1, Decimal("0.1")),
        ("number", "2.0", 2),
        ("percent", 60.0, 0.6),
        ("plain", "<p>你好 &amp; 😀</p><br>1 &lt; 2<script>x()</script>", "你好 & 😀\n\n1 < 2"),
        ("percent", "33.3", 0.333),
        ("number", "2.5", 2.5),
        ("boolean", "是", True),
        ("boolean", "No", False),
        ("boolean", 0, False),
        ("boolean", True, True),
        ("split", "a, b,,c", ["a", "b", "c"]),
        ("join", ["a", None, " ", 3], "a, 3"),
        ("first", [1, 2], 1),
        ("first", [], None),
        ("last", [1, 2], 2),
        ("list", "a", ["a"]),
        ("list", ["a"], ["a"]),
        ("unless_false", False, None),
        ("unless_false", 0, 0),
        ("amount", {"amount_minor": 5, "currency": "KWD"}, "0.005"),
        ("amount", {"amount_minor": 5, "currency": "JPY"}, "5"),
    ],
)
def test_plain_steps(step: str, value: Any, expected: Any) -> None:
    assert run(step, value) == expected


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        ("strip", []),
        ("text", {}),
        ("text", float("inf")),
        ("integer", "5.5"),
        ("integer", True),
        ("integer", float("nan")),
        ("decimal", "12,34"),
        ("decimal", "1e400"),
        ("boolean", "perhaps"),
        ("join", "a,b"),
        ("join", [[]]),
        ("first", "abc"),
        ("amount", 3),
    ],
)
def test_wrong_values(step: str, wrong: Any) -> None:
    with pytest.raises(WRONG_VALUE):
        run(step, wrong)


def test_words_of_a_step() -> None:
    assert run("split", "a;b", words=(";",)) == ["a", "b"]
    assert run("join", ["a", "b"], words=("",)) == "ab"
    assert run("prefix", 7, words=("user-",)) == "user-7"
    assert run("ref", 7, "crm", words=("users",)) == {
        "connection": "crm", "stream": "users", "id": "7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "family", "expected"),
    [
        ("Ada", "Lovelace", "Ada Lovelace"),
        ("洋", "刘", "刘洋"),
        (None, "刘", "刘"),
        ("Ada", None, "Ada"),
        (None, None, ""),
    ],
)
def test_full_names(given: Any, family: Any, expected: str) -> None:
    assert run("full_name", given, family) == expected


@pytest.mark.parametrize(
    "name",
    [
        "刘洋003（上海）有限公司", "苏州博世汽车部件有限公司（筹）", "华为集团", "第一机床厂",
        "李记小吃店", "市公安局", "复旦大学", "华山医院", "中国银行", "君合律师事务所",
        "红星研究院", "某某有限公司上海分公司", "株式会社トヨタ",
        "Acme Ltd", "Acme Ltd.", "Acme Co., Ltd.", "ACME INC", "Müller GmbH", "Nestlé S.A.",
        "Müller GmbH & Co. KG", "Foo LLC", "Siemens AG", "Foo Corp.", "Philips N.V.",
        "University of Oxford", "Foo Pty Ltd", "ABC Company", "Foo S.r.l.",
    ],
)  # fmt: skip
def test_organisations_by_name(name: str) -> None:
    assert run("party_kind", name) == "Organization"


@pytest.mark.parametrize(
    "name",
    ["刘洋", "欧阳娜娜", "李知行", "王建社", "Marco Polo", "Ada Lovelace", "Vince Incognito",
     "Costa Rossi", "Agatha Sagan", "先生", "王小姐", "Maria Sa"],
)  # fmt: skip
def test_persons_by_name(name: str) -> None:
    assert run("party_kind", name) == "Person"


def test_every_step_is_documented() -> None:
    for name, step in TRANSFORMS.items():
        assert step.name == name
        assert step.doc.endswith((".", '."'))
        assert step.usage.split()[0] == name
    usages = {step.usage for step in TRANSFORMS.values()}
    assert {"utc [zone]", "money currency", "ref stream", "full_name family", "strip"} <= usages


def test_the_steps_asked_for_are_there() -> None:
    asked = "strip lower upper text integer decimal boolean utc date money ref deref split join"
    more = "first last prefix digits party_kind full_name"
    assert {*asked.split(), *more.split()} <= TRANSFORMS.keys()
