"""Files: each version of each file is read once, from row to row, and rows are written out.

A cursor names the files that were read, in the versions they had, and the row at which the one
under way stands. A file that changes is another version and read anew; rows that are as before cost
nothing downstream. Files of one stream are read in the order of their changes, so that of two rows
with one key the newer file's stays.

Source: https://docs.paramiko.org/, https://openpyxl.readthedocs.io/ (checked 2026-11)
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from adapters.file.config import SUFFIXES, FileConfig, Files, format_of
from adapters.file.places import Entry, Folder, Place, matching
from adapters.file.s3 import Bucket, Signature
from adapters.file.sftp import Sftp
from adapters.file.tables import rows
from adapters.file.writing import push
from hub.sdk import (
    Adapter,
    Change,
    ConfigError,
    Found,
    Http,
    Page,
    Raw,
    Receipt,
    RetryableError,
    Sighting,
    Stream,
    Survey,
)

SURVEYED = 10
"""Pages of rows that fit on one page of a survey."""


class FileAdapter(Adapter[FileConfig]):
    """Files of one place."""

    looks_up = True

    def connect(self) -> Http:
        c, url = self.config, urlsplit(self.config.bucket)
        access, secret = (k.get_secret_value() if k else "" for k in (c.access_key, c.secret_key))
        sign = Signature(access, secret, c.s3_region)
        return Http(f"{url.scheme}://{url.netloc}", sign=sign if access else None)

    @cached_property
    def place(self) -> Place:
        if self.config.folder:
            return Folder(self.config.folder)
        return Sftp(self.config) if self.config.sftp else Bucket(self.config, self.http)

    def check(self) -> None:
        """Look for the files of every stream, and read a row of the newest."""
        if not self.config.streams:
            self.place.entries("")
        for told in self.config.streams.values():
            for entry in matching(self.place, told.pattern)[-1:]:
                row = self._first(told, entry)
                if "_error" in row:
                    raise ConfigError(
                        f"{entry.name} cannot be read",
                        hint=f"{row['_error'][:300]}: mend it, or what the stream says of it.",
                    )

    def discover(self) -> Iterator[Found]:
        """The streams told of, then whatever else lies in the place itself."""
        known = set()
        for name, told in self.config.streams.items():
            files = matching(self.place, told.pattern)
            known |= {entry.name for entry in files}
            yield Found(name, self._first(told, files[-1]) if files else {}, "_id")
        for entry in self.place.entries(""):
            path = PurePosixPath(entry.name)
            if entry.name not in known and path.suffix.lower() in SUFFIXES:
                told = Files(pattern=path.name, key="?").model_copy(update={"key": ()})
                yield Found(path.stem, self._first(told, entry))

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        told, size = self.config.streams[stream.name], self.config.page_size
        before = json.loads(cursor) if cursor else {}
        files = matching(self.place, told.pattern)
        present = {entry.mark for entry in files}
        done = [mark for mark in before.get("done", ()) if mark in present]
        for entry in self._whole(told, files):
            if entry.mark in done:
                continue
            at = before.get("row", 0) if before.get("file") == entry.mark else 0
            with self._rows(told, entry) as found:
                for batch in _batches(islice(found, at, None), size):
                    at += len(batch)
                    yield Page(batch, json.dumps({"done": done, "file": entry.mark, "row": at}))
            done = [*done, entry.mark]
            yield Page([], json.dumps({"done": done}))

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        """What the newest file holds; nothing is told of one of which a row cannot be read."""
        told, size = self.config.streams[stream.name], self.config.page_size * SURVEYED
        newest = self._whole(told, matching(self.place, told.pattern))
        if not newest:
            raise RetryableError(f"there is no file {told.pattern}, so nobody knows what exists")
        mark, row = json.loads(cursor) if cursor else ("", 0)
        at = row if mark == newest[0].mark else 0
        with self._rows(told, newest[0]) as found:
            for batch in _batches(islice(found, at, None), size):
                if bad := next((one for one in batch if "_error" in one), None):
                    raise ConfigError(
                        f"row {bad['_row']} of {bad['_file']} cannot be read, so that nobody can "
                        "tell what was deleted",
                        hint="Have the file written anew.",
                    )
                at += len(batch)
                seen = [Sighting(one["_id"]) for one in batch]
                yield Survey(seen, json.dumps([newest[0].mark, at]))
        yield Survey([], None)

    def push(self, stream: Stream, change: Change) -> Receipt:
        told = self.config.streams[stream.name]
        return push(self.place, stream.name, told, change, datetime.now(UTC))

    def _whole(self, told: Files, files: Sequence[Entry]) -> Sequence[Entry]:
        """Files that nobody writes any more; of those that hold everything, the newest alone."""
        settled_at = time.time() - self.config.settle_s
        found = [e for e in files if e.settled or e.changed_at <= settled_at]
        return found[-1:] if told.whole else found

    def _first(self, told: Files, entry: Entry) -> Raw:
        with self._rows(told, entry) as found:
            return next(found, {})

    @contextmanager
    def _rows(self, told: Files, entry: Entry) -> Iterator[Iterator[Raw]]:
        size_mb = entry.size_bytes / 1024 / 1024
        if size_mb > self.config.size_max_mb:
            said = f"{size_mb:.0f} MB are more than size_max_mb"
            yield iter([{"_error": said, "_file": entry.name, "_row": 0}])
            return
        with (
            self.place.opened(entry) as file,
            closing(rows(file, format_of(entry.name, told.format), told, entry.name)) as found,
        ):
            yield found


def _batches(found: Iterator[Raw], size: int) -> Iterator[list[Raw]]:
    while batch := list(islice(found, size)):
        yield batch
