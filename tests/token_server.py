"""A vendor with an authorisation server, on loopback: strict about single use, sloppy on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

CLIENT, SECRET = "conduit", "s3cret/+ of the client"


class TokenServer:
    """Counts what it is asked; every token it hands out has a name of its own.

    Attributes:
        lasts_s: life of an access token.
        rotates: a refresh token is taken once; the next comes with the answer.
        grace: the refresh token used last is taken again.
        mood: what the token endpoint does instead of answering, once per entry: ``lose`` = it
            rotates and answers 500, ``down`` or ``busy`` = it does nothing and says so.
        pause: called in the middle of a refresh, after the old token was used up.
        rows, writes: what the API holds, and (idempotency key, row) of each write.
        on_api: called with the access token of each request to the API.
    """

    def __init__(self) -> None:
        self.lasts_s = 3600
        self.rotates, self.grace = True, False
        self.mood: list[str] = []
        self.asked: list[dict[str, str]] = []
        self.api: list[str] = []
        self.valid: set[str] = set()
        self.rows: dict[str, dict[str, Any]] = {}
        self.writes: list[tuple[str, dict[str, Any]]] = []
        self.pause: Callable[[], None] = lambda: None
        self.on_api: Callable[[str], None] = lambda _: None
        self._codes: dict[str, dict[str, str]] = {}
        self._refresh, self._used = "", ""
        self._lock = threading.Lock()
        self._n = 0
        self.address = ""

    def agree(self, url: str) -> str:
        """A person agrees on the page at ``url``: where their browser is sent."""
        asked = {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        code = self._name("code")
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def revoke(self) -> None:
        """Somebody at the vendor ends the grant: every token is dead."""
        self.valid.clear()
        self._refresh = self._used = ""

    @property
    def refreshes(self) -> int:
        """How often a refresh token was shown."""
        return sum(form["grant_type"] == "refresh_token" for form in self.asked)

    def _name(self, what: str) -> str:
        with self._lock:
            self._n += 1
            return f"{what}-{self._n}-{hashlib.sha256(str(self._n).encode()).hexdigest()[:12]}"

    def __call__(self, environ: Any, start: Any) -> Iterable[bytes]:
        request = Request(environ)
        answer: Response = getattr(self, request.path.strip("/"))(request)
        return answer(environ, start)

    def token(self, request: Request) -> Response:
        form = {k: str(v) for k, v in request.form.items()}
        self.asked.append(form)
        if not self._is_client(request, form):
            return _json({"error": "invalid_client"}, 401)
        mood = self.mood.pop(0) if self.mood else ""
        if mood == "down":
            return Response("down", 503)
        if mood == "busy":
            return _json({"error": "temporarily_unavailable"}, 400)
        refused = getattr(self, f"_refuses_{form['grant_type']}")(form)
        if refused:
            return _json({"error": "invalid_grant", "error_description": str(form)}, 400)
        tokens = self._hand_out(with_refresh=form["grant_type"] != "client_credentials")
        self.pause()
        return Response("lost", 500) if mood == "lose" else _json(tokens)

    def gettoken(self, request: Request) -> Response:
        if request.args.get("secret") != SECRET:
            return _json({"errcode": 40001, "errmsg": "invalid secret"})
        self.valid = {token := self._name("app")}  # the next one ends the one before
        return _json({"errcode": 0, "access_token": token, "expires_in": self.lasts_s})

    def things(self, request: Request) -> Response:
        """Answers 200 in any case, and says in the body what is wrong."""
        token = request.args.get("access_token", "")
        self.api.append(token)
        return _json({"errcode": 0 if token in self.valid else 42001})

    def records(self, request: Request) -> Response:
        return self._refused(request) or _json(list(self.rows.values()))

    def record(self, request: Request) -> Response:
        return self._refused(request) or _json(self.rows.get(request.args["id"]))

    def write(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        told = request.get_json()
        id_ = told["id"] or self._name("contact")
        row = {"id": id_, "version": f"{len(self.writes) + 1000:06d}", **told["values"]}
        self.writes.append((request.headers["Idempotency-Key"], row))
        self.rows[id_] = row
        return _json(row)

    def _refused(self, request: Request) -> Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.api.append(token)
        self.on_api(token)
        return None if token in self.valid else _json({"message": "token expired"}, 401)

    def away(self, request: Request) -> Response:
        port = request.host.partition(":")[2]
        return Response("", 302, {"Location": f"http://localhost:{port}/seen"})

    def seen(self, request: Request) -> Response:
        return _json(sorted(name.lower() for name in request.headers.keys()))  # noqa: SIM118

    def _is_client(self, request: Request, form: dict[str, str]) -> bool:
        if request.authorization:
            given = request.authorization.username or "", request.authorization.password or ""
            return (unquote_plus(given[0]), unquote_plus(given[1])) == (CLIENT, SECRET)
        return (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)

    def _refuses_client_credentials(self, form: dict[str, str]) -> bool:
        return False

    def _refuses_authorization_code(self, form: dict[str, str]) -> bool:
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        shown = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return asked is None or (asked["redirect_uri"], asked["code_challenge"]) != (
            form["redirect_uri"],
            shown,
        )

    def _refuses_refresh_token(self, form: dict[str, str]) -> bool:
        given = form["refresh_token"]
        fits = given == self._refresh or (self.grace and given == self._used)
        return not (given and fits)

    def _hand_out(self, *, with_refresh: bool) -> dict[str, Any]:
        access = self._name("access")
        self.valid = {access}
        told = {"access_token": access, "token_type": "Bearer", "expires_in": self.lasts_s}
        if with_refresh and (self.rotates or not self._refresh):
            self._used, self._refresh = self._refresh, self._name("refresh")
            told["refresh_token"] = self._refresh
        return {**told, "instance": "https://eu7.example.com"}


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status, mimetype="application/json")


@contextmanager
def serving(app: TokenServer) -> Iterator[TokenServer]:
    """The vendor at ``app.address``, until the block ends."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    app.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield app
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
