"""One spelling for what people write in many."""

import subprocess
import sys
import unicodedata
from pathlib import Path

import opencc
import pytest
from email_validator import EmailNotValidError, validate_email

from hub.models.normalise import identifier_value, is_blocked, name_key, search_keys


@pytest.mark.parametrize(
    "written",
    [
        "13810000001",
        "+86 138 1000 0001",
        "0086-138-1000-0001",
        "138-1000-0001",
        "１３８１０００００01",
    ],
)
def test_one_mobile_in_many_writings(written: str) -> None:
    assert identifier_value("phone", written) == "+8613810000001"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("(021) 6288-0000", "+862162880000"),
        ("(021) 6288-0000 转 8001", "+862162880000;ext=8001"),
        ("021-62880000 分机8001", "+862162880000;ext=8001"),
        ("+1 (415) 555-2671 ext. 12", "+14155552671;ext=12"),
        ("call me", None),
        ("12", None),
    ],
)
def test_land_lines_and_extensions(written: str, value: str | None) -> None:
    assert identifier_value("phone", written) == value


def test_a_number_without_country_is_read_by_the_region() -> None:
    assert identifier_value("phone", "(415) 555-2671", "US") == "+14155552671"


def test_mail_addresses_lose_case_and_tags() -> None:
    assert identifier_value("email", "LiNa+shop@Example.COM ") == "lina@example.com"
    assert identifier_value("email", "not an address") is None


def test_a_tax_number_must_have_its_check_digit() -> None:
    assert identifier_value("tax_id", "9135 0100 M000 100Y43") == "91350100M000100Y43"
    assert identifier_value("tax_id", "91350100M000100Y44") is None


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("李娜", "Li Na"),
        ("李娜", "Na Li"),
        ("李娜女士", "Li Na 李娜"),
        ("王小明", "Xiaoming Wang"),
        ("陳靜", "陈静"),
        ("John Smith", "Smith, John"),
    ],
)
def test_names_that_do_not_contradict(a: str, b: str) -> None:
    assert name_key(a) == name_key(b) != ""


def test_company_suffixes_do_not_count() -> None:
    names = ("蓝天科技有限公司", "藍天科技", "蓝天科技股份有限公司")
    assert len({name_key(name, "Organization") for name in names}) == 1
    assert name_key("Acme Co., Ltd.", "Organization") == name_key("ACME", "Organization")


@pytest.mark.parametrize("value", ["+8613800138000", "+8600000000000", "+8611111111111"])
def test_placeholders_are_blocked(value: str) -> None:
    assert is_blocked("phone", value)


def test_found_by_characters_and_pinyin() -> None:
    keys = search_keys("陳靜").splitlines()
    assert {"陳靜", "陈静", "chen jing", "chenjing", "cj"} <= set(keys)
    assert "wf" in search_keys("Wang Fang").splitlines()


def test_names_can_be_read_by_two_threads_from_the_start() -> None:
    """What reads them is loaded on first use, and its modules import each other."""
    program = """if True:
        from concurrent.futures import ThreadPoolExecutor
        from hub.models import normalise
        with ThreadPoolExecutor(2) as pool:
            pool.submit(normalise._pinyin)
            pool.submit(normalise.name_key, "Anna").result()
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    "domain",
    [
        "a.com",
        "A.Com",
        "x.local",
        "a.test",
        "test",
        "b-c.d.org",
        "a--b.com",
        "ab--c.com",
        "-a.com",
        "a-.com",
        "a..com",
        "a.c0m",
        "x.onion",
        "1.2",
        "a_b.com",
        "a.com.",
        "x.localhost",
        "xn--a.com",
    ],
)
def test_plain_mail_domains_are_judged_as_the_library_judges_them(domain: str) -> None:
    try:
        judged = validate_email(f"a@{domain}", check_deliverability=False, test_environment=True)
        expected = f"a@{judged.domain}".lower()
    except EmailNotValidError:
        expected = None
    assert identifier_value("email", f"a@{domain}") == expected


def test_whatever_the_library_would_simplify_is_simplified() -> None:
    folder = Path(opencc.__file__).parent / "dictionary"
    names = ("TSCharacters.txt", "TSPhrases.txt")
    lines = [line for name in names for line in (folder / name).read_text("utf-8").splitlines()]
    library = opencc.OpenCC("t2s")
    for word in (line.partition("\t")[0] for line in lines[::7]):
        assert unicodedata.normalize("NFKC", library.convert(word)) in search_keys(word).split("\n")
