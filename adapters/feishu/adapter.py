"""飞书 and Lark: colleagues, a table of a base, approvals; messages and cards.

Of all of these only a table can be asked what changed since, and by whole days; the others are
read whole, or in windows of when things began, and events fill the time between. What is not
configured is not read.

Source: https://open.feishu.cn/document/server-docs/ (checked 2026-11); see also ``account``,
``messages`` and ``webhook``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial

from adapters.feishu import account, reading, writing
from adapters.feishu.config import FeishuConfig
from hub.sdk import (
    Adapter,
    Change,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Stream,
    Survey,
    UnsupportedError,
    scan,
)

HOUR_S, DAY_S = 3600.0, 24 * 3600.0


class FeishuAdapter(Adapter[FeishuConfig]):
    """One app in one tenant."""

    looks_up = True
    streams = (
        Stream("users", every_s=HOUR_S),
        Stream("records", writable=True, every_s=300),
        Stream("instances", writable=True, every_s=HOUR_S, whole=False),
        Stream("messages", writable=True, every_s=DAY_S, whole=False),
        Stream("group_messages", writable=True, every_s=DAY_S, whole=False, looks_up=False),
    )

    def connect(self) -> Http:
        return account.client(self.config, self.tokens)

    @cached_property
    def account(self) -> account.Account:
        return account.Account(self.http, self.config)

    @cached_property
    def group_bot(self) -> Http:
        return self.beside(account.group_bot(self.config))

    def check(self) -> None:
        if (
            not self.config.app_secret.get_secret_value()
        ):  # whoever takes events only has nothing to try
            return
        few = self.config.model_copy(update={"page_size": 1, "bitable_page_size": 1})
        probed = account.Account(self.http, few)
        for read in reading.readers(probed, self.http.now).values():
            read(None, "")
        self.http.get("/contact/v3/scopes", params={"page_size": 1})

    def reads(self, stream: Stream) -> bool:
        return stream.name in self._readers

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        if read := self._readers.get(stream.name):
            yield from scan(read, cursor, now=self.http.now, overlap_s=stream.overlap_s)

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        survey = reading.SURVEYS.get(stream.name)
        if survey is None or stream.name not in self._readers:
            raise UnsupportedError(f"飞书 cannot list all {stream.name}")
        yield from survey(self.account, cursor)

    def find(self, stream: Stream, values: Raw) -> Sequence[Raw]:
        return writing.find_records(self.account, values) if stream.name == "records" else ()

    def fetch(self, ref: RecordRef) -> Raw | None:
        fetchers: dict[str, Callable[[str], Raw | None]] = {
            "users": self.account.user,
            "records": self.account.record,
            "instances": partial(reading.approval, self.account),
        }
        if ref.stream not in fetchers:
            raise UnsupportedError(f"飞书 gives no single {ref.stream}")
        try:
            return fetchers[ref.stream](ref.id)
        except RejectedError as exc:
            if not account.is_gone(exc):
                raise
            return None

    def takes(self, stream: Stream) -> bool:
        return writing.takes(self.config, stream.name)

    def push(self, stream: Stream, change: Change) -> Receipt:
        if stream.name == "group_messages":
            return writing.send_into_group(self.group_bot, self.account, change)
        write = {
            "records": writing.save_record,
            "instances": writing.begin_approval,
            "messages": writing.send,
        }[stream.name]
        return write(self.account, change)

    @cached_property
    def _readers(self) -> dict[str, reading.Reader]:
        return reading.readers(self.account, self.http.now)
