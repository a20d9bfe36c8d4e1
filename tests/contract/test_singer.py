"""The Singer adapter with a tap of the tests' own: pages, STATE, deletions, failures, ends."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from adapters.singer.adapter import SingerAdapter
from adapters.singer.config import SingerConfig
from hub.errors import ConfigError, RetryableError
from hub.sdk import Page
from tests.story.processes import wait_until

TAP = [sys.executable, str(Path(__file__).with_name("fake_tap.py"))]


class Shop:
    """The tap's customers, and adapters for it."""

    def __init__(self, folder: Path) -> None:
        self.file, self.pids = folder / "people.jsonl", folder / "pids"
        self.opened: list[SingerAdapter] = []

    def has(self, *rows: dict[str, Any]) -> None:
        self.file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def adapter(self, *, each: int = 0, stream: Any = None, **fields: Any) -> SingerAdapter:
        of_tap = {name: fields.pop(name) for name in FIELDS if name in fields}
        config = {"file": str(self.file), "each": each, "pid_file": str(self.pids), **of_tap}
        told = {
            "command": TAP,
            "tap_config": config,
            "secrets": {"password": "geheim"},
            "streams": {"people": stream or {"tap_stream": "shop-people"}},
            "page_size": 100,
        }
        self.opened.append(SingerAdapter(SingerConfig.model_validate({**told, **fields})))
        return self.opened[-1]

    def living(self) -> list[int]:
        """Taps that run still."""
        pids = [int(line) for line in self.pids.read_text().split()]
        return [pid for pid in pids if runs(pid)]


FIELDS = ("fail_after", "hang_after", "print", "activate")


