"""What people do in the city: they enter, change and delete records in whichever system is near."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from demo.city.crm.server import Crm
from demo.city.desk.server import Desk
from demo.city.erp.server import Erp
from demo.city.ledger import Row
from demo.city.site import Site

FAMILY = ("王", "李", "张", "刘", "陈", "Smith ", "García ")
GIVEN = ("伟", "娜", "敏", "洋", "静", "Anna", "José")
TIERS = ("silver", "gold", "platinum")
OWNERS = ("客服一号", "客服二号", "sales-3")
CITIES = ("上海", "北京", "Shēnzhèn")
PEOPLE = {"crm": "contacts", "erp": "parties", "desk": "requesters"}
KEPT_ALIKE = ("name", "phone", "email", "tier")
"""Fields of people that all three systems have."""


class Life:
    """One random deed after the other, from one seed.

    Args:
        deletes: whether records are deleted, too.
    """

    def __init__(self, crm: Crm, erp: Erp, desk: Desk, *, seed: int, deletes: bool = True) -> None:
        self.crm, self.erp, self.desk = crm, erp, desk
        self.random = random.Random(seed)  # noqa: S311 - chance that can be repeated
        self._deeds: list[tuple[int, Callable[[], None]]] = [
            (4, self.somebody_new),
            (8, self.edit_somebody),
            (3, self.new_ticket),
            (3, self.edit_ticket),
            (2, self.new_order),
            (2, self.new_comment),
            (1, self.many_at_once),
            (int(deletes), self.delete_ticket),
        ]
        self._known = 0

    @property
    def sites(self) -> tuple[Site, ...]:
        return self.crm, self.erp, self.desk

    def step(self) -> str:
        """One deed; its name."""
        weights = [weight for weight, _ in self._deeds]
        deed = self.random.choices([deed for _, deed in self._deeds], weights)[0]
        deed()
        return deed.__name__

    def somebody_new(self) -> None:
        """Somebody is entered in one system, sometimes by two colleagues in two of them."""
        values = self._somebody()
        for site in self.random.sample(self.sites, self.random.choice((1, 1, 1, 2))):
            site.save(PEOPLE[site.name], values)

    def edit_somebody(self) -> None:
        """One field of somebody is changed."""
        site = self.random.choice(self.sites)
        self._edit(site, PEOPLE[site.name], self._change())

    def new_ticket(self) -> None:
        """A ticket at the desk, or a case in the CRM."""
        subject = f"空气净化器 {self.random.randrange(10_000)} is loud"
        if self.random.random() < 0.5:
            who = self._any(self.desk, "requesters")
            values = {"subject": subject, "status": "new", "requester_id": who and who["id"]}
            self.desk.save("tickets", values)
        else:
            who = self._any(self.crm, "contacts")
            values = {"subject": subject, "status": "new", "contact_id": who and who["id"]}
            self.crm.save("cases", values)

    def edit_ticket(self) -> None:
        """A ticket moves on."""
        if self.random.random() < 0.5:
            status = self.random.choice(("open", "pending", "solved"))
            self._edit(self.desk, "tickets", {"status": status})
        else:
            self._edit(self.crm, "cases", {"description": f"more {self.random.random():.6f}"})

    def new_order(self) -> None:
        """Somebody buys something."""
        who = self._any(self.erp, "parties")
        total = f"{self.random.randrange(1, 10_000) / 7:.4f}"
        values = {"party_id": who and who["id"], "total": total, "currency": "CNY"}
        self.erp.save("orders", {**values, "state": "confirmed", "lines": []})

    def new_comment(self) -> None:
        """Words on a ticket."""
        if ticket := self._any(self.desk, "tickets"):
            by = self.random.choice(("requester", "agent"))
            text = f"words {self.random.random():.6f}"
            self.desk.save("comments", {"ticket_id": ticket["id"], "text": text, "by": by})

    def many_at_once(self) -> None:
        """An import: more rows than a page holds, all in one second."""
        site = self.random.choice(self.sites)
        for _ in range(self.random.randrange(3, 9)):
            site.save(PEOPLE[site.name], self._somebody())

    def delete_ticket(self) -> None:
        """A ticket or case is deleted for good, as far as its system does such a thing."""
        site: Site
        site, stream = self.random.choice(((self.desk, "tickets"), (self.crm, "cases")))
        if row := self._any(site, stream):
            site.remove(stream, row["id"])

    def _somebody(self) -> Row:
        self._known += 1
        return {
            "name": f"{self.random.choice(FAMILY)}{self.random.choice(GIVEN)}{self._known:04d}",
            "phone": f"139{self._known:08d}",
            "email": f"customer{self._known:04d}@example.com",
            "tier": self.random.choice(TIERS),
            "city": self.random.choice(CITIES),
        }

    def _change(self) -> Row:
        self._known += 1
        return self.random.choice(
            (
                {"name": f" {self.random.choice(FAMILY)}{self._known:04d} "},
                {"phone": f"139{self._known:08d}"},
                {"tier": self.random.choice(TIERS)},
                {"city": self.random.choice(CITIES)},
                {"owner": self.random.choice(OWNERS)},
            )
        )

    def _edit(self, site: Site, stream: str, values: Row) -> None:
        if row := self._any(site, stream):
            site.save(stream, values, id_=row["id"])

    def _any(self, site: Site, stream: str) -> Row | None:
        rows = living(site, stream)
        return self.random.choice(rows) if rows else None


def living(site: Site, stream: str) -> list[Row]:
    """The rows of a stream that are not gone."""
    return [row for row in site.ledger.rows(stream) if row.get("active", True)]


def disagreements(sites: tuple[Site, ...], *, everywhere: bool = True) -> Iterator[str]:
    """Where the systems say different things of one person; nothing, when all is well.

    A person is known by the mail address, which nobody here ever changes. What a vendor makes of
    spaces and capitals is no disagreement.

    Args:
        everywhere: whoever is missing in a system is one, too.
    """
    known: dict[str, dict[str, list[Row]]] = {}
    for site in sites:
        for row in living(site, PEOPLE[site.name]):
            known.setdefault(str(row.get("email")), {}).setdefault(site.name, []).append(row)
    for email, copies in sorted(known.items()):
        counts = {site.name: len(copies.get(site.name, ())) for site in sites}
        if any(n > 1 for n in counts.values()) or (everywhere and 0 in counts.values()):
            yield f"{email} exists {counts}"
        for name in KEPT_ALIKE:
            said = {site: _plain(row.get(name)) for site, rows in copies.items() for row in rows}
            if len({*said.values()}) > 1:
                yield f"{email}: {name} is {said}"


def _plain(value: Any) -> str:
    return " ".join(str(value or "").split()).lower()
