"""The city in process: its servers answered without sockets, on a clock that only tests move.

What is doubled is the HTTP boundary and the clock, nothing of ours.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import responses
from werkzeug.test import EnvironBuilder, run_wsgi_app

from demo.city.crm.server import Crm
from demo.city.desk.server import Desk
from demo.city.erp.server import Erp
from demo.city.site import SilenceError, Site
from hub.sdk import auth, http
from hub.store import leases

Around = Callable[[], AbstractContextManager[None]]

DAWN = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
DESK_SECRET = "whsec_Y2FuYXJ5IG9mIHRoZSBjaXR5IGRlc2sgIDAxMjM0NTY="


class Clock:
    """The time of day, for the hub and for every vendor; waiting is what moves it."""

    def __init__(self) -> None:
        self.at = DAWN

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - DAWN).total_seconds()

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class City:
    """Three vendors on one clock."""

    def __init__(self, seed: int = 0, **given: Any) -> None:
        self.clock = Clock()
        told = {"clock": self.clock.now, "wait": self.clock.wait, **given}
        self.crm = Crm(seed=seed, **told)
        self.erp = Erp(seed=seed + 1, **told)
        self.desk = Desk(seed=seed + 2, **{**told, "secret": DESK_SECRET})

    @property
    def sites(self) -> tuple[Site, ...]:
        return self.crm, self.erp, self.desk

    def site(self, name: str) -> Site:
        """The vendor of that name."""
        return next(site for site in self.sites if site.name == name)

    def connections(self, *, page_size: int = 100) -> dict[str, dict[str, Any]]:
        """What settings.toml would say."""
        given = {
            site.name: {
                "adapter": site.name,
                "url": f"http://{site.name}.city.test",
                "token": site.token,
                "webhook_secrets": [site.secret],
                "page_size": page_size,
            }
            for site in self.sites
        }
        given["erp"]["client_secret"] = given["erp"].pop("token")
        del given["erp"]["webhook_secrets"]
        return given

    @contextmanager
    def open(self, around: Around = nullcontext) -> Iterator[None]:
        """Within the block the vendors answer, and every clock is this one.

        Args:
            around: what each request is made within.
        """
        mock = responses.RequestsMock(assert_all_requests_are_fired=False)
        with mock, pytest.MonkeyPatch.context() as patch:
            for site in self.sites:
                there = re.compile(rf"http://{site.name}\.city\.test/")
                for method in ("GET", "POST", "PUT", "PATCH"):
                    mock.add_callback(method, there, _answering(site, around))
            patch.setattr(leases, "now", self.clock.now)
            patch.setattr(auth, "now", self.clock.now)
            patch.setattr(http, "_utc_now", self.clock.now)
            patch.setattr(time, "sleep", self.clock.wait)
            patch.setattr(time, "monotonic", self.clock.monotonic)
            yield


def _answering(site: Site, around: Around) -> Callable[[requests.PreparedRequest], Any]:
    def callback(asked: requests.PreparedRequest) -> Any:
        with around():
            return answer(site, asked)

    return callback


def answer(site: Site, asked: requests.PreparedRequest) -> tuple[int, dict[str, str], Any]:
    """What the server says to a request."""
    parts = urlsplit(str(asked.url))
    content = asked.body.encode() if isinstance(asked.body, str) else asked.body
    environ = EnvironBuilder(
        path=parts.path,
        query_string=parts.query,
        method=asked.method,
        headers=dict(asked.headers),
        data=content,
    ).get_environ()
    try:
        body, status, headers = run_wsgi_app(site, environ)
    except SilenceError:
        raise requests.ReadTimeout(f"nothing from {site.name}") from None
    return int(status.split()[0]), dict(headers), io.BufferedReader(Drops(body))


class Drops(io.RawIOBase):
    """A body read as the server lets go of it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._rest = iter(chunks), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._chunks, b"")
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def isclosed(self) -> bool:
        """As urllib3 asks a real answer."""
        return self.closed