def runs(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    found = Shop(tmp_path)
    yield found
    for adapter in found.opened:
        adapter.close()
    if found.pids.exists():
        wait_until("taps end", lambda: not found.living())


def person(id_: int, **more: Any) -> dict[str, Any]:
    return {"id": id_, "name": f"客户 {id_} 🌟", "changed": f"2026-11-21T{id_:08}", **more}


def pages(adapter: SingerAdapter, cursor: str | None = None) -> list[Page]:
    stream = adapter.config.described()[0].stream
    return list(adapter.pull(stream, cursor))


def ids(found: list[Page]) -> list[str]:
    return [row["_id"] for page in found for row in page.records]


@pytest.mark.parametrize("each", [0, 1, 7, 100, 1000])
def test_every_row_comes_wherever_the_tap_tells_its_state(shop: Shop, each: int) -> None:
    shop.has(*(person(i) for i in range(1, 251)))
    found = pages(shop.adapter(each=each))
    assert ids(found) == [str(i) for i in range(1, 251)]
    assert len({page.cursor for page in found}) == len(found)
    assert all(len(page.records) <= 100 for page in found)
    again = pages(shop.adapter(each=each), found[-1].cursor)
    assert ids(again) == ["250"]


@pytest.mark.parametrize("each", [0, 7, 100])
def test_another_process_goes_on_from_every_page(shop: Shop, each: int) -> None:
    shop.has(*(person(i) for i in range(1, 251)))
    found = pages(shop.adapter(each=each))
    for done, page in enumerate(found, start=1):
        rest = pages(shop.adapter(each=each), page.cursor)
        assert {*ids(found[:done]), *ids(rest)} == {str(i) for i in range(1, 251)}


def test_a_tap_that_tells_its_state_at_the_end_reaches_it_from_slice_to_slice(shop: Shop) -> None:
    shop.has(*(person(i) for i in range(1, 1001)))
    adapter, cursor, came = shop.adapter(), None, []
    stream = adapter.config.described()[0].stream
    while True:
        slice_ = adapter.pull(stream, cursor)
        taken = [page for page, _ in zip(slice_, range(3), strict=False)]  # one more is lost
        slice_.close()  # type: ignore[attr-defined]
        kept = taken[:2] or taken
        if not kept:
            break
        came += ids(kept)
        cursor = kept[-1].cursor
        if "run" not in json.loads(cursor):
            break
    assert came == [str(i) for i in range(1, 1001)]
    assert len(shop.pids.read_text().split()) == 2  # one discovered, one ran


def test_two_readers_of_one_stream_do_not_disturb_each_other(shop: Shop) -> None:
    shop.has(*(person(i) for i in range(1, 1001)))
    adapter = shop.adapter()
    stream = adapter.config.described()[0].stream
    one, other = adapter.pull(stream, None), adapter.pull(stream, None)
    mine = [next(one), next(one)]
    assert ids(list(other)) == [str(i) for i in range(1, 1001)]
    assert ids([*mine, *one]) == [str(i) for i in range(1, 1001)]


def test_a_tap_nobody_comes_back_to_is_ended(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.singer.run.PARKED_S", 0.1)
    shop.has(*(person(i) for i in range(1, 5001)))
    adapter = shop.adapter()
    coming = adapter.pull(adapter.config.described()[0].stream, None)
    page = next(coming)
    coming.close()  # type: ignore[attr-defined]
    wait_until("it ends", lambda: not shop.living())
    assert ids(pages(adapter, page.cursor)) == [str(i) for i in range(1, 5001)]


def test_numbers_keep_their_digits_and_what_is_for_targets_is_left_out(shop: Shop) -> None:
    record = '{"id": 1, "sum": 12.50, "n": 99999999999999999999, "_sdc_sequence": 7}'
    shop.has()
    adapter = shop.adapter(print=f'{{"type": "RECORD", "stream": "people", "record": {record}}}')
    (row,) = pages(adapter)[0].records
    assert row == {"id": 1, "sum": "12.50", "n": "99999999999999999999", "_id": "1"}


def test_deleted_rows_and_composite_keys(shop: Shop) -> None:
    shop.has(person(1), person(2, _sdc_deleted_at="2026-11-21"), person(3, _sdc_deleted_at=None))
    (page,) = pages(shop.adapter(activate=True))
    assert (ids([page]), page.deleted) == (["1", "3"], ["2"])
    told = {"tap_stream": "people", "key": ["id", "name"]}
    (page,) = pages(shop.adapter(stream=told))
    assert page.deleted == ["2|客户 2 🌟"]


def test_nothing_new_is_no_page(shop: Shop) -> None:
    shop.has()
    cursor = pages(shop.adapter())[-1].cursor
    assert pages(shop.adapter(), cursor) == []


def test_a_failing_tap_loses_nothing_and_shows_no_secret(shop: Shop) -> None:
    shop.has(*(person(i) for i in range(1, 251)))
    stream = shop.adapter().config.described()[0].stream
    found: list[Page] = []
    with pytest.raises(RetryableError) as caught:
        found.extend(shop.adapter(each=50, fail_after=220).pull(stream, None))
    told = str(caught.value) + caught.value.hint
    assert "the vendor said" in told
    assert "geheim" not in told
    assert "abc123" not in told
    rest = pages(shop.adapter(each=50), found[-1].cursor)
    assert {*ids(found), *ids(rest)} == {str(i) for i in range(1, 251)}


def test_a_silent_tap_is_ended(shop: Shop) -> None:
    shop.has(person(1))
    with pytest.raises(RetryableError, match="said nothing"):
        pages(shop.adapter(hang_after=1, quiet_s=1))
    wait_until("it ends", lambda: not shop.living())


def test_a_tap_is_ended_with_its_adapter(shop: Shop) -> None:
    shop.has(*(person(i) for i in range(1, 5001)))
    adapter = shop.adapter()
    coming = adapter.pull(adapter.config.described()[0].stream, None)
    next(coming)
    assert len(shop.living()) == 1
    adapter.close()
    wait_until("it ends", lambda: not shop.living())


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"secrets": {"password": "wrong-secret"}}, RetryableError, "ended with 1"),
        ({"command": ["/nowhere/tap"]}, ConfigError, "cannot be started"),
        ({"command": ["/bin/true"]}, ConfigError, "catalog"),
        ({"stream": {"tap_stream": "nope"}}, ConfigError, 'no stream "nope"'),
    ],
)
def test_check_tells_what_is_wrong(
    shop: Shop, fields: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        shop.adapter(**fields).check()
    assert "wrong-secret" not in str(caught.value) + getattr(caught.value, "hint", "")


def test_what_a_tap_prints_besides_is_passed_over_but_half_a_message_is_not(shop: Shop) -> None:
    shop.has(person(1))
    assert ids(pages(shop.adapter(print="Welcome!"))) == ["1"]
    with pytest.raises(RetryableError, match="half"):
        pages(shop.adapter(print='{"type": "REC'))


def test_batches_are_refused(shop: Shop) -> None:
    shop.has(person(1))
    with pytest.raises(ConfigError, match="batches"):
        pages(shop.adapter(print='{"type": "BATCH", "stream": "people"}'))


def test_streams_are_discovered(shop: Shop) -> None:
    found = {one.stream: one for one in shop.adapter().discover()}
    assert found.keys() == {"people", "shop-others"}
    assert (found["people"].key, list(found["people"].fields)) == (
        "_id", ["id", "name", "changed", "sum"],
    )  # fmt: skip


def test_a_tap_gets_none_of_the_hubs_variables(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUB_SECRET_KEYS", "geheim")
    script = tmp_path / "tap.sh"
    script.write_text(
        f"#!/bin/sh\nenv > {tmp_path}/env\nls /tmp > /dev/null\necho '{{\"streams\": []}}'\n"
    )
    script.chmod(0o700)
    shop.adapter(command=[str(script)], environment={"MORE": "1"}, streams={}).check()
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert "MORE" in names
    assert not {name for name in names if name.startswith("HUB")}
