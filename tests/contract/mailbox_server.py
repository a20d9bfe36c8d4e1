"""A mail server small enough to read: just the commands our adapter uses, over real sockets."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import ClassVar

PASSWORD = "letmein"


@dataclass
class Mailbox:
    """What the server holds and how it misbehaves; both ports share it."""

    folders: dict[str, list[bytes]] = field(default_factory=lambda: {"INBOX": []})
    validity: int = 1
    gone: set[int] = field(default_factory=set)
    cut_at: str = ""
    refuse: dict[str, str] = field(default_factory=dict)
    imap_port: int = 0
    smtp_port: int = 0
    sent: list[bytes] = field(default_factory=list)
    idles: bool = True
    waiting: set[Imap] = field(default_factory=set)
    fetched: list[int] = field(default_factory=list)
    arrives_before_idle: list[bytes] = field(default_factory=list)
    turn: threading.Condition = field(default_factory=threading.Condition)

    def arrive(self, content: bytes, folder: str = "INBOX") -> None:
        """A mail comes; whoever waits for it is told."""
        with self.turn:
            self.folders[folder].append(content)
            for session in self.waiting:
                with suppress(OSError):  # it may just have gone
                    session.tell_exists()

    def until_idle(self, *, no: bool = False) -> None:
        """Return when somebody waits, or nobody any more."""
        with self.turn:
            assert self.turn.wait_for(lambda: bool(self.waiting) != no, 60)

    def drop(self) -> None:
        """Hang up on everybody who waits."""
        with self.turn:
            for session in self.waiting:
                session.connection.shutdown(socket.SHUT_RDWR)

    def cuts(self, command: str) -> bool:
        """Whether to hang up now; happens once."""
        if self.cut_at and command.startswith(self.cut_at):
            self.cut_at = ""
            return True
        return False


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    box: ClassVar[Mailbox]

    def say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def lines(self) -> Iterator[str]:
        while line := self.rfile.readline():
            yield line.decode().rstrip("\r\n")


class Imap(_Handler):
    def handle(self) -> None:
        self.say("* OK ready")
        self.folder = "INBOX"
        for line in self.lines():
            tag, _, command = line.partition(" ")
            if self.box.cuts(command):
                return
            verb = command.partition(" ")[0].upper()
            answer = getattr(self, f"do_{verb.lower()}", self.do_other)(command)
            self.say(f"{tag} {answer} so it is")  # imaplib wants words
            if verb == "LOGOUT":
                return

    def do_other(self, command: str) -> str:
        return "BAD unknown"

    def do_capability(self, command: str) -> str:
        self.say("* CAPABILITY IMAP4rev1" + (" IDLE" if self.box.idles else ""))
        return "OK"

    def do_login(self, command: str) -> str:
        right = command.endswith(f'"{PASSWORD}"')
        return "OK" if right else "NO [AUTHENTICATIONFAILED] wrong"

    def do_logout(self, command: str) -> str:
        self.say("* BYE")
        return "OK"

    def do_examine(self, command: str) -> str:
        self.folder = command.partition(" ")[2].strip('"')
        if self.folder not in self.box.folders:
            return "NO no such folder"
        messages = self.box.folders[self.folder]
        self.tell_exists()
        self.say(f"* OK [UIDVALIDITY {self.box.validity}] valid")
        self.say(f"* OK [UIDNEXT {len(messages) + 1}] next")
        return "OK [READ-ONLY]"

    def tell_exists(self) -> None:
        self.told = len(self.box.folders[self.folder])
        self.say(f"* {self.told} EXISTS")

    def do_idle(self, command: str) -> str:
        with self.box.turn:
            while self.box.arrives_before_idle:
                self.box.folders[self.folder].append(self.box.arrives_before_idle.pop())
                self.tell_exists()
            self.say("+ idling")
            if self.told != len(self.box.folders[self.folder]):
                self.tell_exists()
            self.box.waiting.add(self)
            self.box.turn.notify_all()
        try:
            done = self.rfile.readline()
        finally:
            with self.box.turn:
                self.box.waiting.remove(self)
                self.box.turn.notify_all()
        return "OK" if done.strip() == b"DONE" else "BAD"

    def do_create(self, command: str) -> str:
        self.box.folders[command.partition(" ")[2].strip('"')] = []
        return "OK"

    def do_append(self, command: str) -> str:
        size = int(command.rpartition("{")[2].rstrip("}"))
        self.say("+ go on")
        folder = command.split()[1].strip('"')
        self.box.folders[folder].append(self.rfile.read(size))
        self.rfile.readline()
        return "OK"

    def do_uid(self, command: str) -> str:
        messages = self.box.folders[self.folder]
        if found := re.match(r"UID SEARCH UID (\d+):\*", command):
            last = len(messages)  # "*" is the last message, also below the range's beginning
            uids = [*range(min(int(found[1]), last), last + 1)] if last else []
            self.say("* SEARCH " + " ".join(map(str, uids)))
        elif found := re.match(r"UID SEARCH UID (\d+):(\d+)", command):
            first, last = int(found[1]), int(found[2])
            uids = [u for u in range(first, last + 1) if 0 < u <= len(messages)]
            self.say("* SEARCH " + " ".join(map(str, uids)))
        elif found := re.match(r'UID SEARCH HEADER Message-ID "(.+)"', command):
            hits = [n for n, m in enumerate(messages, start=1) if found[1].encode() in m]
            self.say("* SEARCH " + " ".join(map(str, hits)))
        elif found := re.match(r"UID FETCH (\d+) ", command):
            self._fetch(int(found[1]), messages)
        return "OK"

    def _fetch(self, uid: int, messages: list[bytes]) -> None:
        if uid in self.box.gone:
            return
        self.box.fetched.append(uid)
        content = messages[uid - 1]
        self.say(
            f'* {uid} FETCH (UID {uid} INTERNALDATE " 1-Nov-2026 10:00:00 +0800" '
            f"BODY[] {{{len(content)}}}"
        )
        self.wfile.write(content + b")\r\n")


class Smtp(_Handler):
    def handle(self) -> None:
        self.say("220 ready")
        for line in self.lines():
            if self.box.cuts(line):
                return
            verb = line.partition(" ")[0].upper()
            if verb in self.box.refuse:
                self.say(self.box.refuse[verb])
            elif verb == "DATA":
                self.say("354 go on")
                if not self._take():
                    return
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine")

    def _take(self) -> bool:
        content = b""
        while (line := self.rfile.readline()) != b".\r\n":
            content += line
        self.box.sent.append(content)
        if self.box.cuts("."):
            return False
        self.say(self.box.refuse.get(".", "250 taken"))
        return True


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


@contextmanager
def serving() -> Iterator[Mailbox]:
    """A mailbox that answers on two local ports."""
    box = Mailbox()
    handlers = [type(f"Of{base.__name__}", (base,), {"box": box}) for base in (Imap, Smtp)]
    servers = [_Server(("127.0.0.1", 0), handler) for handler in handlers]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    box.imap_port, box.smtp_port = (server.server_address[1] for server in servers)
    try:
        yield box
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
