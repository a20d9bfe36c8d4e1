"""What the readers of names, companies and addresses know by heart."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files

from hub.models.normalise import pinyin

_READ = tomllib.loads(files("hub.identity").joinpath("words.toml").read_text("utf-8"))


def _words(key: str) -> frozenset[str]:
    return frozenset(_READ[key].split())


def _places(names: frozenset[str]) -> str:
    """A pattern of any of them, longer ones first; equally long ones in one order."""
    return "|".join(sorted(names, key=lambda name: (-len(name), name)))


COMMON_SURNAMES = frozenset("".join(_READ["common_surnames"].split()))
SURNAMES = COMMON_SURNAMES | frozenset("".join(_READ["rare_surnames"].split()))
COMPOUND_SURNAMES = _words("compound_surnames")
SURNAME_SOUNDS: dict[str, str] = _READ["surname_sounds"]
ORDINARY = _words("ordinary")
NOBODY = _words("nobody")

TITLES_LATIN = _words("titles_latin")
PARTICLES = _words("particles")
TITLES_HAN = re.compile(
    r"(总经理|董事长|工程师|负责人|联系人|先生|女士|小姐|太太|夫人|老师|经理|总监|主任|老板|师傅"
    r"|医生|大夫|教授|博士|律师|会计|店长|队长|同学|阿姨|叔叔|大哥|大姐|主管|助理|秘书|处长|科长"
    r"|部长|局长|院长|校长|厂长|所长|站长|组长|董事|总裁|采购|前台|财务|客服)+$"
)
SHORT_TITLES = "总工哥姐董局处叔姨嫂爷伯婶师导帅"
FAMILIAR = "小老阿大"

ROLES = _words("roles")
UNITS = _words("units")
STREET_WORDS: dict[str, str] = _READ["street_words"]
NICKNAMES = {
    short: names[0]
    for names in (line.split() for line in _READ["nicknames"].strip().splitlines())
    for short in names
}

PROVINCES, TOWNS = _words("provinces"), _words("towns")
_PLACE = _places(PROVINCES | TOWNS)
TOWN = re.compile(_places(TOWNS))
PLACE_HEAD = re.compile(rf"^(?:(?:{_PLACE})(?:省|市|自治区|特别行政区)?)+")
PLACE_IN_BRACKETS = re.compile(rf"[（(]\s*(?:{_PLACE})(?:省|市)?\s*[)）]")
REGION_HAN = re.compile(
    rf"^(?:中华人民共和国)?(?:(?:{_PLACE})(?:壮族自治区|维吾尔自治区|回族自治区|自治区|省|市)?)*"
    r"(?:[一-鿿]{2,3}市)?(?:[一-鿿]{1,4}?(?:新区|开发区|工业园区|高新区|区|县|镇|旗))?"
)

LEGAL_HAN = re.compile(
    r"(股份有限公司|有限责任公司|有限公司|集团公司|股份公司|总公司|公司|集团|合伙企业|有限合伙|个体工商户)"
)
LEGAL_LATIN = _words("legal_latin")
BRANCH = re.compile(
    rf"((?:{_PLACE}|[一-鿿]{{2}})?(?:市|区|省)?(?:第[一二三四五六七八九十\d]+)?"
    r"(?:分公司|分店|分部|办事处|分行|支行|营业部|子公司|分厂|门店)"
    r"|\b(?:branch|subsidiary|division)\b)",
    re.IGNORECASE,
)


@cache
def surname_sounds() -> frozenset[str]:
    """The surnames in pinyin."""
    return frozenset(
        SURNAME_SOUNDS.get(name) or pinyin(name) for name in SURNAMES | COMPOUND_SURNAMES
    )


@cache
def town_sounds() -> frozenset[str]:
    """The towns and provinces in pinyin, as English company names carry them."""
    return frozenset(pinyin(place) for place in PROVINCES | TOWNS if place != "中国")


@cache
def place_sounds() -> frozenset[str]:
    """The same, and the country."""
    return town_sounds() | {"china", "prc", "cn"}
