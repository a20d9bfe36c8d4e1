"""The demo's mailbox: a real SMTP and IMAP server for ``@hub.test`` and ``@example.com``.

Customers' mailboxes exist as well, so that an answer we send can be read where it arrives.
"""

from __future__ import annotations

import imaplib
import mimetypes
import smtplib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path

from demo.people import Letter, People, Writer
from demo.systems.base import HOST, INSIDE, Say, System, free_ports

SUPPORT = "support@hub.test"
PHOTO = bytes.fromhex(  # a PNG of four by four red pixels
    "89504e470d0a1a0a0000000d494844520000000400000004080200000026930929000000104944415478da"
    "63b8e06000470cc4710012521401cd49d7a80000000049454e44ae426082"
)


class Mailbox(System):
    """An IMAP server over Maildirs that an SMTP server fills; one process, one password.

    Args:
        root: Folder of the installed programs.
        port: IMAP port on the loopback, SMTP takes the next one; 0 picks free ones.
        say: Receives one line of progress for every long step.
        state: Folder of the Maildirs; the root when not given.
        password: Password of every mailbox; made up when empty.
    """

    name = "mailbox"
    package = "pymap"

    def __init__(
        self, root: Path, port: int, say: Say, *, state: Path | None = None, password: str = ""
    ) -> None:
        super().__init__(root, port, say, state=state)
        self._password = password

    @property
    def smtp_port(self) -> int:
        """The SMTP port of the running server."""
        return self._process.card.ports["smtp"]

    @property
    def mail_password(self) -> str:
        """The password of every mailbox."""
        return self._password or self.password("mail")

    def env(self) -> dict[str, str]:
        """Both servers and the support mailbox's login."""
        return {
            "MAILBOX_IMAP_HOST": HOST,
            "MAILBOX_IMAP_PORT": str(self.port),
            "MAILBOX_SMTP_HOST": HOST,
            "MAILBOX_SMTP_PORT": str(self.smtp_port),
            "MAILBOX_USER": SUPPORT,
            "MAILBOX_PASSWORD": self.mail_password,
        }

    def seed(self, people: People) -> None:
        """The customers' letters, the oldest first."""
        self.say("delivering letters")
        known = {str(letter["Message-ID"]) for letter in self.letters().values()}
        for letter in sorted(people.letters, key=lambda one: -one.hours_ago):
            writer = people[letter.who].mail
            if writer is None:
                raise ValueError(f"{letter.who} writes letters, but has no address")
            message = compose(letter, writer)
            if message["Message-ID"] not in known:
                self.send(message)

    def send(self, message: EmailMessage) -> None:
        """Hand a letter to the SMTP server as it is."""
        with smtplib.SMTP(HOST, self.smtp_port, local_hostname="localhost", timeout=10) as smtp:
            text = message.as_bytes(policy=policy.SMTP)  # send_message would alter "From " lines
            sender = message["From"].addresses[0].addr_spec
            smtp.sendmail(sender, [one.addr_spec for one in message["To"].addresses], text)

    def letters(self, address: str = SUPPORT) -> dict[int, EmailMessage]:
        """The letters in an inbox by UID, read by IMAP without marking them as seen."""
        with self.imap(address) as imap:
            _, answer = imap.uid("FETCH", "1:*", "(UID BODY.PEEK[])")
        found = [part for part in answer if isinstance(part, tuple)]
        return {
            int(head.split(b"UID ")[1].split()[0]): message_from_bytes(raw, policy=policy.default)
            for head, raw in found
        }

    @contextmanager
    def imap(self, address: str = SUPPORT) -> Iterator[imaplib.IMAP4]:
        """A logged-in IMAP connection with the inbox selected."""
        with imaplib.IMAP4(HOST, self.port, timeout=10) as imap:
            imap.login(address, self.mail_password)
            imap.select("INBOX")
            yield imap

    def answers(self) -> bool:
        """True when both servers greet."""
        try:
            imaplib.IMAP4(HOST, self.port, timeout=5).shutdown()
            smtplib.SMTP(HOST, self.smtp_port, local_hostname="localhost", timeout=5).close()
        except (OSError, imaplib.IMAP4.error):
            return False
        return True

    def prepare(self, ports: Mapping[str, int]) -> None:
        """Make the folder of the Maildirs, and one for temporary files on the same disk."""
        (self.home / "mail").mkdir(exist_ok=True)
        (self.home / "tmp").mkdir(exist_ok=True)

    def command(self, ports: Mapping[str, int]) -> list[str]:
        """Our server script; it runs both servers."""
        script = str(INSIDE / "mail_server.py")
        folder = str(self.home / "mail")
        return [str(self.python), script, folder, str(ports["port"]), str(ports["smtp"])]

    def surroundings(self) -> dict[str, str]:
        """The usual ones, the password, and where temporary files go."""
        own = {"MAILBOX_PASSWORD": self.mail_password, "TMPDIR": str(self.home / "tmp")}
        return {**super().surroundings(), **own}

    def choose_ports(self) -> dict[str, int]:
        """IMAP on the main port, SMTP on the next."""
        if self.wanted_port:
            return {"port": self.wanted_port, "smtp": self.wanted_port + 1}
        imap, smtp = free_ports(2)
        return {"port": imap, "smtp": smtp}


def compose(letter: Letter, writer: Writer) -> EmailMessage:
    """A letter of the list as it would come from the customer's mail program."""
    message = new_message(writer, SUPPORT, letter.subject, letter.text)
    message.replace_header("Message-ID", message_id(letter.id))
    sent_at = datetime.now(UTC) - timedelta(hours=letter.hours_ago)
    message.replace_header("Date", format_datetime(sent_at))
    if letter.answers:
        message["In-Reply-To"] = message["References"] = message_id(letter.answers)
    if letter.automatic:
        message["Auto-Submitted"] = "auto-replied"
    if letter.attachment:
        kind = mimetypes.guess_type(letter.attachment)[0] or "application/octet-stream"
        main, sub = kind.split("/")
        message.add_attachment(PHOTO, maintype=main, subtype=sub, filename=letter.attachment)
    return message


def new_message(writer: Writer, to: str, subject: str, text: str) -> EmailMessage:
    """A plain letter, ready to be sent."""
    message = EmailMessage()
    message["From"] = Address(writer.name, addr_spec=writer.email)
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain="example.com")
    message.set_content(text)
    return message


def message_id(letter_id: str) -> str:
    """The Message-ID of a letter of the list; a full one stays as it is."""
    return letter_id if letter_id.startswith("<") else f"<{letter_id}@example.com>"
