"""Tell Roundup about the demo's people: customers, their issues, and what was said in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from demo.people import Customer, Issue, People, Person
from demo.systems.roundup_api import RoundupApi

AGENT = "agent"
AGENT_SAYS = "agent:"


def seed(api_of: Callable[[str], RoundupApi], people: People, password: str) -> None:
    """Create the customers and issues that are missing. Safe to run twice."""
    admin = api_of("admin")
    known = {row["username"] for row in admin.find("user", "username")}
    for person in people.persons:
        if person.roundup and person.roundup.login not in known:
            admin.create("user", **_user(person.roundup, password))

    numbers = {row["username"]: row["id"] for row in admin.find("user", "username")}
    titles = {row["title"] for row in admin.find("issue", "title")}
    for issue in people.issues:
        if issue.title not in titles:
            open_issue(api_of, numbers, _customer_of(people[issue.who]).login, issue)


def open_issue(
    api_of: Callable[[str], RoundupApi], numbers: Mapping[str, str], login: str, issue: Issue
) -> str:
    """Open an issue as its customer, with everything said in it, and return its id.

    ``numbers`` maps logins to user ids.
    """
    customer, agent = api_of(login), api_of(AGENT)

    def message(text: str) -> str:
        by_agent = text.startswith(AGENT_SAYS)
        author, api = (AGENT, agent) if by_agent else (login, customer)
        content = text.removeprefix(AGENT_SAYS).strip()
        return api.create("msg", author=numbers[author], content=content, date=".")  # now

    return customer.create(
        "issue",
        title=issue.title,
        priority=issue.priority,
        status=issue.status,
        messages=[message(text) for text in issue.says],
    )


def _user(customer: Customer, password: str) -> dict[str, str]:
    values = {
        "username": customer.login,
        "password": password,
        "realname": customer.name,
        "phone": customer.phone,
        "address": customer.email,
        "organisation": customer.company,
        "roles": "User",
    }
    return {name: value for name, value in values.items() if value}


def _customer_of(person: Person) -> Customer:
    if person.roundup is None:
        raise ValueError(f"{person.id} has issues, but Roundup does not know them")
    return person.roundup
