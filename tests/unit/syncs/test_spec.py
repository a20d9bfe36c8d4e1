"""Syncs as settings.toml has them, worked out against mappings."""

from __future__ import annotations

from typing import Any

import pytest

from hub.errors import ConfigError
from hub.syncs.spec import Plan, Side, plan, read_syncs


def worked_out(*sides: Side, **more: Any) -> Plan:
    streams = [side.stream for side in sides]
    (sync,) = read_syncs([{"id": "s", "streams": streams, **more}])
    return plan(sync, sides)


CRM = Side("crm/contacts", ("name", "tier", "contact_points[type=email].value"))
ERP = Side("erp/parties", ("name", "tags"))


def test_all_that_may_be_pushed_is_kept_alike_unless_fields_chooses() -> None:
    every = ("name", "tier", "contact_points[type=email].value", "tags")
    assert worked_out(CRM, ERP).paths == every
    chosen = worked_out(CRM, ERP, fields=["name"])
    assert chosen.paths == ("name",)
    assert chosen.writable == {"crm/contacts": {"name"}, "erp/parties": {"name"}}


def test_a_mapping_names_itself_or_another_connection_as_owner() -> None:
    erp = Side("erp/parties", ("name", "tags"), (("name", "self"), ("tags", "crm")))
    assert worked_out(CRM, erp).owners == {"name": "erp/parties", "tags": "crm/contacts"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"streams": ["crm/contacts"]}, "streams"),
        ({"streams": ["crm/contacts", "erp"]}, "connection/stream"),
        ({"create": ["desk/users"]}, "not among its streams"),
        ({"id": "Two Words"}, "id"),
        ({"fieldss": ["name"]}, "fieldss"),
    ],
)
def test_a_wrong_sync_is_told(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_syncs([{"id": "s", "streams": ["crm/contacts", "erp/parties"], **given}])


def test_a_stream_belongs_to_one_sync() -> None:
    one = {"id": "a", "streams": ["crm/contacts", "erp/parties"]}
    with pytest.raises(ConfigError, match="a and b both"):
        read_syncs([one, {"id": "b", "streams": ["erp/parties", "desk/users"]}])


def test_a_field_and_a_part_of_it_cannot_both_be_kept_alike() -> None:
    erp = Side("erp/parties", ("contact_points",))
    with pytest.raises(ConfigError, match="contact_points"):
        worked_out(CRM, erp)


def test_an_owner_outside_of_the_sync_is_told() -> None:
    with pytest.raises(ConfigError, match="desk"):
        worked_out(CRM, Side("erp/parties", ("name",), (("name", "desk"),)))
