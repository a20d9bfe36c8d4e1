"""The file adapter: each version of each file once, in folders."""

from __future__ import annotations

import io
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from adapters.file.adapter import FileAdapter
from adapters.file.config import FileConfig
from hub.errors import ConfigError, RejectedError, RetryableError
from hub.sdk import Change, Page, Stream

OLD = time.time() - 3600
CUSTOMERS = {"pattern": "customers*.csv", "key": "code"}


def put(folder: Path, name: str, body: str | bytes, *, at: float = OLD) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    os.utime(path, (at, at))
    return path


def folder_of(root: Path, stream: dict[str, Any] | None = None, **fields: Any) -> FileAdapter:
    told = {"folder": str(root), "streams": {"it": stream or CUSTOMERS}, **fields}
    return FileAdapter(FileConfig.model_validate(told))


def stream_of(adapter: FileAdapter) -> Stream:
    return adapter.config.described()[0].stream


def pages(adapter: FileAdapter, cursor: str | None = None) -> list[Page]:
    return list(adapter.pull(stream_of(adapter), cursor))


def pulled(adapter: FileAdapter, cursor: str | None = None) -> tuple[list[Any], str | None]:
    found = pages(adapter, cursor)
    return [r for page in found for r in page.records], found[-1].cursor if found else cursor


def test_each_version_of_each_file_is_read_once(tmp_path: Path) -> None:
    put(tmp_path, "customers-1.csv", "code,name\nA,张三 🌟\nB,b\n")
    put(tmp_path, "customers-2.csv", "code,name\nC,c\n", at=OLD + 1)
    put(tmp_path, "other.csv", "code,name\nX,x\n")
    adapter = folder_of(tmp_path)
    rows, cursor = pulled(adapter)
    assert rows == [
        {"code": "A", "name": "张三 🌟", "_id": "A"},
        {"code": "B", "name": "b", "_id": "B"},
        {"code": "C", "name": "c", "_id": "C"},
    ]
    assert pages(adapter, cursor) == []
    put(tmp_path, "customers-1.csv", "code,name\nA,neu\n", at=OLD + 2)
    rows, cursor = pulled(adapter, cursor)
    assert [row["name"] for row in rows] == ["neu"]
    (tmp_path / "customers-2.csv").unlink()
    assert pages(adapter, cursor) == []


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_a_pull_goes_on_at_the_row_where_it_was_killed(tmp_path: Path, size: int) -> None:
    put(tmp_path, "customers-1.csv", "code\n" + "".join(f"{i}\n" for i in range(7)))
    put(tmp_path, "customers-2.csv", "code\n" + "".join(f"{i}\n" for i in range(7, 10)), at=OLD + 1)
    adapter = folder_of(tmp_path, page_size=size)
    found = pages(adapter)
    assert len({page.cursor for page in found}) == len(found)
    for done, page in enumerate(found, start=1):
        rest, _ = pulled(adapter, page.cursor)
        came = [r["_id"] for p in found[:done] for r in p.records] + [r["_id"] for r in rest]
        assert came == [str(i) for i in range(10)]


def test_a_file_that_changed_while_it_was_read_is_read_anew(tmp_path: Path) -> None:
    put(tmp_path, "customers.csv", "code,name\nA,1\nB,1\nC,1\n")
    adapter = folder_of(tmp_path, page_size=1)
    first = pages(adapter)[0]
    put(tmp_path, "customers.csv", "code,name\nA,2\nB,2\n", at=OLD + 5)
    rows, _ = pulled(adapter, first.cursor)
    assert [(r["_id"], r["name"]) for r in rows] == [("A", "2"), ("B", "2")]


