"""A person's whole name for vendors that want it in two parts."""

from __future__ import annotations

import re

_HAN = re.compile(r"[\u3400-\u9fff]")


def parted(name: str) -> tuple[str, str]:
    """Given and family name, such that ``full_name`` of a mapping makes the same name of them.

    The last word is the family name; of a name in 汉字 nobody can tell where it ends, so that all
    of it is one.
    """
    name = name.strip()
    if _HAN.search(name):
        return "", name
    given, _, family = name.rpartition(" ")
    return given.strip(), family
