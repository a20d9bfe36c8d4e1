"""A Message in the three forms 钉钉 knows: work notice, robot of the app, robot of a group.

Its fields, as the mapping writes them: ``title``, ``text`` in plain, and ``html``, of which only
the links are taken: with one link the message becomes a card with that button, with several a card
with as many. Text is a customer's in the end, so that in a card, which reads Markdown, brackets
are written wide: no words of theirs become a link or a picture.

Source: https://open.dingtalk.com/document/orgapp/message-types-and-data-format and
https://open.dingtalk.com/document/orgapp/robot-message-types-and-data-format (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hub.sdk import Link, Raw, RejectedError, links

USER, DEPARTMENT, CHAT = "dingtalk_user", "dingtalk_dept", "dingtalk_chat"

BUTTONS_MAX = 5
"""So many has the largest card of the app's robot."""

TITLE_MAX = 60
_WIDE = str.maketrans("[]<>`", "［］＜＞｀")


def receivers(values: Mapping[str, Any], type_: str) -> list[str]:
    """Those a message goes to, of one type."""
    return [point["value"] for point in values.get("to") or () if point.get("type") == type_]


def notice(values: Mapping[str, Any], mark: str) -> Raw:
    """The ``msg`` of a work notice.

    钉钉 drops what a person was told in the same words today: the mark makes two notices differ,
    and lets the same one, sent again after a lost answer, be dropped.
    """
    title, text, buttons = _parts(values)
    if not buttons:
        return {"msgtype": "text", "text": {"content": f"{text}\n{mark}"}}
    card: Raw = {"title": title, "markdown": _markdown(title, f"{text}\n{mark}")}
    if len(buttons) == 1:
        card |= {"single_title": buttons[0].label, "single_url": buttons[0].url}
    else:
        listed = [{"title": label, "action_url": url} for label, url in buttons]
        card |= {"btn_orientation": "0", "btn_json_list": listed}
    return {"msgtype": "action_card", "action_card": card}


def robot(values: Mapping[str, Any]) -> Raw:
    """``msgKey`` and ``msgParam`` for the robot of the app."""
    title, text, buttons = _parts(values)
    if not buttons:
        return _keyed("sampleText", {"content": text})
    card = {"title": title, "text": _markdown(title, text)}
    if len(buttons) == 1:
        (one,) = buttons
        return _keyed("sampleActionCard", {**card, "singleTitle": one.label, "singleURL": one.url})
    for number, (label, url) in enumerate(buttons, start=1):
        card |= {f"actionTitle{number}": label, f"actionURL{number}": url}
    return _keyed(f"sampleActionCard{len(buttons)}", card)


def group(values: Mapping[str, Any]) -> Raw:
    """The body for the custom robot of a group."""
    title, text, buttons = _parts(values)
    if not buttons:
        return {"msgtype": "text", "text": {"content": text}}
    card: Raw = {"title": title, "text": _markdown(title, text)}
    if len(buttons) == 1:
        card |= {"singleTitle": buttons[0].label, "singleURL": buttons[0].url}
    else:
        listed = [{"title": label, "actionURL": url} for label, url in buttons]
        card |= {"btnOrientation": "0", "btns": listed}
    return {"msgtype": "actionCard", "actionCard": card}


def _parts(values: Mapping[str, Any]) -> tuple[str, str, tuple[Link, ...]]:
    text = str(values.get("text") or "").strip()
    buttons = links(str(values.get("html") or ""))
    title = str(values.get("title") or "").strip() or text.partition("\n")[0]
    if not text and not buttons:
        raise RejectedError("a message needs a text", hint="Give the rule a text.")
    if len(buttons) > BUTTONS_MAX:
        raise RejectedError(f"a card has at most {BUTTONS_MAX} buttons", hint="Leave links out.")
    return title[:TITLE_MAX] or buttons[0].label[:TITLE_MAX], text or title, buttons


def _markdown(title: str, text: str) -> str:
    lines = text.translate(_WIDE).replace("\n", "  \n")
    return f"### {title.translate(_WIDE)}\n\n{lines}"


def _keyed(key: str, params: Mapping[str, str]) -> Raw:
    return {"msgKey": key, "msgParam": json.dumps(params, ensure_ascii=False)}