def test_what_is_not_written_to_its_end_is_left_alone(tmp_path: Path) -> None:
    for name in (".customers.csv", "customers.csv.part", "~$customers.csv", "customers.csv.tmp"):
        put(tmp_path, name, "code\nX\n")
    put(tmp_path, "customers-young.csv", "code\nY\n", at=time.time())
    assert (
        pages(folder_of(tmp_path, {"pattern": "*customers*", "key": "code", "format": "csv"})) == []
    )
    assert pulled(folder_of(tmp_path, settle_s=0))[0] == [{"code": "Y", "_id": "Y"}]


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    secret = put(tmp_path, "elsewhere/secret.csv", "code\nX\n")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "customers.csv").symlink_to(secret)
    assert pages(folder_of(inside)) == []


@pytest.mark.parametrize(
    "body",
    [
        '编号;姓名;备注\nA;张三;"一;二\n三"\n'.encode("gb18030"),
        '编号\t姓名\t备注\nA\t张三\t"一;二\n三"\n'.encode("utf-16"),
        '\ufeff编号,姓名,备注\r\nA,张三,"一;二\n三"\r\n'.encode(),
        '编号|姓名|备注\nA|张三|"一;二\n三"\n'.encode(),
    ],
)
def test_encodings_and_delimiters_are_recognised(tmp_path: Path, body: bytes) -> None:
    put(tmp_path, "customers.csv", body)
    (row,) = pulled(folder_of(tmp_path, {**CUSTOMERS, "key": "编号"}))[0]
    assert row == {"编号": "A", "姓名": "张三", "备注": row["备注"], "_id": "A"}
    assert row["备注"].replace("\r", "") in ("一;二\n三", "")


def test_bad_rows_are_given_without_a_key_and_the_others_as_they_are(tmp_path: Path) -> None:
    lines = ["code,name", "A,张三", "B", "C,c,d", 'D,"d"x', ",e", "", "F,李四的客户名称", 'G,"open']
    broken = "\n".join(lines).encode().replace("张三".encode(), "张三".encode() + b"\xff")
    put(tmp_path, "customers.csv", broken)
    rows, _ = pulled(folder_of(tmp_path))
    assert [row["_id"] for row in rows if "_id" in row] == ["F"]
    bad = {row["_row"]: row for row in rows if "_error" in row}
    assert bad.keys() >= {2, 3, 4, 6}
    assert all("code" not in row and row["_file"] == "customers.csv" for row in bad.values())


def test_a_file_of_another_sort_is_one_bad_row(tmp_path: Path) -> None:
    put(tmp_path, "customers-1.csv", "nummer,name\nA,a\n")
    put(tmp_path, "customers-2.csv", "code,name\nB,b\n", at=OLD + 1)
    put(tmp_path, "customers-3.csv", "", at=OLD + 2)
    rows, cursor = pulled(folder_of(tmp_path))
    assert [row.get("_id") for row in rows] == [None, "B", None]
    assert "nummer" in rows[0]["_error"]
    assert pages(folder_of(tmp_path), cursor) == []


def test_a_file_that_is_too_large_is_one_bad_row(tmp_path: Path) -> None:
    put(tmp_path, "customers.csv", "code\n" + "A" * 5000)
    (row,) = pulled(folder_of(tmp_path, size_max_mb=0.001))[0]
    assert "size_max_mb" in row["_error"]


def book(*lines: list[Any], title: str = "客户") -> bytes:
    made = openpyxl.Workbook()
    made.active.title = "first"
    sheet = made.create_sheet(title)
    for line in lines:
        sheet.append(line)
    body = io.BytesIO()
    made.save(body)
    return body.getvalue()


def test_a_sheet_of_a_workbook(tmp_path: Path) -> None:
    lines = [
        ["Report"],
        ["code", "name", "on", "sum"],
        [1001, "张三 🌟", datetime(2026, 11, 21), 0.5],  # noqa: DTZ001
        [1002, None, None, None],
        [None, None],
        [None, "no key"],
    ]
    put(tmp_path, "book.xlsx", book(*lines))
    told = {"pattern": "*.xlsx", "key": "code", "sheet": "客户", "header": 2}
    rows, _ = pulled(folder_of(tmp_path, told))
    assert rows[0] == {
        "code": 1001, "name": "张三 🌟", "on": "2026-11-21T00:00:00", "sum": 0.5, "_id": "1001"
    }  # fmt: skip
    assert rows[1]["_id"] == "1002"
    assert rows[2]["_row"] == 6
    (row,) = pulled(folder_of(tmp_path, {**told, "sheet": "nope"}))[0]
    assert "no sheet nope" in row["_error"]
    put(tmp_path, "book.xlsx", b"not a zip")
    assert "cannot be read" in pulled(folder_of(tmp_path, told))[0][0]["_error"]


