"""Chat desks: what somebody asked in a chat is answered by a delivery, seen as that desk's role."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson
from sqlalchemy import Connection

from hub.models.normalise import identifier_value
from hub.profiles.mask import masked
from hub.profiles.summary import lines, summary, title
from hub.registry import Hub, Live
from hub.rules.decide import Intent
from hub.sdk import Query, Shown, View
from hub.store import accounts, audit, card_tokens, customers, outbox, read, records
from hub.store.card_tokens import CardToken

log = logging.getLogger(__name__)

FOUND_MAX = 5

Match = read.Listed | read.Found

_WORDS = {
    "en": {
        "nobody": "Nobody is known by that.",
        "several": "Several customers are known by that:",
        "more": "There are more; ask more exactly.",
        "place": "Ask me in a private room, please.",
        "card": "Open the card",
        "sign_in": "Sign in to see the card",
    },
    "zh_CN": {
        "nobody": "没有找到这位客户。",
        "several": "找到多位客户：",
        "more": "还有更多，请给出更精确的条件。",
        "place": "请在私密房间里问我。",
        "card": "打开客户卡片",
        "sign_in": "登录后查看客户卡片",
    },
}


def answer(conn: Connection, hub: Hub, live: Live, asked: Mapping[int, Query]) -> None:
    """Queue the answers, in the transaction that ends the events by which they were asked."""
    outbox.enqueue(conn, [i for id_, q in asked.items() for i in _intents(conn, hub, live, id_, q)])


def _intents(conn: Connection, hub: Hub, live: Live, event: int, query: Query) -> list[Intent]:
    if live.desk is None or query.refused == "asker":
        log.info("desk refused a stranger", extra={"connection": live.name, "event": event})
        return []
    subject = f"{live.name}/questions/{event}"
    key = blake2b(f"desk {subject}".encode(), digest_size=16).hexdigest()
    found = [] if query.refused else _find(conn, hub, query.text)
    for row in found[:FOUND_MAX]:
        _note(conn, f"{live.name}:{query.asker}", row.customer_id, event, key)
    stream = live.desk.answers
    asked = {"connection": live.name, "stream": stream, "id": query.message}
    fields = {**live.desk.show(query, _view(hub, live, query, found)), "in_reply_to": asked}
    cause = {"desk": live.name, "record": subject}
    return [Intent(key, live.name, stream, subject, fields, cause)]


def _note(conn: Connection, asker: str, customer_id: str, event: int, key: str) -> None:
    """Who was shown whom, and that question and answer hold bytes about them."""
    audit.note(conn, asker, "card link", f"customer:{customer_id}")
    members = customers.members(conn, customer_id)
    records.note_seen(conn, "inbox", [(ref, str(event)) for ref in members])
    records.note_seen(conn, "delivery", [(ref, key) for ref in members])


def _view(hub: Hub, live: Live, query: Query, found: Sequence[Match]) -> View:
    say = _speaker(hub, query)
    if query.refused or not found:
        return View(say("place" if query.refused else "nobody"))
    rows = found[:FOUND_MAX]
    shown = [_shown(hub, live, query, row, alone=len(found) == 1) for row in rows]
    hidden = [_hidden(hub, query, row) for row in rows]
    elsewhere = "\n".join(f"{one.link_text}: {one.link}" for one in hidden)
    note = say("several") if len(found) > 1 else ""
    return View(f"{note} {say('more')}" if len(found) > FOUND_MAX else note, shown, elsewhere)


def _languages(hub: Hub, query: Query) -> list[str]:
    """How the asker is answered; ours first where they are answered in each."""
    own = hub.settings.language
    if not query.language:
        return [own]
    spoken = query.language.replace("-", "_").partition("_")[0]
    fits = [language for language in _WORDS if language.partition("_")[0] == spoken]
    return fits or sorted(_WORDS, key=lambda language: language != own)


def _speaker(hub: Hub, query: Query) -> Callable[[str], str]:
    languages = _languages(hub, query)
    return lambda name: _once(" / ", (_WORDS[language][name] for language in languages))


def _once(separator: str, texts: Iterable[str]) -> str:
    """The texts together, each once: names and numbers are the same in every language."""
    return separator.join(dict.fromkeys(texts))


def _find(conn: Connection, hub: Hub, text: str) -> Sequence[Match]:
    """Whom it fits: a card's address, a phone or an address first, else a name."""
    text = "".join(char for char in text if char.isprintable()).strip()
    if id_ := card_tokens.customer_at(hub.settings, text):
        one = read.profile_json(conn, id_)
        return [one] if one else []
    regions = read.regions(conn)
    for type_ in ("email", "phone"):
        values = [v for region in regions if (v := identifier_value(type_, text, region))]
        if values:
            return read.holders(conn, type_, set(values), FOUND_MAX + 1).items
    return read.search(conn, text, FOUND_MAX + 1).items


def _shown(hub: Hub, live: Live, query: Query, row: Match, *, alone: bool) -> Shown:
    if not query.private:
        return _hidden(hub, query, row)
    languages, role = _languages(hub, query), live.own.desk_role
    told: dict[str, Any] = orjson.loads(row.document)
    if role in accounts.MASKED_ROLES:
        told = masked(told)
    keys = card_tokens.web_keys(hub.settings)
    url = card_tokens.link(hub.settings, keys, CardToken(row.customer_id, role, ancestors="'none'"))
    said = [line for language in languages for line in _lines(told, language, alone=alone)]
    name = _once(" / ", (title(told, language) for language in languages))
    return Shown(name, [*dict.fromkeys(said)], url, _speaker(hub, query)("card"))


def _lines(told: Mapping[str, Any], language: str, *, alone: bool) -> list[str]:
    return lines(told, language) if alone else [summary(told, language)]


def _hidden(hub: Hub, query: Query, row: Match) -> Shown:
    """Where others read along: nothing but a link for whom may sign in."""
    url = card_tokens.card_url(hub.settings, row.customer_id)
    return Shown("", (), url, _speaker(hub, query)("sign_in"))
