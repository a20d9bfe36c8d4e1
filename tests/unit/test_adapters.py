"""What adapters leave to the SDK: waiting, trying again, statuses and times; and their size."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median

import pytest

ADAPTERS = Path(__file__).resolve().parents[2] / "adapters"
MODULES = sorted(ADAPTERS.glob("*/*.py"))
MINE = {
    "sleep": "Http waits, and the task comes back later",
    "strptime": "hub.sdk.instant reads times",
    "parsedate_to_datetime": "hub.sdk.instant reads times",
    "status_code": "Http names what a status means; raise_for_refusal says it better",
    "Retrying": "Http tries again",
    "retry": "Http tries again",
}
EXEMPT = {
    ("email", "parsedate_to_datetime"): "the date of a letter, of which mail has its own form"
}


def names_in(path: Path) -> set[str]:
    """Every name and attribute a module uses."""
    tree = ast.walk(ast.parse(path.read_text("utf-8")))
    return {
        n.id if isinstance(n, ast.Name) else n.attr
        for n in tree
        if isinstance(n, ast.Name | ast.Attribute)
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_an_adapter_does_not_do_what_the_sdk_does(path: Path) -> None:
    found = {
        name for name in names_in(path) & MINE.keys() if (path.parent.name, name) not in EXEMPT
    }
    assert {name: MINE[name] for name in found} == {}


def test_the_median_adapter_is_short() -> None:
    lines = [len(path.read_text("utf-8").splitlines()) for path in ADAPTERS.glob("*/adapter.py")]
    assert median(lines) < 150
