"""The change feed by the API: a copy kept from it is the whole, in order, whoever commits when."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from hub.store import news
from hub.store.db import Database
from hub.store.profiles import save
from hub.web.changes_api import Changes
from tests.unit.web.conftest import app_on, client_with
from tests.unit.web.world import HONGDA, LI_NA, QUIET, WANG

NEW = "5f0c1d2e3b4a49788c6d5e4f3a2b1c00"  # before all others by its id


@pytest.fixture
def both(everywhere: Database) -> FlaskClient:
    return client_with(app_on(everywhere), everywhere, "agent")


def ask(client: FlaskClient, cursor: str | None = None, status: int = 200, **query: Any) -> Any:
    given = {**query, **({"cursor": cursor} if cursor else {})}
    answer = client.get("/api/v1/changes", query_string=given)
    assert answer.status_code == status, answer.text
    document = answer.get_json(force=True)
    if status == 200:
        Changes.model_validate(document)
    return document


def rest(client: FlaskClient, cursor: str | None = None, **query: Any) -> tuple[list[Any], str]:
    """Everything there is behind a cursor, and where it ends."""
    items: list[Any] = []
    while True:
        page = ask(client, cursor, **query)
        items, cursor = items + page["items"], page["next"]
        if not page["more"]:
            return items, page["next"]


def change(database: Database, id_: str, name: str) -> None:
    with database.write() as conn:
        save(conn, [{"id": id_, "name": {"value": name}, "members": [], "built_at": _now()}], ())


def _now() -> Any:
    from hub.web import formats

    return formats.now()


def number(database: Database) -> None:
    database.run(news.number)


def told(items: list[Any]) -> list[tuple[str, str]]:
    return [(item["type"], item["customer_id"]) for item in items]


def test_everybody_first_then_what_happens(both: FlaskClient, everywhere: Database) -> None:
    items, cursor = rest(both, limit=3)
    everybody = sorted([LI_NA, HONGDA, WANG, QUIET])
    assert told(items) == [("customer.present", id_) for id_ in everybody]
    assert ask(both, cursor)["items"] == []
    change(everywhere, QUIET, "安静")
    change(everywhere, NEW, "新客")
    number(everywhere)
    items, cursor = rest(both, cursor, limit=1)
    assert told(items) == [("customer.updated", QUIET), ("customer.created", NEW)]
    assert "name" in items[0]["changed"]
    assert "安静" not in str(items)
    assert rest(both, cursor)[0] == []


def test_what_changes_while_everybody_is_listed_is_told_behind(
    both: FlaskClient, everywhere: Database
) -> None:
    first = ask(both, limit=2)
    change(everywhere, NEW, "新客")  # where the listing has been
    change(everywhere, first["items"][0]["customer_id"], "改名")
    change(everywhere, WANG, "再改")  # where it has not been; the rebuild must not hide it
    number(everywhere)
    items, _ = rest(both, first["next"], limit=2)
    listed = [i["customer_id"] for i in first["items"] + items if i["type"] == "customer.present"]
    assert sorted(listed) == sorted(set(listed)) == sorted([LI_NA, HONGDA, WANG, QUIET])
    assert told(items)[-3:] == [
        ("customer.created", NEW),
        ("customer.updated", first["items"][0]["customer_id"]),
        ("customer.updated", WANG),
    ]


def test_from_now_on(both: FlaskClient, everywhere: Database) -> None:
    page = ask(both, begin="now")
    assert (page["items"], page["more"]) == ([], False)
    change(everywhere, QUIET, "安静")
    number(everywhere)
    assert told(ask(both, page["next"])["items"]) == [("customer.updated", QUIET)]


def test_who_commits_late_is_not_passed_over(both: FlaskClient, everywhere: Database) -> None:
    if everywhere.url.startswith("sqlite"):
        pytest.skip("one writer at a time: nobody commits late")
    cursor = ask(both, begin="now")["next"]
    with everywhere.write() as conn:
        news.of_first_load(conn, "crm", "late")  # has its id, is not committed
        change(everywhere, QUIET, "安静")
        number(everywhere)
        items, cursor = rest(both, cursor)
        assert told(items) == [("customer.updated", QUIET)]
    number(everywhere)
    assert [item["ref"] for item in rest(both, cursor)[0]] == ["crm/late"]


def test_a_cursor_older_than_what_is_kept_is_gone_with_a_hint(
    both: FlaskClient, everywhere: Database
) -> None:
    old = ask(both, begin="now")["next"]
    for name in ("安静", "很安静"):
        change(everywhere, QUIET, name)
    number(everywhere)
    here = rest(both, old)[1]
    with everywhere.write() as conn:
        news.drop_old(conn, _now())
    problem = ask(both, old, 410)
    assert (problem["status"], problem["title"]) == (410, "Gone")
    assert "Begin again" in problem["detail"]
    assert ask(both, here)["items"] == []  # who was told everything has lost nothing


def test_cursors_are_this_lists_own(both: FlaskClient) -> None:
    other = both.get("/api/v1/customers?limit=1").get_json()["next"]
    assert ask(both, other, 400)["status"] == 400
    assert ask(both, None, 400, begin="yesterday")["status"] == 400
