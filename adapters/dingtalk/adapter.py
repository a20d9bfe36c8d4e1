"""钉钉: colleagues, external contacts, approvals, to-dos; notices and messages; a line of our own.

Nothing in 钉钉 can be asked what changed since: streams are read whole, or in windows of when
things began, and events fill the time between. What is not configured is not read.

Source: https://open.dingtalk.com/document/orgapp/ (checked 2026-11); see also ``account``,
``messages`` and ``line``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from adapters.dingtalk import account, line, reading, writing
from adapters.dingtalk.config import DingtalkConfig
from hub.sdk import (
    Adapter,
    AuthError,
    Change,
    Emit,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    RetryableError,
    Stream,
    Survey,
    UnsupportedError,
    scan,
)

HOUR_S, DAY_S = 3600.0, 24 * 3600.0


class DingtalkAdapter(Adapter[DingtalkConfig]):
    """One app. What the line emits is read by ``DingtalkReceiver.parse``."""

    looks_up = True
    streams = (
        Stream("users", every_s=HOUR_S),
        Stream("extcontacts", every_s=HOUR_S),
        Stream("process_instances", writable=True, every_s=HOUR_S, whole=False),
        Stream("todos", writable=True, every_s=600, whole=False),
        Stream("notices", writable=True, every_s=DAY_S, whole=False),
        Stream("robot_messages", writable=True, every_s=DAY_S, whole=False, looks_up=False),
        Stream("group_messages", writable=True, every_s=DAY_S, whole=False),
    )

    def connect(self) -> Http:
        return account.newer(self.config, self.tokens)

    @cached_property
    def account(self) -> account.Account:
        return account.Account(self.http, self.old, self.config.page_size)

    @cached_property
    def old(self) -> Http:
        """The older API, where the address book and notices are."""
        return self.beside(account.older(self.config, self.tokens))

    @cached_property
    def gateway(self) -> Http:
        """Where lines are registered, without a token."""
        return self.beside(Http(self.config.api_url, raise_for_refusal=account.refused))

    @cached_property
    def group_robot(self) -> Http:
        return self.beside(account.group_robot(self.config))

    def check(self) -> None:
        if not self.config.app_secrets:  # whoever takes callbacks only has nothing to try
            return
        few = account.Account(self.http, self.old, 1)
        if probes := reading.readers(few, self.config, self.http.now):
            for read in probes.values():
                read(None, "")
        elif self.config.agent_id or self.config.todo_operator or self.config.robot_code:
            self.account.departments(reading.ROOT)
        else:  # it listens, if anything
            line.register(self.gateway, self.config)

    def reads(self, stream: Stream) -> bool:
        return stream.name in self._readers

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        if read := self._readers.get(stream.name):
            yield from scan(read, cursor, now=self.http.now, overlap_s=stream.overlap_s)

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        survey = reading.SURVEYS.get(stream.name)
        if survey is None or stream.name not in self._readers:
            raise UnsupportedError(f"钉钉 cannot list all {stream.name}")
        yield from survey(self.account, cursor)

    def fetch(self, ref: RecordRef) -> Raw | None:
        ask = self._fetchers.get(ref.stream)
        if ask is None:
            raise UnsupportedError(f"钉钉 gives no single {ref.stream}")
        try:
            return ask(ref.id)
        except RejectedError as exc:
            if not account.is_gone(exc):
                raise
            return None

    def takes(self, stream: Stream) -> bool:
        return writing.takes(self.config, stream.name)

    def push(self, stream: Stream, change: Change) -> Receipt:
        c = self.config
        if stream.name == "process_instances":
            return writing.begin_approval(self.account, c, change, self.http.now())
        if stream.name == "group_messages":
            return writing.send_into_group(self.group_robot, c, change)
        write = {
            "todos": writing.save_todo,
            "notices": writing.send_notice,
            "robot_messages": writing.send_by_robot,
        }[stream.name]
        return write(self.account, c, change)

    def listen(self, emit: Emit) -> None:
        url = line.register(self.gateway, self.config)
        try:
            with self.dial(url) as found:
                line.receive(found, emit)
        except AuthError as exc:  # the app was let in a moment ago, so that is the ticket
            raise RetryableError("the ticket of the line was not taken") from exc

    @cached_property
    def _readers(self) -> dict[str, reading.Reader]:
        return reading.readers(self.account, self.config, self.http.now)

    @property
    def _fetchers(self) -> dict[str, Callable[[str], Raw | None]]:
        found = self.account
        operator = self.config.todo_operator or next(iter(self.config.todo_owners), "")
        return {
            "users": found.user,
            "extcontacts": found.contact,
            "process_instances": found.approval,
            "todos": lambda id_: found.todo(operator, id_),
        }
