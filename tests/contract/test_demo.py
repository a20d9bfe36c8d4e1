"""The demo vendor keeps what other tests build on."""

from __future__ import annotations

import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapters.demo.account import Account
from adapters.demo.adapter import DemoAdapter, DemoConfig
from hub.errors import RetryableError, UnknownOutcomeError
from hub.sdk import Change, RecordRef

STREAMS = {stream.name: stream for stream in DemoAdapter.streams}
ROOT = Path(__file__).resolve().parents[2]


def adapter(**given: Any) -> DemoAdapter:
    return DemoAdapter(DemoConfig.model_validate({"account": uuid.uuid4().hex, **given}))


def change(key: str, id_: str | None = None, **values: Any) -> Change:
    return Change(id=id_, values=values or {"subject": "x"}, key=key, marker=f"m-{key}")


def test_writing_twice_writes_once_from_many_threads() -> None:
    demo = adapter()
    keys = [f"k{n % 20}" for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda k: demo.push(STREAMS["tickets"], change(k)).id, keys))
    assert len(set(ids)) == len(demo.account.effects()) == 20
    assert len({(key, id_) for key, id_ in zip(keys, ids, strict=True)}) == 20


def test_a_deleted_row_comes_as_deleted() -> None:
    demo = adapter(page_size=1)
    first = demo.account.put("tickets", {"subject": "a"})
    second = demo.account.put("tickets", {"subject": "b"})
    pages = list(demo.pull(STREAMS["tickets"], None))
    demo.account.remove("tickets", first["id"])
    rest = list(demo.pull(STREAMS["tickets"], pages[-1].cursor))
    assert [(list(page.records), list(page.deleted)) for page in rest] == [([], [first["id"]])]
    assert demo.fetch(RecordRef("tickets", first["id"])) is None
    assert demo.fetch(RecordRef("tickets", second["id"])) == second


def test_an_update_changes_what_it_names_and_moves_the_version() -> None:
    demo = adapter()
    row = demo.account.put("tickets", {"subject": "a", "status": "new"})
    receipt = demo.push(STREAMS["tickets"], change("k", row["id"], status="open"))
    assert receipt.raw is not None
    assert receipt.raw["subject"] == "a"
    assert receipt.raw["status"] == "open"
    assert receipt.raw["version"] > row["version"]


def test_planned_failures() -> None:
    demo = adapter()
    demo.account.plan("push", RetryableError("busy"))
    demo.account.plan("push", UnknownOutcomeError("lost"), after=True)
    with pytest.raises(RetryableError):
        demo.push(STREAMS["tickets"], change("k"))
    assert demo.account.effects() == []
    with pytest.raises(UnknownOutcomeError):
        demo.push(STREAMS["tickets"], change("k"))
    assert len(demo.account.effects()) == 1
    demo.push(STREAMS["tickets"], change("k"))
    assert len(demo.account.effects()) == 1


WRITER = """
import sys
from pathlib import Path
from adapters.demo.account import Account
from hub.sdk import Change
account = Account(Path(sys.argv[1]))
for n in range(40):
    account.write("tickets", Change(None, {"n": n}, key=f"k{n}"))
"""


def test_processes_share_the_file_and_write_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    command = [sys.executable, "-c", WRITER, str(path)]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    found = Account(path).effects()
    assert sorted(effect.key for effect in found) == sorted(f"k{n}" for n in range(40))
    assert len({effect.id for effect in found}) == 40
    assert [effect.seq for effect in found] == list(range(1, 41))


def test_half_a_line_of_a_killed_process_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    Account(path).put("tickets", {"id": "T1"})
    with path.open("ab") as file:
        file.write(b'{"seq": 2, "stream": "tick')
    account = Account(path)
    account.put("tickets", {"id": "T2"})
    assert [version for version, _, _ in Account(path).changes("tickets")] == [
        "000000000001",
        "000000000002",
    ]


def test_the_sample_is_filled_in_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for _ in range(2):
        demo = adapter(sample=3, ledger_path=path)
        assert len(demo.account.changes("customers")) == 3
    assert len(path.read_text().splitlines()) == 12
