"""Any Singer tap: its streams as ours, its STATE as our cursor.

A row is the tap's record, numbers with a point as text, with ``_id`` added: its key properties as
one text. For every pull of a stream the tap is run with that stream alone.

Source: https://github.com/singer-io/getting-started/blob/master/docs/SPEC.md (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from adapters.singer.catalog import entry_of, keys_of, name_of, replication_key_of, selected
from adapters.singer.config import SingerConfig, Tapped
from adapters.singer.run import Run
from adapters.singer.tap import Tap, discovered
from hub.sdk import Adapter, ConfigError, Found, Page, Stream

KEPT = 2
"""Runs of a stream that wait for somebody to go on."""


class SingerAdapter(Adapter[SingerConfig]):
    """One tap with one config."""

    def __init__(self, config: SingerConfig) -> None:
        super().__init__(config)
        self._runs: dict[str, list[Run]] = {}

    @cached_property
    def catalog(self) -> dict[str, Any]:
        return discovered(self.config)

    def check(self) -> None:
        """Have the tap tell its streams, which most taps do only when they are let in."""
        catalog = discovered(self.config)
        for name, told in self.config.streams.items():
            entry = entry_of(catalog, told.tap_stream or name)
            if not told.key and not keys_of(entry):
                raise ConfigError(
                    f"the tap does not say what names a row of {name}", hint="Name it: key."
                )

    def discover(self) -> Iterator[Found]:
        """The streams told of, under their names, and the tap's others."""
        known = {told.tap_stream or name: name for name, told in self.config.streams.items()}
        for entry in discovered(self.config)["streams"]:
            name = known.get(name_of(entry)) or known.get(entry.get("stream")) or name_of(entry)
            fields = dict.fromkeys((entry.get("schema") or {}).get("properties") or {}, "")
            keys = self.config.streams.get(name, Tapped()).key or keys_of(entry)
            yield Found(name, fields, "_id" if keys else "", replication_key_of(entry))

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        runs = self._runs.setdefault(stream.name, [])
        for run in runs:  # a pull and a reconciliation may read the same stream
            if (pages := run.after(cursor)) is not None:
                yield from pages
                return
        for old in [run for run in runs if not run.is_busy][:-KEPT]:
            runs.remove(old)
            old.close()
        runs.append(self._begun(stream.name, cursor))
        yield from runs[-1].pages()

    def _begun(self, name: str, cursor: str | None) -> Run:
        told = self.config.streams[name]
        state = json.loads(cursor)["state"] if cursor else None
        called = told.tap_stream or name
        entry = entry_of(self.catalog, called)
        options = {self.config.catalog_option: selected(self.catalog, called, told)}
        if state is not None:
            options["--state"] = state
        names = [one for one in (entry.get("tap_stream_id"), entry.get("stream")) if one]
        tap = Tap(self.config, options)
        return Run(tap, names, told.key or keys_of(entry), state, self.config.page_size)

    def close(self) -> None:
        for run in [run for runs in self._runs.values() for run in runs]:
            run.close()
        self._runs.clear()
        super().close()
