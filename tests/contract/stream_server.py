"""钉钉's Stream gateway: registration, tickets, frames, and a ledger of what was acknowledged.

The vendor's own client is driven against it in ``test_dingtalk_stream``.
"""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tests.contract.json_server import Handler, at_a_port

KEY, SECRET = "dingappkeyEXAMPLE", "stream-secret-of-the-app"


class Gateway:
    """One app: what waits for it, what it was given, what it acknowledged."""

    def __init__(self) -> None:
        self.registered: list[dict[str, Any]] = []
        self.frames: dict[str, dict[str, Any]] = {}
        self.given: list[str] = []
        self.acknowledged: list[str] = []
        self.answers: list[dict[str, Any]] = []
        self.deaf = False
        self.refuses_tickets = False
        self.refuses: tuple[int, str] | None = None
        self.url = self.endpoint = ""
        self._tickets: set[str] = set()
        self._lines: set[ServerConnection] = set()
        self._turn = threading.Condition()

    def tell(self, number: int, **more: Any) -> None:
        """An approval changes; given again on every new line until it is acknowledged."""
        data = {"processInstanceId": f"p{number}", "type": "start", "title": f"报修 {number}"}
        data |= {"createTime": 1_763_000_000_000 + number, "staffId": "manager01", **more}
        headers = {"eventType": "bpms_instance_change", "eventId": f"event-{number}"}
        headers |= {"eventCorpId": "dingcorpEXAMPLE", "eventBornTime": "1763000000000"}
        self.push("EVENT", "*", data, f"event-{number}", **headers)

    def say(self, number: int, text: str) -> None:
        """A person writes to the robot."""
        data = {"msgId": f"msg-{number}", "msgtype": "text", "text": {"content": text}}
        data |= {"conversationId": "cidEXAMPLE", "senderStaffId": "user01"}
        self.push("CALLBACK", "/v1.0/im/bot/messages/get", data, f"msg-{number}")

    def push(self, kind: str, topic: str, data: Any, id_: str, **headers: str) -> None:
        """Any frame; those of the system are told once, to the lines there are."""
        frame = {
            "specVersion": "1.0",
            "type": kind,
            "headers": {"topic": topic, "messageId": id_, "time": "1763000000000", **headers},
            "data": data if isinstance(data, str) else json.dumps(data, ensure_ascii=False),
        }
        frame["headers"]["contentType"] = "application/json"
        with self._turn:
            if kind != "SYSTEM":
                self.frames[id_] = frame
            for line in self._lines:
                self._give(line, frame)

    def drop(self, *, politely: bool = False) -> None:
        """Every line breaks; politely = 钉钉 says so first, and says nothing after it."""
        if politely:
            self.push("SYSTEM", "disconnect", {"reason": "maintenance"}, uuid.uuid4().hex)
            return
        with self._turn:
            for line in self._lines:
                with suppress(OSError):  # it may just have ended
                    line.socket.shutdown(socket.SHUT_RDWR)

    def write(self, text: str) -> None:
        """Whatever a new version of 钉钉 might send."""
        with self._turn:
            for line in self._lines:
                line.send(text)

    def wait_for(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Look at every change until it holds."""
        with self._turn:
            return self._turn.wait_for(holds, timeout_s)

    @property
    def lines(self) -> int:
        """How many stand."""
        return len(self._lines)

    def register(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and answer of a registration."""
        if self.refuses:
            return self.refuses[0], {"code": self.refuses[1], "message": "…"}
        if (asked.get("clientId"), asked.get("clientSecret")) != (KEY, SECRET):
            return 400, {
                "code": "invalidClientIdOrSecret",
                "message": "无效的应用",
            }
        ticket = uuid.uuid4().hex
        with self._turn:
            self.registered.append(asked)
            self._tickets.add(ticket)
        return 200, {"endpoint": self.endpoint, "ticket": ticket}

    def let_in(self, connection: ServerConnection, request: Request) -> Response | None:
        """A ticket opens one line."""
        (ticket,) = parse_qs(urlsplit(request.path).query).get("ticket", [""])
        with self._turn:
            if ticket not in self._tickets or self.refuses_tickets:
                return connection.respond(401, "no such ticket\n")
            self._tickets.remove(ticket)
        return None

    def talk(self, line: ServerConnection) -> None:
        """One line from its beginning to its end."""
        with self._turn:
            self._lines.add(line)
            self._turn.notify_all()
            for id_, frame in self.frames.items():
                if id_ not in self.acknowledged:
                    self._give(line, frame)
        try:
            with suppress(ConnectionClosed):
                for text in line:
                    self._hear(json.loads(text))
        finally:
            with self._turn:
                self._lines.discard(line)
                self._turn.notify_all()

    def _give(self, line: ServerConnection, frame: dict[str, Any]) -> None:
        self.given.append(frame["headers"]["messageId"])
        with suppress(ConnectionClosed, OSError):
            line.send(json.dumps(frame, ensure_ascii=False))

    def _hear(self, answer: dict[str, Any]) -> None:
        with self._turn:
            self.answers.append(answer)
            if answer["code"] == 200 and not self.deaf:
                self.acknowledged.append(answer["headers"]["messageId"])
            self._turn.notify_all()


class _Registration(Handler):
    gateway: ClassVar[Gateway]

    def post(self) -> None:
        assert self.path == "/v1.0/gateway/connections/open"
        self.answer(*self.gateway.register(json.loads(self.asked())))


@contextmanager
def serving() -> Iterator[Gateway]:
    """A gateway on two local ports."""
    gateway = Gateway()
    lines = serve(gateway.talk, "127.0.0.1", 0, process_request=gateway.let_in)
    threading.Thread(target=lines.serve_forever, daemon=True).start()
    gateway.endpoint = f"ws://127.0.0.1:{lines.socket.getsockname()[1]}/connect"
    with at_a_port(_Registration, gateway=gateway) as gateway.url:
        try:
            yield gateway
        finally:
            gateway.drop()
            lines.shutdown()
