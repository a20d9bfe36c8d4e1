# mypy: disable-error-code="import-not-found,misc"
# (what it imports is installed in the mailbox's own environment only)
"""The mailbox of the demo: SMTP in, IMAP out, one Maildir per address.

Runs in the mailbox's own environment: ``python mail_server.py HOME IMAP_PORT SMTP_PORT``, with
the one password of every mailbox in ``MAILBOX_PASSWORD``. A mailbox comes into being with its
first letter or its first login. Letters for other domains are refused.
"""

from __future__ import annotations

import asyncio
import mailbox
import os
import re
import signal
import sys
import time
from argparse import Namespace
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pymap.backend.maildir as backend
import pymap.backend.maildir.mailbox as storage
from aiosmtpd.smtp import SMTP, Envelope
from pymap.backend.maildir import Config, Identity, Login, Maildir, MaildirBackend
from pymap.backend.maildir.mailbox import MailboxData
from pymap.backend.maildir.uidlist import UidList
from pymap.concurrent import Subsystem
from pymap.imap import IMAPService
from pymap.user import UserMetadata
from pysasl.hashing import BuiltinHash

HOST = "127.0.0.1"
DOMAINS = ("@hub.test", "@example.com")


class ExactMaildir(Maildir):
    """A Maildir that gives letters back byte for byte instead of parsed and printed again."""

    def get_message(self, key: str) -> bytes:
        """The letter as it came in, with the line ends IMAP wants."""
        return re.sub(rb"\r?\n", b"\r\n", self.get_bytes(key))


class CopyingMailbox(MailboxData):
    """A mailbox whose COPY takes the letter along; pymap 0.36 stores an empty one."""

    async def copy(self, uid: int, destination: Any, *, recent: bool = False) -> int | None:
        """Copy a letter, and return the UID that it has there."""
        new_uid: int | None = await super().copy(uid, destination, recent=recent)
        if new_uid is not None:
            own, copied = await self.key_of(uid), await destination.key_of(new_uid)
            destination.file_of(copied).write_bytes(self.file_of(own).read_bytes())
        return new_uid

    async def key_of(self, uid: int) -> str:
        """The Maildir key of a letter."""
        async with UidList.with_read(self._path) as uids:
            return str(uids.get(uid).key)

    def file_of(self, key: str) -> Path:
        """The file of a letter, wherever its flags have moved it."""
        return Path(self._path) / str(self._maildir._lookup(key))


class Mailboxes(Login):
    """Accounts of the local domains, opened when somebody first asks for them."""

    def __init__(self, config: Config, password: str) -> None:
        super().__init__(config)
        self._hash = config.hash_context.hash(password)
        self._turn = asyncio.Lock()
        self._open: set[str] = set()

    async def authenticate(self, credentials: Any) -> Identity:
        """Check a login, after making sure that a local mailbox exists."""
        if is_local(credentials.authcid):
            await self.open(credentials.authcid)
        return await super().authenticate(credentials)

    async def open(self, address: str) -> None:
        """Create the account, or give it the password of this run."""
        if address not in self._open:
            account = UserMetadata(self.config, address, password=self._hash)
            await self._identity(address).set(account)
            self._open.add(address)

    async def deliver(self, address: str, letter: bytes) -> None:
        """Store one letter; letters get their UIDs in the order they arrive."""
        async with self._turn:
            await self.open(address)
            mailbox.Maildir(Path(self.config.base_dir) / address).add(letter)
            async with self._identity(address).new_session() as session:
                await session.mailbox_set.get_mailbox("INBOX")  # gives out the UID

    def _identity(self, address: str) -> Identity:
        return Identity(self.config, self.tokens, address, None, {"admin"})


class Postman:
    """What the SMTP server does with recipients and letters."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self.mailboxes = mailboxes

    async def handle_RCPT(  # noqa: N802 (the server looks for this name)
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """Take letters for the local domains only."""
        if not is_local(address):
            return "550 relaying denied"
        envelope.rcpt_tos.append(address.lower())
        return "250 OK"

    async def handle_DATA(  # noqa: N802 (the server looks for this name)
        self, _server: Any, _session: Any, envelope: Envelope
    ) -> str:
        """Put the letter into every recipient's mailbox, then say yes."""
        letter = envelope.original_content or b""
        for address in envelope.rcpt_tos:
            trace = f"Return-Path: <{envelope.mail_from}>\r\nDelivered-To: {address}\r\n"
            await self.mailboxes.deliver(address, trace.encode() + letter)
        return "250 delivered"


def is_local(address: str) -> bool:
    """True when letters to the address may be taken."""
    return address.lower().endswith(DOMAINS)


def imap_config(home: Path, port: int) -> Config:
    """Everything on one event loop, so that two sessions never give out the same UID."""
    defaults = Namespace(passlib_cfg=None, proxy_protocol=None, inherited_sockets=None)
    return Config(
        defaults,
        base_dir=str(home),
        layout="++",
        colon=None,
        host=HOST,
        port=port,
        tls_enabled=False,  # loopback only: plain LOGIN
        subsystem=Subsystem.for_asyncio(),
        hash_context=BuiltinHash(rounds=10_000),
    )


async def serve(home: Path, imap_port: int, smtp_port: int, password: str) -> None:
    """Listen on both ports until asked to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    config = imap_config(home, imap_port)
    config.apply_context()
    mailboxes = Mailboxes(config, password)
    imap = IMAPService(MaildirBackend(mailboxes, config), config)
    await imap.start(AsyncExitStack())  # never unwound: that would wait for idle clients
    await loop.create_server(
        lambda: SMTP(Postman(mailboxes), hostname="hub.test", loop=loop), HOST, smtp_port
    )
    await stop.wait()


def main() -> None:
    """Prepare the folder and the environment, then serve."""
    home, imap_port, smtp_port = sys.argv[1:]
    os.environ["FQDN"] = "hub.test"  # the greeting would ask a name server otherwise
    os.environ["TZ"] = "UTC"  # INTERNALDATE is printed as local time with the offset +0000
    time.tzset()
    for lock in Path(home).rglob("*.lock"):  # left by a killed server
        lock.unlink()
    backend.Maildir, storage.MailboxData = ExactMaildir, CopyingMailbox
    asyncio.run(serve(Path(home), int(imap_port), int(smtp_port), os.environ["MAILBOX_PASSWORD"]))


if __name__ == "__main__":
    main()
