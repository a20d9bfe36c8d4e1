"""``hub new-adapter NAME --from-openapi``: a file that loads, with what could be recognised."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import responses
from click.testing import CliRunner, Result

from adapters.rest.adapter import RestAdapter
from adapters.rest.config import RestConfig
from adapters.rest.system import KeyAuth, OAuthAuth, System
from hub import mapping
from hub.cli import cli
from hub.registry import ROOT
from hub.sdk import Stream
from hub.settings import settings

SAMPLES = ROOT / "tests" / "data" / "openapi"


@pytest.fixture
def folder(own_settings: Path) -> Path:
    settings.cache_clear()
    return own_settings.parent


def drafted(name: str, file: str) -> Result:
    return CliRunner().invoke(cli, ["new-adapter", name, "--from-openapi", str(SAMPLES / file)])


def loaded(folder: Path, name: str) -> RestConfig:
    """The file, with something for whatever it asks for."""
    path = folder / "systems" / f"{name}.toml"
    bare = System.model_validate(tomllib.loads(path.read_text("utf-8")))
    given: dict[str, Any] = {
        "values": {n: "https://x.example.com" for n, v in bare.values.items() if v.default is None},
        "secrets": dict.fromkeys(bare.secrets, "secret-EXAMPLE"),
    }
    return RestConfig.model_validate(
        {"system": f"systems/{name}.toml", **given}, context={"folder": folder}
    )


@pytest.mark.parametrize("file", ["desk.yaml", "shop.json", "odd.yaml"])
def test_a_draft_loads_and_so_do_its_mappings(folder: Path, file: str) -> None:
    name = file.partition(".")[0]
    done = drafted(name, file)
    assert done.exit_code == 0, done.output
    config = loaded(folder, name)
    assert config.made
    for one in config.described():
        assert mapping.load(one.mapping, name=one.place).source == f"rest/{one.stream.name}"
    assert "TODO" in (folder / "systems" / f"{name}.toml").read_text("utf-8")


def test_a_draft_of_a_desk_reads_it(folder: Path) -> None:
    drafted("desk", "desk.yaml")
    config = loaded(folder, "desk")
    system, tickets = config.described_system, config.made["tickets"].part
    assert list(config.made) == ["tickets"]
    assert system.values["base"].default == "https://acme.desk.example.com/v1"
    assert (tickets.id, tickets.cursor and tickets.cursor.field) == ("id", "updated_at")
    assert tickets.read is not None
    assert tickets.read.query == {
        "page": "{page}", "per_page": "{size}", "updated_since": "{since}"
    }  # fmt: skip
    assert (tickets.read.rows, tickets.read.pages.kind) == ("data.items", "page")
    assert (tickets.read.pages.first, tickets.read.pages.total) == (0, "data.total")
    assert tickets.one is not None
    assert (tickets.one.path, tickets.one.row) == ("/tickets/{id}", "data")
    assert system.webhook is not None
    assert system.webhook.operations == {"ticket.updated": "row", "ticket.deleted": "deleted"}
    text = (folder / "systems" / "desk.toml").read_text("utf-8")
    assert "# Left out: GET /tickets/{ticketId}/notes" in text
    assert '# method = "PATCH"' in text
    page = {"data": {"items": [{"id": 1, "updated_at": "2026-11-21T00:00:00Z"}], "total": 1}}
    with responses.RequestsMock() as mock:
        mock.get("https://acme.desk.example.com/v1/tickets", json=page)
        (read,) = RestAdapter(config).pull(Stream("tickets"), None)
    assert [row["id"] for row in read.records] == [1]


def test_a_draft_of_a_shop_of_swagger_2(folder: Path) -> None:
    drafted("shop", "shop.json")
    config = loaded(folder, "shop")
    system = config.described_system
    assert system.values["base"].default == "https://shop.example.com/api"
    assert system.values["store"].description == "Code of the store"
    assert system.values["status"].default == "active"
    assert isinstance(system.auth, KeyAuth)
    assert system.auth.headers == {"X-Api-Key": "{secrets.key}"}
    customers, search = config.made["customers"].part, config.made["search"].part
    assert customers.id == "customer_id"
    assert customers.read is not None
    assert search.read is not None
    assert customers.read.path == "/{store}/customers"
    assert customers.read.pages.kind == "offset"
    assert customers.one is not None
    assert customers.one.path == "/{store}/customers/{id}"
    assert (search.read.method, search.read.pages.kind) == ("POST", "keyset")
    assert search.read.body == {"starting_after": "{cursor}", "count": "{size}"}
    assert (search.read.rows, search.read.pages.more) == ("orders", "has_more")


def test_a_draft_of_an_odd_description(folder: Path) -> None:
    drafted("odd", "odd.yaml")
    config = loaded(folder, "odd")
    system = config.described_system
    assert system.system.title == 'Odd "one" \\ 支'
    assert isinstance(system.auth, OAuthAuth)
    assert system.auth.scope == "read"
    things, events = config.made["list_of_things"].part, config.made["events"].part
    assert things.read is not None
    assert (things.id, things.read.rows, things.read.pages.next) == (
        "uuid", '"the rows"', "nextToken"
    )  # fmt: skip
    assert events.read is not None
    assert (events.read.pages.kind, events.read.pages.next) == ("link", "header:link")
    assert set(config.made) == {"list_of_things", "events"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{not json", "is neither JSON nor YAML"),
        ("a: [", "is neither JSON nor YAML"),
        ("a: 1", "is no OpenAPI description"),
    ],
)
def test_what_is_no_description_is_refused(folder: Path, text: str, told: str) -> None:
    (folder / "x.yaml").write_text(text)
    done = CliRunner().invoke(cli, ["new-adapter", "x", "--from-openapi", str(folder / "x.yaml")])
    assert done.exit_code == 1
    assert told in " ".join(done.output.split())
    assert not (folder / "systems").exists()


def test_a_file_that_is_there_is_not_overwritten(folder: Path) -> None:
    assert drafted("desk", "desk.yaml").exit_code == 0
    (folder / "systems" / "desk.toml").write_text("mine")
    assert drafted("desk", "desk.yaml").exit_code == 1
    assert (folder / "systems" / "desk.toml").read_text() == "mine"
