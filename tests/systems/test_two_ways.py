"""A real Tryton and a real Roundup, both edited at random, end up alike: five seeded schedules."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.systems import Roundup, Tryton
from hub.errors import HubError, RetryableError
from hub.pipeline import due, jobs
from hub.pipeline.lane import leased
from hub.registry import Hub
from hub.store import alerts, leases
from tests.story.helpers import drain, pull, reconcile
from tests.systems.live import desk, erp

SYNC: dict[str, Any] = {
    "id": "customers",
    "streams": ["erp/parties", "desk/users"],
    "create": ["erp/parties", "desk/users"],
    "fields": ["name", "contact_points[type=email].value"],
}
OVERLAY = """
push:
  contact_points: null
  contact_points[type=email].value: contact_points[type=email].value
"""
STEPS = 12


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_both_are_edited_and_end_up_alike(
    tryton: Tryton,
    roundup: Roundup,
    open_with: Callable[..., Hub],
    own_settings: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    overlay = own_settings.parent / "overlays" / "erp" / "parties.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text(OVERLAY)
    given = {
        "erp": {"adapter": "tryton", **erp(tryton).settings},
        "desk": {"adapter": "roundup", **desk(roundup).settings},
    }
    hub = open_with(given, syncs=[SYNC])
    town = Town(hub, tryton, roundup, random.Random(seed))
    clock = leases.now
    monkeypatch.setattr(leases, "now", lambda: clock() + town.ahead)
    for _ in range(3):
        town.join()
    town.settle()
    for _ in range(STEPS):
        town.step()
    town.settle()
    pairs = town.names()
    assert pairs
    assert all(one == other for one, other in pairs.values())
    assert town.doubles() == []
    for connection, stream in (("erp", "parties"), ("desk", "users")):
        assert reconcile(hub, connection, stream).complete
    with hub.database.read() as conn:
        assert [row for row in alerts.every(conn) if row["kind"] == "loop"] == []


class Town:
    """Two systems, a hub, and people of this schedule's own who are in both."""

    def __init__(self, hub: Hub, tryton: Tryton, roundup: Roundup, chance: random.Random) -> None:
        self.hub, self.erp, self.desk, self.chance = hub, tryton.api, roundup.api(), chance
        self.ahead = timedelta(0)
        self.tag = uuid.uuid4().hex[:6]
        self.mails: list[str] = []

    def step(self) -> None:
        """Somebody joins, somebody is renamed here or there or in both, or the hub works."""
        deeds = (self.join, self.rename_party, self.rename_user, self.rename_both, self.work)
        self.chance.choices(deeds, (2, 3, 3, 2, 3))[0]()

    def join(self) -> None:
        mail = f"{self.tag}.{len(self.mails)}@example.net"
        self.mails.append(mail)
        if self.chance.random() < 0.5:
            contact = {"type": "email", "value": mail}
            party = {"name": self._name(), "contact_mechanisms": [["create", [contact]]]}
            self.erp.create("party.party", [party])
        else:
            user = {"username": mail.partition("@")[0], "realname": self._name(), "address": mail}
            self.desk.create("user", **user, roles="User")

    def rename_party(self) -> None:
        if mine := self._parties():
            party = self.chance.choice(list(mine.values()))
            self.erp.change("party.party", party["id"], {"name": self._name()})

    def rename_user(self) -> None:
        if mine := self._users():
            user = self.chance.choice(list(mine.values()))
            self.desk.change("user", user["id"], realname=self._name())

    def rename_both(self) -> None:
        self.rename_party()
        self.rename_user()

    def work(self) -> None:
        """Whatever is due now, once."""
        for connection, stream in (("erp", "parties"), ("desk", "users")):
            with suppress(HubError):
                pull(self.hub, connection, stream)
        for id_ in due.jobs(self.hub):
            with leased(self.hub, jobs.lease_name(id_)) as lane, suppress(RetryableError):
                if lane is not None:
                    jobs.run(self.hub, lane, id_)
        drain(self.hub)

    def settle(self) -> None:
        """Go on until the two say the same for a whole round."""
        for _ in range(8):
            self.work()
            self.ahead += timedelta(seconds=40)

    def names(self) -> dict[str, tuple[str, str]]:
        """(party's name, user's name) by mail address."""
        parties, users = self._parties(), self._users()
        return {
            mail: (parties.get(mail, {}).get("name", ""), users.get(mail, {}).get("realname", ""))
            for mail in self.mails
        }

    def doubles(self) -> list[str]:
        """Mail addresses that more than one record of a system has."""
        found = [(mail, self._parties_with(mail), self._users_with(mail)) for mail in self.mails]
        return [mail for mail, *both in found if any(len(rows) > 1 for rows in both)]

    def _name(self) -> str:
        first = self.chance.choice(("Anna", "Bo", "王芳", "刘强", "Eve"))
        return f"{first} {self.tag}{self.chance.randrange(1000)}"

    def _parties(self) -> dict[str, Any]:
        return {mail: rows[0] for mail in self.mails if (rows := self._parties_with(mail))}

    def _parties_with(self, mail: str) -> list[dict[str, Any]]:
        where = [["contact_mechanisms.value", "=", mail]]
        return self.erp.find("party.party", "id", "name", where=where)

    def _users(self) -> dict[str, Any]:
        return {mail: rows[0] for mail in self.mails if (rows := self._users_with(mail))}

    def _users_with(self, mail: str) -> list[dict[str, Any]]:
        return self.desk.find("user", "id", "realname", address=mail)
