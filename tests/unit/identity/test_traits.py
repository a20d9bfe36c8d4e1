"""One spelling for names, companies, addresses and numbers, whoever typed them."""

from __future__ import annotations

import pytest

from hub.identity.names import join_name, read_name
from hub.identity.places import read_company, read_place
from hub.identity.traits import read_traits


@pytest.mark.parametrize(
    "text",
    [
        "李娜",
        " 李 娜 ",
        "李娜女士",
        "Li Na",
        "Na LI",
        "LI, Na",
        "李娜（VIP）",
        "恒泰 李娜",
        "李娜-恒泰",
    ],
)
def test_writings_of_one_name_share_a_key(text: str) -> None:
    name = read_name(text)
    assert name is not None
    assert name.key == "li na"


@pytest.mark.parametrize(
    ("text", "family", "given"),
    [
        ("歐陽修", "欧阳", "修"),
        ("王总", "王", ""),
        ("李工", "李", ""),
        ("周总经理", "周", ""),
        ("Mr. de Vries", "devries", ""),
        ("Silva, Richard", "silva", "richard"),
        ("R. Silva", "silva", "r"),
        ("SamuelL", "l", "samuel"),
        ("José O'Connor", "oconnor", "jose"),
        ("小颖", "", "颖"),
    ],
)
def test_names_are_taken_apart(text: str, family: str, given: str) -> None:
    name = read_name(text)
    assert name is not None
    assert (name.family, name.given) == (family, given)


def test_short_forms_sound_like_the_name() -> None:
    maggie, margaret = read_name("Maggie Nilsson"), read_name("Margaret Nilsson")
    assert maggie is not None
    assert margaret is not None
    assert maggie.key == margaret.key


@pytest.mark.parametrize("text", ["微信用户", "N/A", "test", "", "先生", "未知"])
def test_nobody_is_no_name(text: str) -> None:
    assert read_name(text) is None


def test_what_people_call_themselves_says_no_family() -> None:
    for text in ("云淡风轻~", "向日葵", "简单"):
        name = read_name(text)
        assert name is not None
        assert name.nick
        assert not name.is_full


def test_two_fields_make_a_name() -> None:
    name = join_name("Freddie", "Brown")
    assert name is not None
    assert (name.family, name.given_sound) == ("brown", "frederick")


@pytest.mark.parametrize(
    ("text", "core", "branch"),
    [
        ("西安市卓合家居用品有限公司", "卓合家居用品", ""),
        ("卓合家居用品（西安）股份有限公司", "卓合家居用品", ""),
        ("瑞恒科技(天津)有限公司天津分公司", "瑞恒科技", "天津分公司"),
        ("Fabrikam Blue Electronics (Xian) Ltd.", "fabrikamblueelectronics", ""),
        ("Guangzhou Yunmei New Energy Co., Ltd.", "yunmeinewenergy", ""),
    ],
)
def test_companies_lose_place_and_legal_form(text: str, core: str, branch: str) -> None:
    company = read_company(text)
    assert company is not None
    assert (company.core, company.branch) == (core, branch)


def test_addresses_agree_however_they_are_written() -> None:
    one, other = (
        read_place("河南省郑州市金水区花园路1454号9号楼1007"),
        read_place("郑州花园路1454号 9-1007"),
    )
    assert one is not None
    assert other is not None
    assert (
        (one.street, one.numbers)
        == (other.street, other.numbers)
        == ("花园路", ("1454", "9", "1007"))
    )


def test_a_town_alone_is_no_address() -> None:
    assert read_place("Liverpool") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+86 139 1234 5670", "008613912345670"),
        ("+1 (366) 751-0611", "366-751-0611"),
        ("+44 (0)7943 796746", "07943796746"),
        ("(0371)35486784", "86-0371-35486784"),
        ("０２７－６２３０７０８３", "027-62307083"),
    ],
)
def test_writings_of_one_phone(one: str, other: str) -> None:
    a, b = (read_traits({"source": "s", "source_id": "1", "phones": [raw]}) for raw in (one, other))
    assert a.phones[0].partition(";")[0] == b.phones[0].partition(";")[0]


def test_placeholders_are_left_out() -> None:
    record = {
        "source": "s",
        "source_id": "1",
        "name": "未知",
        "phones": ["13800138000", "无", "-"],
        "emails": ["test@test.com", None],
        "identifiers": {"tax_id": "", "unionid": "0000"},
    }
    found = read_traits(record)
    assert (found.name, found.phones, found.emails, found.ids) == (None, (), (), ())


def test_aliases_of_one_mailbox() -> None:
    mails = ["Zhou.Xiujun+shop@gmail.com", "zhouxiujun@googlemail.com"]
    assert read_traits({"source": "s", "source_id": "1", "emails": mails}).emails == (
        "zhouxiujun@gmail.com",
    )
