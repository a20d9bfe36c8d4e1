"""IF-THEN as data."""

from __future__ import annotations

from typing import Any

import pytest

from hub.errors import ConfigError
from hub.rules.decide import Seen, decide, read_rules


def rule(**more: Any) -> dict[str, Any]:
    then = {"write": "desk/issues", "fields": {"subject": "{subject}", "requester": "{party}"}}
    return {"id": "r", "when": "Message created", "then": then, **more}


def seen(
    after: dict[str, Any],
    before: dict[str, Any] | None = None,
    kind: str = "Message",
    *,
    is_copy: bool = False,
    change: str = "c1",
) -> Seen:
    origin = "shop/orders/1" if is_copy else None
    return Seen("mail/messages/1", kind, change, after, before, "mail/addresses/a@b.cn", origin)


def test_a_matching_change_becomes_one_intent() -> None:
    rules = read_rules([rule(**{"if": [{"field": "direction", "is": "in"}]})])
    (intent,) = decide(rules, [seen({"direction": "in", "subject": "坏了"})])
    assert (intent.connection, intent.stream) == ("desk", "issues")
    assert intent.subject == "mail/messages/1"
    assert intent.fields == {
        "subject": "坏了",
        "requester": {"connection": "mail", "stream": "addresses", "id": "a@b.cn"},
    }
    assert decide(rules, [seen({"direction": "out", "subject": "x"})]) == []


def test_the_same_cause_has_the_same_key_and_another_change_another() -> None:
    rules = read_rules([rule(when="Message changed")])
    first, again, other = (
        decide(rules, [seen({"subject": "a"}, {"subject": ""}, change=name)])[0]
        for name in ("c1", "c1", "c2")
    )
    assert first.key == again.key != other.key


def test_created_fires_once_and_never_for_a_copy_of_our_own() -> None:
    rules = read_rules([rule()])
    assert decide(rules, [seen({"subject": "a"}, {"subject": "b"})]) == []
    assert decide(rules, [seen({"subject": "a"}, is_copy=True)]) == []


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"field": "status", "becomes": "closed"}, True),
        ({"field": "status", "becomes": "open"}, False),
        ({"field": "priority", "in": ["high", "urgent"]}, True),
        ({"field": "subject", "contains": "坏"}, True),
        ({"field": "missing", "empty": True}, True),
        ({"field": "subject", "empty": True}, False),
        ({"field": "status", "is_not": "closed"}, False),
    ],
)
def test_operators(condition: dict[str, Any], holds: bool) -> None:
    rules = read_rules([rule(when="Ticket changed", **{"if": [condition]})])
    change = seen(
        {"status": "closed", "priority": "high", "subject": "坏了"}, {"status": "open"}, "Ticket"
    )
    assert bool(decide(rules, [change])) is holds


def test_becoming_needs_a_change() -> None:
    rules = read_rules(
        [rule(when="Ticket changed", **{"if": [{"field": "status", "becomes": "closed"}]})]
    )
    assert decide(rules, [seen({"status": "closed"}, {"status": "closed"}, "Ticket")]) == []


@pytest.mark.parametrize(
    "wrong", [rule(when="Cow moos"), rule(id="No!"), rule(then={"write": "desk"}), rule(extra=1)]
)
def test_a_wrong_rule_is_a_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a rule is wrong"):
        read_rules([wrong])
