"""IMAP and SMTP clients that dial guarded addresses and raise the hub's errors."""

from __future__ import annotations

import imaplib
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from functools import cache
from typing import Any, Literal

from imap_tools.imap_utf7 import utf7_encode

from hub.sdk import (
    AuthError,
    ConfigError,
    RejectedError,
    RemoteError,
    RetryableError,
    UnknownOutcomeError,
    connect_address,
)

Tls = Literal["ssl", "starttls", "none"]
imaplib.Commands.setdefault("IDLE", ("SELECTED",))  # known to Python 3.14 only

TIMEOUT_S = 30.0
_WINDOW = 50_000  # UIDs per search: imaplib refuses answers of more than a million bytes


@cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Guarded:
    """Where both clients get their socket from: a checked address, with or without TLS."""

    def __init__(self, host: str, port: int, tls: Tls, allow_networks: Sequence[str]) -> None:
        self._place, self._tls, self._allow = (host, port), tls, allow_networks

    def _dial(self) -> socket.socket:
        plain = socket.create_connection(connect_address(*self._place, self._allow), TIMEOUT_S)
        if self._tls != "ssl":
            return plain
        return _tls_context().wrap_socket(plain, server_hostname=self._place[0])


class Imap(_Guarded, imaplib.IMAP4):
    """One session. Use ``Imap.session``, which logs in, translates errors and logs out."""

    def __init__(self, host: str, port: int, tls: Tls, allow_networks: Sequence[str]) -> None:
        _Guarded.__init__(self, host, port, tls, allow_networks)
        imaplib.IMAP4.__init__(self, host, port, timeout=TIMEOUT_S)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._dial()

    @classmethod
    @contextmanager
    def session(
        cls, host: str, port: int, tls: Tls, login: tuple[str, str], allow: Sequence[str]
    ) -> Iterator[Imap]:
        with _remote(f"IMAP {host}:{port}"):
            client = cls(host, port, tls, allow)
            try:
                if tls == "starttls":
                    client._start_tls()
                client._log_in(*login)
                yield client
            finally:
                client._leave()

    def _start_tls(self) -> None:
        if "STARTTLS" not in self.capabilities:
            raise ConfigError(
                "the IMAP server offers no STARTTLS", hint='Try imap_tls = "ssl" and port 993.'
            )
        self.starttls(_tls_context())

    def _log_in(self, user: str, password: str) -> None:
        try:
            if password.isascii() and user.isascii():
                self.login(self._quote(user), password)
            else:  # LOGIN knows ASCII only
                self.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
        except (self.abort, self.readonly):
            raise
        except self.error as exc:
            if "[UNAVAILABLE]" in str(exc) or "[LIMIT]" in str(exc):
                raise RetryableError("IMAP log-in is not possible now") from exc
            raise AuthError(
                "IMAP log-in refused",
                hint="Check user and password; many providers want an app password and IMAP "
                "switched on.",
            ) from exc

    def _leave(self) -> None:
        try:
            self.logout()
        except (self.error, OSError):
            self.shutdown()

    def open_folder(self, folder: str) -> tuple[str, int]:
        """(UIDVALIDITY, UIDNEXT) of the folder, opened for reading only."""
        status, _ = self.select(_quoted(folder), readonly=True)
        if status != "OK":
            raise ConfigError(f"the mailbox has no folder {folder!r}", hint="Check its name.")
        return self._told("UIDVALIDITY"), int(self._told("UIDNEXT"))

    def _told(self, code: str) -> str:
        _, data = self.response(code)
        if not data or data[-1] is None:
            raise RemoteError(f"the mail server does not tell {code}")
        return str(data[-1], "ascii")

    def uids(self, after: int, until: int) -> list[int]:
        """The UIDs above ``after`` and below ``until``, rising."""
        found: set[int] = set()
        for start in range(after + 1, until, _WINDOW):
            last = min(start + _WINDOW, until) - 1
            _, data = self.uid("SEARCH", f"UID {start}:{last}")
            found.update(int(uid) for uid in (data[0] or b"").split())
        return sorted(uid for uid in found if after < uid < until)

    def newer(self, after: int) -> list[int]:
        """The UIDs above ``after`` that are there now, rising."""
        self.response("EXISTS")  # forgotten, so that what comes during the search is news to idle
        _, data = self.uid("SEARCH", f"UID {after + 1}:*")
        return sorted(uid for uid in map(int, (data[0] or b"").split()) if uid > after)

    def idle(self, timeout_s: float) -> bool:
        """Wait until the folder may have changed (RFC 2177).

        False when the server said nothing for so long; then the session is of no more use.
        """
        tag = self._command("IDLE")
        while self._get_response():
            if self.tagged_commands[tag]:
                raise RetryableError("the mail server will not let us wait for mail now")
        self.sock.settimeout(timeout_s)
        try:
            if "EXISTS" not in self.untagged_responses:  # it came while we asked to wait
                self._get_response()
        except TimeoutError:
            return False
        self.sock.settimeout(TIMEOUT_S)
        self.send(b"DONE\r\n")
        self._command_complete("IDLE", tag)
        return True

    @property
    def can_idle(self) -> bool:
        """Whether the server tells by itself what is new; many say so only after the log-in."""
        _, data = self.capability()
        return b"IDLE" in (data[-1] or b"").upper().split()

    def cut(self) -> None:
        """End the session from another thread, whatever it waits for."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def message(self, uid: int) -> tuple[bytes, bytes] | None:
        """(what the server says of it, the message's bytes), or None when it is gone."""
        _, data = self.uid("FETCH", str(uid), "(INTERNALDATE BODY.PEEK[])")
        return next((part for part in data if isinstance(part, tuple)), None)

    def holds(self, folder: str, message_id: str) -> bool:
        """Whether the folder has a message of that id; a missing folder is made."""
        if self.select(_quoted(folder), readonly=True)[0] != "OK":
            self.create(_quoted(folder))
            return False
        _, data = self.uid("SEARCH", "HEADER", "Message-ID", f'"{message_id}"')
        return bool(data and data[0])

    def keep(self, folder: str, content: bytes) -> None:
        """Put a message into a folder, marked as seen."""
        self.append(_quoted(folder), r"(\Seen)", "", content)


class Smtp(_Guarded, smtplib.SMTP):
    """One session that sends; ``uncertain`` once the message itself is on its way."""

    uncertain = False

    def __init__(self, host: str, port: int, tls: Tls, allow_networks: Sequence[str]) -> None:
        _Guarded.__init__(self, host, port, tls, allow_networks)
        smtplib.SMTP.__init__(self, timeout=TIMEOUT_S)
        self._host = host  # what STARTTLS compares the certificate with

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._dial()

    def data(self, msg: Any) -> tuple[int, bytes]:
        self.uncertain = True
        try:
            answer = super().data(msg)
        except smtplib.SMTPResponseException:  # an answer, so nothing is uncertain
            self.uncertain = False
            raise
        self.uncertain = False
        return answer

    @classmethod
    @contextmanager
    def session(
        cls, host: str, port: int, tls: Tls, login: tuple[str, str] | None, allow: Sequence[str]
    ) -> Iterator[Smtp]:
        client = cls(host, port, tls, allow)
        try:
            with _remote(f"SMTP {host}:{port}"):
                client.connect(host, port)
                if tls == "starttls":
                    client.starttls(context=_tls_context())
                if login:
                    client.login(*login)
                yield client
        except RetryableError as exc:
            if client.uncertain:
                raise UnknownOutcomeError("the mail was sent, its answer was lost") from exc
            raise
        finally:
            with suppress(smtplib.SMTPException, OSError):
                client.quit()

    def deliver(self, message: EmailMessage) -> dict[str, tuple[int, bytes]]:
        """Send; the recipients refused while others were accepted."""
        try:
            return self.send_message(message)
        except smtplib.SMTPRecipientsRefused as exc:
            raise _refused(min(code for code, _ in exc.recipients.values()), "recipients") from exc
        except smtplib.SMTPResponseException as exc:
            raise _refused(exc.smtp_code, "message") from exc
        except smtplib.SMTPNotSupportedError as exc:
            raise RejectedError("the mail server knows no addresses outside ASCII") from exc


def _refused(code: int, what: str) -> RemoteError | RejectedError:
    """4xx may pass later, 5xx never will (RFC 5321, 4.2.1)."""
    if code < 500:
        return RetryableError(f"the mail server puts off the {what} ({code})")
    return RejectedError(f"the mail server refuses the {what} ({code})")


@contextmanager
def _remote(where: str) -> Iterator[None]:
    """Turn what imaplib, smtplib, ssl and the socket raise into the hub's errors."""
    try:
        yield
    except ssl.SSLCertVerificationError as exc:
        hint = "Check the host name; a certificate of your own authority must be known here."
        raise ConfigError(f"{where} shows a certificate that is not valid", hint=hint) from exc
    except smtplib.SMTPAuthenticationError as exc:
        raise AuthError(f"{where} refuses the log-in", hint="Check user and password.") from exc
    except (smtplib.SMTPNotSupportedError, ssl.SSLError) as exc:
        hint = 'Check port and TLS mode ("ssl", "starttls" or "none").'
        raise ConfigError(f"{where} speaks TLS or log-in differently", hint=hint) from exc
    except (smtplib.SMTPException, imaplib.IMAP4.error, OSError) as exc:
        hint = "Check the address, and that the server is running."
        raise RetryableError(f"{where} cannot be reached or broke off", hint=hint) from exc


def _quoted(folder: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", utf7_encode(folder).decode("ascii"))
    return f'"{escaped}"'
