"""企业微信: customers and their remarks, members, 微信客服 conversations; messages to both.

A row of ``contacts`` is one member's connection with one customer (``member/customer``), as
``externalcontact/batch/get_by_user`` gives it, with the names of its tags. A row of ``messages`` is
an item of ``kf/sync_msg`` with what is known of its customer. What this app sends is told by
nobody, so that its receipts make the rows.

Source: https://developer.work.weixin.qq.com/document/path/92994, 94670, 90236 (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from adapters.wecom import reading, writing
from adapters.wecom.config import WecomAppConfig
from adapters.wecom.corp import ANSWERS, PATHS, Corp
from adapters.wecom.sidebar import Tickets
from hub.sdk import (
    Adapter,
    AuthError,
    Change,
    ConfigError,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Sighting,
    Stream,
    Survey,
    UnsupportedError,
)
from hub.sdk.auth import TokenAuth, Tokens


class WecomAdapter(Adapter[WecomAppConfig]):
    """One self-built app of one corp. Without its secret nothing is asked, only received."""

    streams = (
        Stream("contacts", writable=True, every_s=6 * 3600.0),
        Stream("agents", every_s=3600.0),
        Stream("messages", writable=True, every_s=600.0, whole=False, looks_up=False),
        Stream("app_messages", writable=True, every_s=86400.0, whole=False),
        Stream("card_clicks", every_s=86400.0, whole=False),
    )

    def connect(self) -> Http:
        auth = TokenAuth(
            self.tokens,
            self._token,
            carry=lambda tokens: {"params": {"access_token": tokens.access}},
            raise_for_body=ANSWERS,
        )
        return Http(f"{self.config.api_url}/cgi-bin", auth=auth, raise_for_body=ANSWERS)

    def _token(self, http: Http, _: Tokens | None) -> Tokens:
        asked = {"corpid": self.corp_id, "corpsecret": self.config.secret.get_secret_value()}
        told = http.get(f"{self.config.api_url}/cgi-bin{PATHS['token']}", params=asked)
        return Tokens.lasting(told["access_token"], told["expires_in"])

    @property
    def corp_id(self) -> str:
        return self.config.receive_ids[0]

    @cached_property
    def corp(self) -> Corp:
        return Corp(self.http)

    @cached_property
    def tickets(self) -> Tickets:
        """For the page in the sidebar of a chat."""
        return Tickets(self.corp)

    def check(self) -> None:
        if not self.config.may_ask:
            return  # who takes callbacks only has nothing to try
        trials: dict[str, Callable[[], object]] = {
            "contacts": self.corp.followers,
            "agents": lambda: self.corp.members(self.config.department),
            "messages": self.corp.kf_accounts,
        }
        for part in self.config.reads:
            try:
                trials[part]()
            except RejectedError as exc:
                raise AuthError(f"the app may not read {part}: {exc}", hint=exc.hint) from exc
        if not self.config.reads:
            self.tickets.get("config")

    def reads(self, stream: Stream) -> bool:
        return self._is_read(stream.name)

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        if not self._is_read(stream.name):
            return
        if stream.name == "contacts":
            yield from reading.contacts(self.corp, cursor, self.config.page_size)
        elif stream.name == "agents":
            yield Page(self.corp.members(self.config.department), "{}")
        else:
            accounts = self.config.open_kfids or self.corp.kf_accounts()
            yield from reading.messages(
                self.corp, accounts, cursor, self.heard.get(stream.name, "")
            )

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        if not self._is_read(stream.name) or stream.name == "messages":
            raise UnsupportedError(f"{stream.name} cannot be listed")
        if stream.name == "contacts":
            yield from reading.contact_ids(self.corp, cursor)
        else:
            members = self.corp.members(self.config.department)
            yield Survey([Sighting(member["userid"]) for member in members], None)

    def fetch(self, ref: RecordRef) -> Raw | None:
        if ref.stream == "contacts":
            return self.corp.relation(ref.id)
        if ref.stream == "agents":
            return self.corp.member(ref.id)
        raise UnsupportedError(f"WeCom shows no single record of {ref.stream}")

    def push(self, stream: Stream, change: Change) -> Receipt:
        if stream.name == "contacts":
            return writing.note(self.corp, change)
        if stream.name == "messages":
            return writing.answer(self.corp, change, next(iter(self.config.open_kfids), ""))
        if self.config.agent_id is None:
            raise ConfigError("messages to members are sent by an app", hint="Set agent_id.")
        if "response_code" in change.values:
            return writing.update_card(self.corp, change, self.config.agent_id)
        return writing.tell(self.corp, change, self.config.agent_id, self.config.repeat_s)

    def _is_read(self, stream: str) -> bool:
        return self.config.may_ask and stream in self.config.reads
