"""E-mail: read a mailbox by IMAP, send by SMTP.

The cursor is ``<UIDVALIDITY>:<UID>``; when the server renumbers the folder, it is read anew and
known messages are recognised by their Message-ID. A line that waits for mail (IDLE) begins with
what comes from then on, because the pull brings everything else.

Source: RFC 9051 and 3501 (IMAP), RFC 2177 (IDLE), RFC 5321 (SMTP), RFC 5322, RFC 3834 (automatic
answers)
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, parseaddr, parsedate_to_datetime

from pydantic import Field, SecretStr

from adapters.email.message import to_row
from adapters.email.wire import Imap, Smtp, Tls
from hub.sdk import (
    Adapter,
    Change,
    ConnectionConfig,
    Emit,
    Item,
    Page,
    Raw,
    Receipt,
    RejectedError,
    RemoteError,
    Row,
    Stream,
    UnsupportedError,
)
from hub.sdk.signing import body_hash

log = logging.getLogger(__name__)

IDLE_S = 9 * 60.0
"""How long a waiting line may be silent: firewalls forget what is silent longer."""


class EmailConfig(ConnectionConfig):
    address: str = Field(
        pattern=r"^[^@\s]+@[^@\s]+$",
        description="Our own address, the sender of what we write",
        examples=["support@example.org"],
    )
    name: str = Field(default="", description="Name shown beside that address")
    aliases: tuple[str, ...] = Field(
        default=(), description="Further addresses of ours; mail from them is never a customer's"
    )
    username: str = Field(default="", description="Log-in name; the address if empty")
    password: SecretStr = Field(description="Password, often an app password made for this use")
    imap_host: str = Field(description="IMAP server", examples=["imap.example.org"])
    imap_port: int = Field(default=993, ge=1, le=65535, description="Port of the IMAP server")
    imap_tls: Tls = Field(default="ssl", description="Encryption towards the IMAP server")
    folder: str = Field(default="INBOX", description="Folder that is read")
    smtp_host: str = Field(default="", description="SMTP server; empty = nothing can be sent")
    smtp_port: int = Field(default=465, ge=1, le=65535, description="Port of the SMTP server")
    smtp_tls: Tls = Field(default="ssl", description="Encryption towards the SMTP server")
    smtp_login: bool = Field(default=True, description="Whether the SMTP server wants the password")
    sent_folder: str = Field(
        default="Sent",
        description="Folder where sent mail is filed, and looked up so that none is sent twice",
    )
    page_size: int = Field(default=50, ge=1, description="Messages stored in one go")


class EmailAdapter(Adapter[EmailConfig]):
    """One mailbox. Rows are described in ``adapters/email/message.py``."""

    streams = (Stream("messages", writable=True, whole=False),)
    _waiting: Imap | None = None

    def check(self) -> None:
        with self._imap() as imap:
            imap.open_folder(self.config.folder)
        if self.config.smtp_host:
            with self._smtp():
                pass

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        with self._imap() as imap:
            validity, until = imap.open_folder(self.config.folder)
            known, _, last = (cursor or "").partition(":")
            uids = imap.uids(int(last) if known == validity else 0, until)
            for start in range(0, len(uids), self.config.page_size):
                page = uids[start : start + self.config.page_size]
                rows = [row for uid in page if (row := self._row(imap, uid)) is not None]
                yield Page(rows, cursor=f"{validity}:{page[-1]}")

    def listen(self, emit: Emit) -> None:
        with self._imap() as imap:
            if not imap.can_idle:
                raise UnsupportedError(
                    "this mail server does not tell what is new (IDLE)",
                    hint="Take out `listen`: the folder is read every minute anyway.",
                )
            self._waiting = imap
            validity, until = imap.open_folder(self.config.folder)
            known, _, last = (emit.cursor or "").partition(":")
            after = int(last) if known == validity else until - 1
            emit(cursor=f"{validity}:{after}")
            fresh = imap.uids(after, until)
            while True:
                for after in fresh:
                    emit(*self._items(imap, validity, after), cursor=f"{validity}:{after}")
                if not imap.idle(IDLE_S):
                    return
                fresh = imap.newer(after)
                if not fresh:
                    emit()

    def parse(self, body: bytes) -> Iterator[Row]:
        yield Row("messages", json.loads(body))

    def close(self) -> None:
        if self._waiting is not None:
            self._waiting.cut()
        super().close()

    def push(self, stream: Stream, change: Change) -> Receipt:
        if not self.config.smtp_host:
            raise UnsupportedError("this mailbox only receives", hint="Set smtp_host.")
        if change.id is not None:
            raise RejectedError("a mail that was sent cannot be changed")
        message = self._compose(change)
        message_id = str(message["Message-ID"])
        folder = self.config.sent_folder
        if folder:
            with self._imap() as imap:
                if imap.holds(folder, message_id):
                    return Receipt(id=message_id)
        with self._smtp() as smtp:
            refused = smtp.deliver(message)
        if refused:
            log.warning("some recipients were refused", extra={"refused": len(refused)})
        if folder:
            self._file(folder, message)
        return Receipt(id=message_id)

    def _file(self, folder: str, message: EmailMessage) -> None:
        """Keep a copy as the proof that it was sent; without one the mail is still sent."""
        try:
            with self._imap() as imap:
                if not imap.holds(folder, str(message["Message-ID"])):
                    imap.keep(folder, message.as_bytes(policy=SMTP))
        except RemoteError:
            log.warning("a sent mail could not be filed", exc_info=True)

    def _compose(self, change: Change) -> EmailMessage:
        c, values = self.config, change.values
        to = [parseaddr(one["address"])[1] for one in values.get("to") or ()]
        ours = self._own() & {address.lower() for address in to}
        if not to or ours or not all("@" in address for address in to):
            raise RejectedError("a mail needs recipients, and none of our own addresses")
        answered, automatic = values.get("in_reply_to"), values.get("automatic")
        message = EmailMessage()
        try:
            message["From"] = formataddr((c.name, c.address))
            message["To"] = ", ".join(to)
            message["Subject"] = re.sub(r"\s+", " ", values.get("subject") or "")
            message["Message-ID"] = self._message_id(change.key)
            message["Date"] = format_datetime(datetime.now(UTC))
            if answered:
                message["In-Reply-To"] = answered
                message["References"] = " ".join([*(values.get("references") or ()), answered])
            if automatic:
                message["Auto-Submitted"] = "auto-replied" if answered else "auto-generated"
        except ValueError as exc:
            raise RejectedError("an address or header of the mail is malformed") from exc
        message.set_content(values.get("text") or "")
        if values.get("html"):
            message.add_alternative(values["html"], subtype="html")
        return message

    def _message_id(self, key: str) -> str:
        return f"<{body_hash(key.encode())[:32]}@{self.config.address.rpartition('@')[2]}>"

    def _own(self) -> frozenset[str]:
        return frozenset(a.lower() for a in (self.config.address, *self.config.aliases))

    def _row(self, imap: Imap, uid: int) -> Raw | None:
        found = imap.message(uid)
        if found is None:
            return None
        told, content = found
        date = re.search(rb'INTERNALDATE "([^"]+)"', told)
        received_at = parsedate_to_datetime(date[1].decode()) if date else datetime.now(UTC)
        return to_row(content, received_at, self._own())

    def _items(self, imap: Imap, validity: str, uid: int) -> Iterator[Item]:
        """The item of one message: its row as ``pull`` gives it; none when it is gone."""
        row = self._row(imap, uid)
        if row is not None:
            body = json.dumps(row, ensure_ascii=False).encode()
            named = f"{self.config.folder}/{validity}:{uid}"
            yield Item(body, named, f"messages/{row['message_id']}", "message")

    def _imap(self) -> AbstractContextManager[Imap]:
        c = self.config
        login = (c.username or c.address, c.password.get_secret_value())
        return Imap.session(c.imap_host, c.imap_port, c.imap_tls, login, c.allow_networks)

    def _smtp(self) -> AbstractContextManager[Smtp]:
        c = self.config
        login = (c.username or c.address, c.password.get_secret_value()) if c.smtp_login else None
        return Smtp.session(c.smtp_host, c.smtp_port, c.smtp_tls, login, c.allow_networks)
