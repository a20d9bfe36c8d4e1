"""The demo's systems are real, run, and know the demo's people."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import smtplib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from demo.people import Letter, People, Writer
from demo.systems import Mailbox, Roundup, SystemFailedError, Tryton
from demo.systems.mailbox import SUPPORT, compose, new_message
from tests.systems.conftest import ROOT

HERO = Writer("Li Na 李娜", "lina@example.com")


def test_tryton_knows_every_party_and_order(tryton: Tryton, known: People) -> None:
    parties = {row["code"] for row in tryton.api.find("party.party", "code")}
    assert {person.tryton.code for person in known.persons if person.tryton} < parties

    states = Counter(row["state"] for row in tryton.api.find("sale.sale", "state"))
    wanted = Counter(order.state for order in known.orders)
    assert states["done"] == wanted["paid"]
    assert states["processing"] == sum(
        wanted[state] for state in ("confirmed", "delivered", "invoiced")
    )
    for state in ("draft", "quotation", "cancelled"):
        assert states[state] == wanted[state]

    invoices = Counter(row["state"] for row in tryton.api.find("account.invoice", "state"))
    assert (invoices["posted"], invoices["paid"]) == (wanted["invoiced"], wanted["paid"])


def test_tryton_knows_only_the_number_of_the_hero(tryton: Tryton) -> None:
    fields = ("name", "contact_mechanisms.type", "contact_mechanisms.value")
    (hero,) = tryton.api.find("party.party", *fields, where=[["name", "=", "李娜"]])
    contacts = [(one["type"], one["value"]) for one in hero["contact_mechanisms"]]
    assert contacts == [("mobile", "13912345678")]

    where = [["party", "=", hero["id"]]]
    assert len(tryton.api.find("sale.sale", where=where)) == 4
    assert len(tryton.api.find("account.invoice", where=where)) == 4


def test_roundup_knows_every_customer_and_issue(roundup: Roundup, known: People) -> None:
    desk = roundup.api("hub")
    logins = {row["username"] for row in desk.find("user", "username")}
    assert {person.roundup.login for person in known.persons if person.roundup} < logins

    names = {row["id"]: row["name"] for row in desk.find("status", "name")}
    issues = desk.find("issue", "title", "status", "messages")
    for issue in known.issues:
        (found,) = [row for row in issues if row["title"] == issue.title]
        assert names[found["status"]["id"]] == issue.status
        assert len(found["messages"]) == len(issue.says)


def test_roundup_spells_the_hero_its_own_way(roundup: Roundup) -> None:
    desk = roundup.api("hub")
    fields = ("realname", "phone", "address")
    (hero,) = desk.find("user", *fields, username="lina")
    assert [hero[name] for name in fields] == ["Li Na", "+86 139-1234-5678", HERO.email]
    assert len(desk.find("issue", creator=hero["id"])) == 3


def test_the_switchboard_is_shared_by_two_people(tryton: Tryton, roundup: Roundup) -> None:
    where = [["contact_mechanisms.value", "=", "021-6288 0000"]]
    assert [row["name"] for row in tryton.api.find("party.party", "name", where=where)] == ["王强"]
    (zhao,) = roundup.api("hub").find("user", "realname", "phone", username="zhaomin")
    assert (zhao["realname"], zhao["phone"]) == ("赵敏", "021-6288 0000")


def test_roundup_tells_a_listener_what_changed(roundup: Roundup) -> None:
    desk = roundup.api("hub")
    (hub,) = desk.find("user", username="hub")
    with listener() as (url, heard):
        roundup.send_events_to(url, "the key")
        issue = desk.create("issue", title="A listener hears this", priority="wish")
        desk.change("issue", issue, status="resolved")
        events = [event_of(*heard.get(timeout=10)) for _ in range(2)]
    told = [(event["event"], event["class"], event["id"], event["changed"]) for event in events]
    assert told == [("created", "issue", issue, []), ("updated", "issue", issue, ["status"])]
    assert {event["actor"] for event in events} == {hub["id"]}


def test_letters_are_read_by_imap(mailbox: Mailbox, known: People) -> None:
    letters = mailbox.letters()
    subjects = [str(letter["Subject"]) for letter in letters.values()]
    by_age = sorted(known.letters, key=lambda letter: -letter.hours_ago)
    assert subjects[: len(by_age)] == [letter.subject for letter in by_age]
    assert sorted(letters) == list(letters)

    first = letters[1]
    assert str(first["From"]) == f"{HERO.name} <{HERO.email}>"
    assert [part.get_filename() for part in first.iter_attachments()] == ["净化器照片.png"]
    with mailbox.imap() as imap:
        assert imap.uid("SEARCH", "UID 1 UNSEEN")[1] == [b"1"]


def test_an_answer_arrives_in_the_customers_mailbox(mailbox: Mailbox) -> None:
    answer = new_message(Writer("客服", SUPPORT), HERO.email, "Re: 净化器异响的视频", "已安排。\n")
    answer["In-Reply-To"] = "<lina-1@example.com>"
    mailbox.send(answer)
    arrived = list(mailbox.letters(HERO.email).values())[-1]
    assert arrived["Message-ID"] == answer["Message-ID"]
    assert arrived.get_content().strip() == "已安排。"

    reply = compose(Letter("lina-9", "lina", "Re: 好的", "谢谢", 0, answer["Message-ID"]), HERO)
    mailbox.send(reply)
    newest = list(mailbox.letters().values())[-1]
    assert newest["In-Reply-To"] == answer["Message-ID"]


def test_foreign_domains_are_refused(mailbox: Mailbox) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        mailbox.send(new_message(HERO, "someone@example.net", "Hello", "..."))


def test_uids_outlive_a_restart(mailbox: Mailbox) -> None:
    before = {uid: letter["Message-ID"] for uid, letter in mailbox.letters().items()}
    mailbox.stop()
    assert not mailbox.running
    mailbox.start()
    after = {uid: letter["Message-ID"] for uid, letter in mailbox.letters().items()}
    assert after == before


def test_seeding_twice_adds_nothing(
    tryton: Tryton, roundup: Roundup, mailbox: Mailbox, known: People
) -> None:
    def count() -> list[int]:
        found = [tryton.api.find(model) for model in ("party.party", "sale.sale")]
        found += [roundup.api().find(kind) for kind in ("user", "issue", "msg")]
        return [len(rows) for rows in found] + [len(mailbox.letters())]

    before = count()
    for system in (tryton, roundup, mailbox):
        system.seed(known)
    assert count() == before


def test_a_port_in_use_is_refused(tmp_path: Path, mailbox: Mailbox) -> None:
    second = Mailbox(ROOT, mailbox.port, print, state=tmp_path)
    with pytest.raises(SystemFailedError, match="in use already"):
        second.start()
    assert not second.running
    assert mailbox.running


def test_versions_and_settings_are_told(tryton: Tryton, roundup: Roundup, mailbox: Mailbox) -> None:
    for system in (tryton, roundup, mailbox):
        assert system.version()[0].isdigit()
        assert all(key.startswith(f"{system.name.upper()}_") for key in system.env())


@contextmanager
def listener() -> Iterator[tuple[str, queue.Queue[tuple[str, bytes]]]]:
    """An HTTP server that keeps the signature and body of what is posted to it."""
    heard: queue.Queue[tuple[str, bytes]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.put((self.headers["X-Roundup-Signature"], body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", heard
        server.shutdown()


def event_of(signature: str, body: bytes) -> dict[str, Any]:
    """The event, if its signature is right."""
    assert signature == "sha256=" + hmac.new(b"the key", body, hashlib.sha256).hexdigest()
    event: dict[str, Any] = json.loads(body)
    return event
