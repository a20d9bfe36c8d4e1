"""What we ask 钉钉 and 飞书 for is what their own SDKs can ask for: methods, paths and names.

The lists were read out of those SDKs; see ``tests/data/vectors/README.md``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hub import mapping, registry
from hub.sdk.testing import Vendor

VECTORS = Path(__file__).parents[1] / "data" / "vectors"
HOSTS = {"dingtalk": "api.dingtalk.com", "feishu": "open.feishu.cn"}
OWN = re.compile(r"/open-apis/(auth/|bot/v2/hook/)")
"""The SDK keeps these to itself, or does not know them."""

Json = dict[str, Any]


def known(vendor: str) -> list[Json]:
    found: list[Json] = json.loads((VECTORS / f"{vendor}.json").read_text("utf-8"))["requests"]
    return found


def asked(vendor: str) -> Iterator[tuple[str, Json]]:
    """Every request of a fixture, by the fixture's name."""
    fixtures = Vendor(registry.manifest(vendor), mapping).fixtures
    for name, fixture in fixtures.items():
        for exchange in (*fixture.get("exchanges", ()), *fixture.get("again", ())):
            url = urlsplit(exchange["url"])
            if url.netloc == HOSTS[vendor] and not OWN.match(url.path):
                yield name, {**exchange, "path": url.path}


def fits(request: Json, told: Json) -> bool:
    path = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(told["path"]))
    return request["method"] == told["method"] and bool(re.fullmatch(path, request["path"]))


def action_of(vendor: str, request: Json) -> Json | None:
    """What the SDK calls this request; of two the one whose path has more words of its own."""
    found = [told for told in known(vendor) if fits(request, told)]
    return min(found, key=lambda told: told["path"].count("{"), default=None)


@pytest.mark.parametrize("vendor", HOSTS)
def test_the_sdk_can_ask_the_same(vendor: str) -> None:
    for name, request in asked(vendor):
        told = action_of(vendor, request)
        assert told, (name, request["method"], request["path"])
        assert set(request.get("query", {})) <= set(told["query"]), name
        assert set(request.get("json", {})) <= set(told["body"]), name


@pytest.mark.parametrize("vendor", HOSTS)
def test_all_of_them_are_asked(vendor: str) -> None:
    """A list that has more than we ask for would only look like proof."""
    used = [told["action"] for _, one in asked(vendor) if (told := action_of(vendor, one))]
    unused = [told["action"] for told in known(vendor) if told["action"] not in used]
    assert unused == ASKED_ELSEWHERE[vendor]


ASKED_ELSEWHERE: dict[str, list[str]] = {"dingtalk": [], "feishu": ["contact/v3/get_user"]}
"""There are no fixtures of single records that are fetched; see ``test_office_cn``."""
