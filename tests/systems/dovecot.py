"""A Dovecot for the tests: Debian's own IMAP server over a Maildir on the loopback.

Dovecot drops root's rights itself: what speaks with clients is one of its own users, what reads
mail is ``nobody``. Started by an ordinary user, everything is that user. Wrong passwords are
answered at once, which it would otherwise put off longer each time.
"""

from __future__ import annotations

import imaplib
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from tempfile import TemporaryDirectory

from demo.systems.base import HOST, free_ports
from tests.systems.debian import program

USER, PASSWORD = "support@hub.test", "hub-密码-1"

CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
listen = {host}
protocols = imap
ssl = no
disable_plaintext_auth = no
default_login_user = {speaks}
default_internal_user = {works}
default_internal_group = {works_group}
first_valid_uid = {uid}
first_valid_gid = {gid}
mail_location = maildir:{folder}/mail
passdb {{
  driver = passwd-file
  args = {folder}/passwd
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
auth_failure_delay = 0
"""


class Dovecot:
    """One mailbox on a running server. Letters are delivered as any local agent does it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._delivered = 0
        self._write()

    def start(self) -> None:
        server = program("dovecot", "dovecot-imapd")
        self._process = subprocess.Popen([server, "-F", "-c", self.folder / "dovecot.conf"])
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def deliver(self, message: EmailMessage) -> None:
        """Put a letter into the Maildir: written aside, then moved, so that none is seen half."""
        self._delivered += 1
        name = f"{time.time_ns()}.{self._delivered}.hub"
        written, arrived = (self.folder / "mail" / part / name for part in ("tmp", "new"))
        written.write_bytes(message.as_bytes(policy=SMTP))
        shutil.chown(written, self._uid, self._gid)
        written.rename(arrived)

    def renumber(self) -> None:
        """Forget the numbers of all letters, as a restored or moved mailbox does."""
        for path in (self.folder / "mail").glob("dovecot*"):
            path.unlink()

    @contextmanager
    def imap(self) -> Iterator[imaplib.IMAP4]:
        """A logged-in session of a person beside the hub, with the inbox selected."""
        with imaplib.IMAP4(HOST, self.port, timeout=10) as session:
            session.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
            session.select("INBOX")
            yield session

    def _write(self) -> None:
        is_root = os.geteuid() == 0
        reads = pwd.getpwnam("nobody") if is_root else pwd.getpwuid(os.geteuid())
        self._uid, self._gid = reads.pw_uid, reads.pw_gid
        config = CONFIG.format(
            folder=self.folder,
            host=HOST,
            port=self.port,
            uid=self._uid,
            gid=self._gid,
            speaks="dovenull" if is_root else reads.pw_name,
            works="dovecot" if is_root else reads.pw_name,
            works_group="dovecot" if is_root else reads.pw_gid,
        )
        (self.folder / "dovecot.conf").write_text(config)
        (self.folder / "passwd").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        for part in ("run", "mail", "mail/tmp", "mail/new", "mail/cur"):
            (self.folder / part).mkdir()
            shutil.chown(self.folder / part, self._uid, self._gid)

    def _answers(self) -> bool:
        try:
            imaplib.IMAP4(HOST, self.port, timeout=5).shutdown()
        except (OSError, imaplib.IMAP4.error):
            return False
        return True


@contextmanager
def dovecot() -> Iterator[Dovecot]:
    """A running server. Its folder is one that Dovecot's own users may look into."""
    with TemporaryDirectory(prefix="dovecot-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        made = Dovecot(folder)
        made.start()
        try:
            yield made
        finally:
            made.stop()
