"""The adapter against a real SFTP server and a store that speaks S3 (moto's)."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import paramiko
import pytest
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

from adapters.file.adapter import FileAdapter
from adapters.file.config import FileConfig
from adapters.file.s3 import Bucket, Signature
from hub.errors import AuthError, ConfigError, RetryableError
from tests.contract.test_file import CUSTOMERS, OLD, ONE, pages, pulled, put, stream_of
from tests.systems.sftp_server import PASSWORD, USER, Server, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    root = tmp_path / "sftp"
    (root / "out").mkdir(parents=True)
    with serving(root) as found:
        yield found


def fingerprint(key: paramiko.PKey) -> str:
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode()
    return "SHA256:" + digest.rstrip("=")


def sftp_of(server: Server, stream: dict[str, Any] | None = None, **fields: Any) -> FileAdapter:
    told = {
        "sftp": f"sftp://{USER}@127.0.0.1:{server.port}/",
        "password": PASSWORD,
        "host_key": fingerprint(server.key),
        "allow_networks": ["127.0.0.0/8"],
        "streams": {"it": stream or CUSTOMERS},
    }
    return FileAdapter(FileConfig.model_validate({**told, **fields}))


def test_files_of_an_sftp_server(server: Server) -> None:
    put(server.root, "customers.csv", "code,name\nA,张三\n")
    put(server.root, "customers.csv.part", "code,name\nX,x\n")
    adapter = sftp_of(server)
    adapter.check()
    rows, cursor = pulled(adapter)
    assert rows == [{"code": "A", "name": "张三", "_id": "A"}]
    assert pages(adapter, cursor) == []
    put(server.root, "customers.csv", "code,name\nA,李四\n", at=OLD + 5)
    assert [row["name"] for row in pulled(adapter, cursor)[0]] == ["李四"]


def test_rows_are_written_to_an_sftp_server(server: Server) -> None:
    told = {**CUSTOMERS, "columns": ["code", "name"], "write": "out/{key}.csv"}
    adapter = sftp_of(server, told)
    for _ in range(2):
        adapter.push(stream_of(adapter), ONE)
    assert [path.name for path in (server.root / "out").iterdir()] == ["k-1.csv"]
    assert (server.root / "out" / "k-1.csv").read_text(
        "utf-8-sig"
    ) == "code,name\nhub-1,=1+1 张三\n"


def test_who_shows_another_key_is_told_nothing(server: Server) -> None:
    for told in ("", "SHA256:" + "A" * 43, "ssh-ed25519 AAAA"):
        with pytest.raises(ConfigError) as caught:
            sftp_of(server, host_key=told).check()
        assert fingerprint(server.key) in caught.value.hint
    sftp_of(server, host_key=f"{server.key.get_name()} {server.key.get_base64()}").check()


def test_accounts_of_an_sftp_server(server: Server) -> None:
    with pytest.raises(AuthError) as caught:
        sftp_of(server, password="wrong").check()
    assert "wrong" not in str(caught.value) + caught.value.hint
    key = paramiko.ECDSAKey.generate()
    text = io.StringIO()
    key.write_private_key(text)
    with pytest.raises(AuthError):
        sftp_of(server, password=None, private_key=text.getvalue()).check()
    server.known.append(key)
    sftp_of(server, password=None, private_key=text.getvalue()).check()
    with pytest.raises(ConfigError):
        sftp_of(server, password=None, private_key="nonsense").check()


def test_an_sftp_server_that_is_away_or_breaks_off(server: Server) -> None:
    with pytest.raises(ConfigError, match="private"):
        sftp_of(server, allow_networks=[]).check()
    with pytest.raises(RetryableError):
        sftp_of(server, sftp=f"sftp://{USER}@127.0.0.1:1/").check()
    put(server.root, "customers.csv", "code\n" + "".join(f"{i}\n" for i in range(50_000)))
    server.breaks_after = 40_000
    with pytest.raises(RetryableError):
        pages(sftp_of(server))
    server.breaks_after = None
    assert len(pulled(sftp_of(server))[0]) == 50_000


# S3


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(store: str) -> Iterator[Any]:
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url=store, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="exports")
    yield client
    requests.post(f"{store}/moto-api/reset", timeout=10)
    client.close()


def bucket_of(store: str, stream: dict[str, Any] | None = None, **fields: Any) -> FileAdapter:
    told = {
        "bucket": f"{store}/exports",
        "access_key": "AKIDEXAMPLE",
        "secret_key": "secret",
        "allow_networks": ["127.0.0.0/8"],
        "streams": {"it": stream or {"pattern": "in/客户 *.csv", "key": "code"}},
    }
    return FileAdapter(FileConfig.model_validate({**told, **fields}))


def test_files_of_a_bucket(s3: Any, store: str) -> None:
    body = "code,name\n" + "".join(f"{i},名字{i}\n" for i in range(3))
    s3.put_object(Bucket="exports", Key="in/客户 1+a.csv", Body=body.encode())
    s3.put_object(Bucket="exports", Key="in/deeper/客户 2.csv", Body=b"code\nX\n")
    s3.put_object(Bucket="exports", Key="in/", Body=b"")
    adapter = bucket_of(store)
    adapter.check()
    rows, cursor = pulled(adapter)
    assert [row["_id"] for row in rows] == ["0", "1", "2"]
    assert pages(adapter, cursor) == []
    s3.put_object(Bucket="exports", Key="in/客户 1+a.csv", Body=b"code\n9\n")
    assert [row["_id"] for row in pulled(adapter, cursor)[0]] == ["9"]
    adapter.close()


def test_many_objects_and_large_ones(s3: Any, store: str) -> None:
    for i in range(5):
        s3.put_object(Bucket="exports", Key=f"in/{i}.txt", Body=b"")
    large = "code\n" + "".join(f"{i}\n" for i in range(2000))
    s3.put_object(Bucket="exports", Key="in/large.csv", Body=large.encode())
    adapter = bucket_of(store, {"pattern": "in/*.csv", "key": "code"})
    assert isinstance(adapter.place, Bucket)
    adapter.place.block_bytes, adapter.place.listed = 1000, 2
    assert len(pulled(adapter)[0]) == 2000
    assert len(adapter.place.entries("in")) == 6
    adapter.close()


def test_rows_are_written_to_a_bucket(s3: Any, store: str) -> None:
    told = {"pattern": "in/*.csv", "key": "code", "columns": ["code", "name"]}
    adapter = bucket_of(store, {**told, "write": "out/{date}/{key}.csv"})
    for _ in range(2):
        adapter.push(stream_of(adapter), ONE)
    (found,) = s3.list_objects_v2(Bucket="exports", Prefix="out/")["Contents"]
    body = s3.get_object(Bucket="exports", Key=found["Key"])["Body"].read()
    assert body.decode("utf-8-sig") == "code,name\r\nhub-1,=1+1 张三\r\n"
    adapter.close()


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("GET", "https://s3.example.org/b?list-type=2&prefix=a%20b%2F&delimiter=%2F", None),
        ("GET", "https://s3.example.org:9000/b/%E5%AE%A2%E6%88%B7%20%2B.csv", None),
        ("PUT", "https://b.s3.example.org/out/k.csv", b"code\n1\n"),
    ],
)
def test_requests_are_signed_as_by_the_vendors_own_library(
    method: str, url: str, body: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    ours = requests.Request(method, url, data=body).prepare()
    Signature("AKIDEXAMPLE", "secret", "cn-north-1")(ours, now)
    theirs = AWSRequest(method, url, data=body)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: now.replace(tzinfo=None))
    sign = S3SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), "s3", "cn-north-1")
    theirs.headers["X-Amz-Content-SHA256"] = ours.headers["x-amz-content-sha256"]
    theirs.context["payload_signing_enabled"] = True
    sign.add_auth(theirs)
    assert ours.headers["Authorization"] == theirs.headers["Authorization"]