def test_lines_of_json(tmp_path: Path) -> None:
    lines = [
        '{"id": 18446744073709551616, "sum": 0.10, "more": {"a": [1.50]}}',
        "nonsense",
        "[1]",
        "",
    ]
    put(tmp_path, "it.jsonl", "\ufeff" + "\n".join(lines))
    rows, _ = pulled(folder_of(tmp_path, {"pattern": "*.jsonl", "key": "id"}))
    assert rows[0] == {
        "id": "18446744073709551616", "sum": "0.10", "more": {"a": ["1.50"]},
        "_id": "18446744073709551616",
    }  # fmt: skip
    assert [row["_row"] for row in rows[1:]] == [2, 3]


def test_no_header_and_composite_keys(tmp_path: Path) -> None:
    put(tmp_path, "lines.csv", "A,1,x\nA,2,y\n")
    told = {
        "pattern": "lines.csv",
        "key": ["no", "pos"],
        "header": 0,
        "columns": ["no", "pos", "t"],
    }
    assert [row["_id"] for row in pulled(folder_of(tmp_path, told))[0]] == ["A|1", "A|2"]


# Whole files


def test_of_whole_files_the_newest_counts(tmp_path: Path) -> None:
    put(tmp_path, "customers-1.csv", "code\nA\nB\n")
    put(tmp_path, "customers-2.csv", "code\nB\nC\n", at=OLD + 1)
    adapter = folder_of(tmp_path, {**CUSTOMERS, "whole": True}, page_size=1)
    rows, cursor = pulled(adapter)
    assert [row["_id"] for row in rows] == ["B", "C"]
    assert seen(adapter) == ["B", "C"]
    put(tmp_path, "customers-3.csv", "code\nC\n", at=OLD + 2)
    assert [row["_id"] for row in pulled(adapter, cursor)[0]] == ["C"]
    assert seen(adapter) == ["C"]


def seen(adapter: FileAdapter) -> list[str]:
    found = list(adapter.survey(stream_of(adapter), None))
    for page in found[:-1]:
        rest = list(adapter.survey(stream_of(adapter), page.cursor))
        assert rest[-1].cursor is None
    return [one.id for page in found for one in page.sightings]


def test_nobody_tells_what_was_deleted_by_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    adapter = folder_of(tmp_path, {**CUSTOMERS, "whole": True})
    with pytest.raises(RetryableError):
        seen(adapter)
    put(tmp_path, "customers.csv", "code,name\nA,a\nB\n")
    with pytest.raises(ConfigError, match="row 3"):
        seen(adapter)


def test_streams_that_are_not_whole_tell_nothing_of_deletions(tmp_path: Path) -> None:
    (told,) = folder_of(tmp_path).config.described()
    assert not told.stream.whole
    assert "survey" in told.without


# Set up


def test_check_reads_the_newest_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        folder_of(tmp_path / "nowhere").check()
    folder_of(tmp_path).check()
    put(tmp_path, "customers.csv", "nummer\nA\n")
    with pytest.raises(ConfigError) as caught:
        folder_of(tmp_path).check()
    assert "nummer" in caught.value.hint


