"""Roundup, the demo's service desk: the classic tracker on SQLite, its REST interface on.

Customers are users of the tracker. A detector of ours tells a listener about every change.
"""

from __future__ import annotations

import configparser
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from demo.people import People
from demo.systems import roundup_seed
from demo.systems.base import HOST, INSIDE, Say, System, reachable, run
from demo.systems.roundup_api import RoundupApi

SERVICE_USER = "hub"
AGENT = "agent"
SCHEMA_ADDITION = """
# Agents see and create customers; plain users, the customers, do not.
db.security.addRole(name="Agent", description="Works on other people's issues")
for action in ("View", "Create", "Edit"):
    db.security.addPermissionToRole("Agent", action, "user")
"""


class Roundup(System):
    """A Roundup tracker served by waitress.

    Args:
        root: Folder of the installed program.
        port: Port on the loopback; 0 picks a free one at every start.
        say: Receives one line of progress for every long step.
        state: Folder of the tracker; the root when not given.
        hook_url: Where the tracker posts its events; nowhere when empty.
        hook_secret: Key of their signatures; made up when empty.
    """

    name = "roundup"
    package = "roundup"

    def __init__(
        self,
        root: Path,
        port: int,
        say: Say,
        *,
        state: Path | None = None,
        hook_url: str = "",
        hook_secret: str = "",
    ) -> None:
        super().__init__(root, port, say, state=state)
        self.tracker = self.home / "tracker"
        self._hook_url = hook_url
        self._hook_secret = hook_secret

    @property
    def url(self) -> str:
        """Base of the REST interface."""
        return f"http://{HOST}:{self.port}/rest"

    @property
    def hook_secret(self) -> str:
        """The key that signs the events."""
        return self._hook_secret or self.password("hook")

    def env(self) -> dict[str, str]:
        """REST base, three logins and the key that signs the events."""
        return {
            "ROUNDUP_URL": self.url,
            "ROUNDUP_USER": SERVICE_USER,
            "ROUNDUP_PASSWORD": self.password(SERVICE_USER),
            "ROUNDUP_AGENT": AGENT,
            "ROUNDUP_AGENT_PASSWORD": self.password(AGENT),
            "ROUNDUP_ADMIN": "admin",
            "ROUNDUP_ADMIN_PASSWORD": self.password("admin"),
            "ROUNDUP_HOOK_SECRET": self.hook_secret,
        }

    def api(self, user: str = "admin") -> RoundupApi:
        """The running tracker, seen by a user; all seeded customers share one password."""
        staff = user in ("admin", SERVICE_USER, AGENT)
        return RoundupApi(self.url, user, self.password(user if staff else "customers"))

    def send_events_to(self, url: str, secret: str = "") -> None:
        """Tell the tracker where to post its events, from the next event on."""
        self._hook_url, self._hook_secret = url, secret or self._hook_secret
        listener = {"url": url, "secret": self.hook_secret}
        (self.tracker / "hook.json").write_text(json.dumps(listener), encoding="utf-8")

    def seed(self, people: People) -> None:
        """Customers and their issues."""
        self.say("adding customers and issues")
        roundup_seed.seed(self.api, people, self.password("customers"))

    def answers(self) -> bool:
        """True when an anonymous visitor gets the tracker's front page."""
        return reachable("GET", f"http://{HOST}:{self.port}/")

    def prepare(self, ports: Mapping[str, int]) -> None:
        """Create the tracker if there is none, and tell it its address and its listener."""
        if not (self.tracker / "ready").exists():
            shutil.rmtree(self.tracker, ignore_errors=True)
            self._admin("install", "classic", "sqlite")
            self._extend()
            self._configure(ports["port"])
            self._admin("initialise", self.password("admin"))
            self._add_staff()
            (self.tracker / "ready").touch()
        self._configure(ports["port"])
        (self.tracker / "hook.json").unlink(missing_ok=True)
        if self._hook_url:
            self.send_events_to(self._hook_url)

    def command(self, ports: Mapping[str, int]) -> list[str]:
        """A WSGI server around the tracker."""
        script = str(INSIDE / "roundup_serve.py")
        return [str(self.python), script, str(self.tracker), str(ports["port"])]

    def options(self) -> Mapping[str, str]:
        """Another listener needs a new start."""
        return {"hook_url": self._hook_url}

    def _admin(self, *arguments: str) -> None:
        program = str(self.python.with_name("roundup-admin"))
        run([program, "-i", str(self.tracker), *arguments], f"roundup-admin {arguments[0]}")

    def _extend(self) -> None:
        """Add the agents' role and our detector."""
        with (self.tracker / "schema.py").open("a", encoding="utf-8") as schema:
            schema.write(SCHEMA_ADDITION)
        shutil.copy(INSIDE / "roundup_hook.py", self.tracker / "detectors" / "hub_hook.py")

    def _configure(self, port: int) -> None:
        """Set the few values that differ from the template's."""
        file = self.tracker / "config.ini"
        config = configparser.ConfigParser(interpolation=None)
        config.read(file, encoding="utf-8")
        config["tracker"]["name"] = "管联示例服务台"
        config["tracker"]["web"] = f"http://{HOST}:{port}/"
        # Every request with a password computes this; the default takes a third of a second.
        config["main"]["password_pbkdf2_default_rounds"] = "10000"
        config["mail"]["domain"] = "hub.test"
        config["mail"]["host"] = HOST
        config["mail"]["debug"] = str(self.home / "mail.out")  # nothing is really sent
        with file.open("w", encoding="utf-8") as out:
            config.write(out)

    def _add_staff(self) -> None:
        """Create the hub's own user and an agent."""
        for login, name in ((SERVICE_USER, "管联 Hub"), (AGENT, "客服一号")):
            values = {
                "username": login,
                "realname": name,
                "password": self.password(login),
                "address": f"{login}@hub.test",
                "roles": "User,Agent",
            }
            self._admin("create", "user", *(f"{key}={value}" for key, value in values.items()))
