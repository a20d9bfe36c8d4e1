"""An AI assistant asks over standard input; what it may see is decided by the hub that answers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from click.testing import CliRunner
from mcp import Client, StdioServerParameters

from hub.cli import cli
from hub.cli.mcp import Tools, _client
from hub.errors import RejectedError
from hub.store import accounts
from hub.store.db import Database
from tests.story.processes import Installation, installed, wait_until
from tests.unit.web import world
from tests.unit.web.world import LI_NA

PHONE = "139 0000 1234"
NAMES = ["create_request", "find_customer", "get_profile", "get_timeline", "list_requests"]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a running hub, and a token of each role."""
    folder = tmp_path_factory.mktemp("mcp")
    url = f"sqlite:///{folder}/hub.db"
    with installed(folder, url, secret_keys=[world.KEY]) as found:
        database = Database(url)
        with database.write() as conn:
            world.fill(conn)
            tokens = {
                role: accounts.create_token(conn, role, role) for role in ("agent", "auditor")
            }
        database.close()
        _start_web(found)
        yield f"http://127.0.0.1:{found.web_port}", tokens


def _start_web(found: Installation) -> None:
    granian = [sys.executable, "-m", "granian", "--interface", "wsgi", "--factory"]
    address = ["--host", "127.0.0.1", "--port", str(found.web_port)]
    found.start("web", [*granian, *address, "hub.web.app:create_app"])
    wait_until("the hub answers", lambda: found.answers(found.web_port))


def asked(url: str, token: str, ask: Callable[[Client], Awaitable[Any]]) -> Any:
    """What an assistant's client is told by a server it started itself."""
    env = {**os.environ, "HUB_URL": url, "HUB_API_TOKEN": token}
    hub = str(Path(sys.executable).with_name("hub"))

    async def run() -> Any:
        async with Client(StdioServerParameters(command=hub, args=["mcp"], env=env)) as client:
            return await ask(client)

    return asyncio.run(asyncio.wait_for(run(), 120))


def test_an_agents_assistant_finds_reads_and_pages(there: tuple[str, dict[str, str]]) -> None:
    async def ask(client: Client) -> None:
        told = await client.list_tools()
        assert sorted(tool.name for tool in told.tools) == NAMES
        found = (await client.call_tool("find_customer", {"query": PHONE})).structured_content
        assert found
        assert [one["id"] for one in found["items"]] == [LI_NA]
        by_name = (await client.call_tool("find_customer", {"query": "lina"})).structured_content
        assert by_name
        assert LI_NA in [one["id"] for one in by_name["items"]]
        me = {"customer_id": LI_NA}
        profile = (await client.call_tool("get_profile", me)).structured_content
        assert profile
        assert profile["name"]["value"] == "李娜"
        assert "+8613900001234" in json.dumps(profile)
        page = (await client.call_tool("get_timeline", {**me, "limit": 3})).structured_content
        assert page
        older = {**me, "limit": 3, "cursor": page["next"]}
        behind = (await client.call_tool("get_timeline", older)).structured_content
        assert behind
        assert len(page["items"]) == len(behind["items"]) == 3
        assert page["items"] != behind["items"]
        requests = (await client.call_tool("list_requests", me)).structured_content
        assert requests
        assert requests["items"] == profile["open_requests"]
        sly = await client.call_tool("get_profile", {"customer_id": "../connections"})
        assert sly.is_error
        assert "should match pattern" in str(sly.content)
        nobody = await client.call_tool("get_profile", {"customer_id": "nobody"})
        assert nobody.is_error
        assert "There is no such customer." in str(nobody.content)

    url, tokens = there
    asked(url, tokens["agent"], ask)


def test_a_request_is_queued_once_in_the_name_of_the_token_and_not_by_an_auditor(
    there: tuple[str, dict[str, str]],
) -> None:
    words = {"customer_id": LI_NA, "subject": "主轴异响", "text": "请尽快安排上门。"}

    async def create(client: Client) -> Any:
        return await client.call_tool("create_request", words)

    url, tokens = there
    made = asked(url, tokens["agent"], create)
    assert not made.is_error, made.content
    delivery = made.structured_content["delivery"]
    answer = requests.get(
        f"{url}/api/v1/customers/{LI_NA}/acts",
        headers={"Authorization": f"Bearer {tokens['agent']}"},
        timeout=10,
    )
    (said,) = answer.json()["made"]
    told = {name: said[name] for name in ("id", "verb", "actor", "subject", "text")}
    assert told == {
        "id": delivery,
        "verb": "request",
        "actor": "agent",
        "subject": words["subject"],
        "text": words["text"],
    }
    refused = asked(url, tokens["auditor"], create)
    assert refused.is_error
    assert "Your role does not allow this." in str(refused.content)


def test_a_masked_role_is_masked_and_a_wrong_token_is_told(
    there: tuple[str, dict[str, str]],
) -> None:
    async def ask(client: Client) -> None:
        for name, given in (
            ("find_customer", {"query": PHONE}),
            ("get_profile", {"customer_id": LI_NA}),
            ("get_timeline", {"customer_id": LI_NA}),
            ("list_requests", {"customer_id": LI_NA}),
        ):
            told = str(await client.call_tool(name, given))
            assert LI_NA in told
            assert "13900001234" not in told
            assert "li.na@hongda.example" not in told

    async def refused(client: Client) -> None:
        told = await client.call_tool("find_customer", {"query": PHONE})
        assert told.is_error
        assert "does not take the token" in str(told.content)

    url, tokens = there
    asked(url, tokens["auditor"], ask)
    asked(url, "cdt_wrong", refused)


@responses.activate
def test_a_request_is_made_through_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_API_TOKEN", "cdt_x")
    monkeypatch.setenv("HUB_URL", "http://127.0.0.1:8360/")
    url = "http://127.0.0.1:8360/api/v1/customers/c1/requests"
    body = {"subject": "净化器异响", "text": "开机就响", "priority": "high"}
    match = [
        responses.matchers.json_params_matcher(body),
        responses.matchers.header_matcher({"Authorization": "Bearer cdt_x"}),
    ]
    responses.post(url, json={"delivery": 7}, status=202, match=match)
    tools = Tools(_client())
    assert tools.create_request("c1", **body) == {"delivery": 7}  # type: ignore[arg-type]
    responses.replace("POST", url, json={"detail": "Your role does not allow this."}, status=403)
    with pytest.raises(RejectedError, match="Your role"):
        tools.create_request("c1", "a", "b")


def test_without_a_token_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUB_API_TOKEN", raising=False)
    done = CliRunner().invoke(cli, ["mcp"])
    assert done.exit_code == 1
    assert "hub token add" in done.output