def test_what_lies_there_is_discovered(tmp_path: Path) -> None:
    put(tmp_path, "customers.csv", "code,name\nA,a\n")
    put(tmp_path, "orders.csv", "no,total\n1,2\n")
    put(tmp_path, "readme.md", "x")
    known, other = folder_of(tmp_path).discover()
    assert (known.stream, known.key, known.fields["name"]) == ("it", "_id", "a")
    assert (other.stream, dict(other.fields)) == ("orders", {"no": "1", "total": "2"})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"folder": None}, "one of"),
        ({"sftp": "sftp://hub:secret@h/x", "folder": None}, "pattern"),
        ({"stream": {"pattern": "../x.csv", "key": "a"}}, "relative"),
        ({"stream": {"pattern": "/etc/x.csv", "key": "a"}}, "relative"),
        ({"stream": {"pattern": "*/x.csv", "key": "a"}}, "only the name"),
        ({"stream": {"pattern": "x.dat", "key": "a"}}, "format"),
        ({"stream": {"pattern": "x.csv", "key": "a", "encoding": "klingon"}}, "no encoding"),
        ({"stream": {"pattern": "x.csv", "key": "a", "write": "o.csv", "columns": "a"}}, "{key}"),
        ({"stream": {"pattern": "x.csv", "key": "a", "write": "{key}.csv"}}, "columns"),
    ],
)
def test_a_config_that_cannot_work_is_refused(
    tmp_path: Path, fields: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        folder_of(tmp_path, **fields)
    assert "secret" not in str(caught.value)


# Writing


ONE = Change(None, {"name": "=1+1 张三"}, key="k/1", marker="hub-1")
TWO = Change("B|2", {"name": "b"}, key="k/2")


def writing(root: Path, write: str, key: Any = "code") -> FileAdapter:
    told = {"pattern": "in/*.csv", "key": key, "columns": ["code", "name"], "write": write}
    return folder_of(root, told)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "xlsx"])
@pytest.mark.parametrize("template", ["out/{date}-{stream}", "out/{date}-{key}", "out/{key}"])
def test_a_key_is_written_once(tmp_path: Path, suffix: str, template: str) -> None:
    adapter = writing(tmp_path, f"{template}.{suffix}")
    for change in (ONE, TWO, ONE, TWO):
        adapter.push(stream_of(adapter), change)
    told = {"pattern": f"out/*.{suffix}", "key": "code"}
    rows, _ = pulled(folder_of(tmp_path, told, settle_s=0))
    found = [(row["code"], row["name"]) for row in rows]
    assert sorted(found) == [("B|2", "b"), ("hub-1", "=1+1 张三")]
    assert not list(tmp_path.rglob("*.part"))


def test_receipts_name_the_row(tmp_path: Path) -> None:
    adapter = writing(tmp_path, "out/{key}.csv")
    stream = stream_of(adapter)
    assert adapter.push(stream, ONE).id == "hub-1"
    assert adapter.push(stream, TWO).id == "B|2"
    assert adapter.push(stream, Change(None, {"code": "C", "name": "c"}, key="k3")).id == "C"
    with pytest.raises(RejectedError, match="no column"):
        adapter.push(stream, Change(None, {"code": "C", "no": "c"}, key="k4"))
    pair = writing(tmp_path, "out/{key}.csv", ["code", "pos"])
    pair.push(stream_of(pair), TWO)
    with pytest.raises(RejectedError, match="no key"):
        pair.push(stream_of(pair), ONE)


@pytest.mark.parametrize("write", ["out/{key}.csv", "out/{date}.csv", "out/{key}.xlsx"])
def test_a_character_the_file_cannot_hold_is_refused(tmp_path: Path, write: str) -> None:
    told = {"pattern": "in/*.csv", "key": "code", "columns": ["code", "name"], "write": write}
    adapter = folder_of(tmp_path, {**told, "encoding": "gb2312"})
    with pytest.raises(RejectedError, match="character"):
        adapter.push(stream_of(adapter), Change("A", {"name": "🌟\x01"}, key="k"))


def test_what_somebody_else_wrote_is_not_written_over(tmp_path: Path) -> None:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    put(tmp_path, f"out/{today}.csv", "something,else\n1,2\n")
    adapter = writing(tmp_path, "out/{date}.csv")
    with pytest.raises(RejectedError, match="not written by the hub"):
        adapter.push(stream_of(adapter), ONE)
