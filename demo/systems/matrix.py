"""Matrix, a chat: a Synapse homeserver on SQLite, without federation."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from demo.people import People
from demo.systems.base import HOST, System, SystemFailedError, loopback_session, reachable, run

SERVER = "hub.test"
BOT = "hub"
QUICK = {"per_second": 1000, "burst_count": 1000}


class MatrixUser:
    """Somebody who is logged in."""

    def __init__(self, base: str, name: str, token: str) -> None:
        self.id, self.token = f"@{name}:{SERVER}", token
        self._base, self._sent = base, 0

    def call(self, method: str, path: str, **body: Any) -> Any:
        """The answer of the client API.

        Raises:
            SystemFailedError: it refuses.
        """
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self._base}/_matrix/client/v3{path}"
        more = {} if method == "GET" else {"json": body}
        with loopback_session() as session:
            answer = session.request(method, url, headers=headers, timeout=30, **more)
        if not answer.ok:
            raise SystemFailedError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def make_room(self, *invited: str, preset: str = "private_chat") -> str:
        """A new room with these in it, once they come."""
        return str(self.call("POST", "/createRoom", preset=preset, invite=list(invited))["room_id"])

    def join(self, room: str) -> None:
        """Follow an invitation, or walk into an open room."""
        self.call("POST", f"/join/{quote(room)}")

    def say(self, room: str, text: str, **content: Any) -> str:
        """Say something; the id of the message."""
        self._sent += 1
        path = f"/rooms/{quote(room)}/send/m.room.message/{self._sent}"
        told = {"msgtype": "m.text", "body": text, **content}
        return str(self.call("PUT", path, **told)["event_id"])

    def heard(self, room: str) -> list[dict[str, Any]]:
        """The messages of a room, oldest first."""
        found = self.call("GET", f"/rooms/{quote(room)}/messages?dir=b&limit=200")["chunk"]
        return [event for event in found[::-1] if event["type"] == "m.room.message"]


class Matrix(System):
    """A homeserver for ``hub.test``."""

    name = "matrix"
    package = "matrix-synapse"

    @property
    def url(self) -> str:
        """Base of the client API."""
        return f"http://{HOST}:{self.port}"

    def user(self, name: str) -> MatrixUser:
        """Somebody of this homeserver, logged in; made when there is none yet."""
        told = {"password": self.password(name)}
        with loopback_session() as session:
            admin = f"{self.url}/_synapse/admin/v1/register"
            nonce = session.get(admin, timeout=10).json()["nonce"]
            said = "\0".join((nonce, name, told["password"], "notadmin"))
            key = self.password("registration").encode()
            told["mac"] = hmac.new(key, said.encode(), hashlib.sha1).hexdigest()
            made = session.post(
                admin, json={**told, "nonce": nonce, "username": name, "admin": False}, timeout=30
            )
            if made.ok:
                return MatrixUser(self.url, name, made.json()["access_token"])
            who = {"type": "m.id.user", "user": name}
            asked = {"type": "m.login.password", "identifier": who, "password": told["password"]}
            found = session.post(f"{self.url}/_matrix/client/v3/login", json=asked, timeout=30)
        if not found.ok:
            raise SystemFailedError(f"{name} cannot log in: {found.text[:300]}")
        return MatrixUser(self.url, name, found.json()["access_token"])

    def seed(self, people: People) -> None:
        """The bot's account; who chats is made by who needs them."""
        self.user(BOT)

    def env(self) -> dict[str, str]:
        """The address and the bot's token."""
        return {"MATRIX_URL": self.url, "MATRIX_TOKEN": self.user(BOT).token}

    def answers(self) -> bool:
        """True when it says which versions it speaks."""
        return reachable("GET", f"{self.url}/_matrix/client/versions")

    def prepare(self, ports: Mapping[str, int]) -> None:
        """Write its configuration, and make its signing key once."""
        config = self.home / "homeserver.yaml"
        config.write_text(json.dumps(self._config(ports["port"])), encoding="utf-8")
        logs = {"version": 1, "root": {"level": "WARNING"}, "disable_existing_loggers": False}
        (self.home / "log.yaml").write_text(json.dumps(logs), encoding="utf-8")
        if not (self.home / "signing.key").exists():
            run([*self.command(ports), "--generate-keys"], "matrix: making its key")

    def command(self, ports: Mapping[str, int]) -> list[str]:
        """Synapse as one process."""
        config = str(self.home / "homeserver.yaml")
        return [str(self.python), "-m", "synapse.app.homeserver", "-c", config]

    def _config(self, port: int) -> dict[str, Any]:
        listener = {"port": port, "tls": False, "type": "http", "bind_addresses": [HOST]}
        joins = {"local": QUICK, "remote": QUICK}
        return {
            "server_name": SERVER,
            "public_baseurl": f"http://{HOST}:{port}/",
            "report_stats": False,
            "listeners": [{**listener, "resources": [{"names": ["client"], "compress": False}]}],
            "database": {"name": "sqlite3", "args": {"database": str(self.home / "server.db")}},
            "media_store_path": str(self.home / "media"),
            "signing_key_path": str(self.home / "signing.key"),
            "log_config": str(self.home / "log.yaml"),
            "registration_shared_secret": self.password("registration"),
            "macaroon_secret_key": self.password("macaroon"),
            "form_secret": self.password("form"),
            "trusted_key_servers": [],
            "federation_domain_whitelist": [],
            "bcrypt_rounds": 4,  # every log-in computes it
            "rc_message": QUICK,
            "rc_registration": QUICK,
            "rc_login": {"address": QUICK, "account": QUICK, "failed_attempts": QUICK},
            "rc_joins": joins,
            "rc_invites": {"per_room": QUICK, "per_user": QUICK, "per_issuer": QUICK},
            "rc_room_creation": QUICK,
        }
