"""Files of an S3-compatible bucket, over the hub's own client.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html (checked 2026-11)
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import BinaryIO
from urllib.parse import parse_qsl, quote, urlsplit
from xml.etree.ElementTree import Element

from adapters.file.config import FileConfig
from adapters.file.places import Entry
from hub.sdk import Http, Outgoing, RejectedError, RetryableError, SignatureError, instant
from hub.sdk.signing import hmac_digest, xml

SAFE = "-_.~"


class Bucket:
    """One bucket, by whatever style of address its store has.

    Attributes:
        block_bytes: how much of a file is asked for at once.
        listed: how many names are asked for at once.
    """

    block_bytes = 8 * 1024 * 1024
    listed = 1000

    def __init__(self, config: FileConfig, http: Http) -> None:
        self._path, self._http = urlsplit(config.bucket).path.rstrip("/"), http

    def entries(self, folder: str) -> Sequence[Entry]:
        query = {
            "list-type": "2",
            "delimiter": "/",
            "max-keys": str(self.listed),
            "prefix": f"{folder}/" if folder else "",
        }
        found: list[Entry] = []
        while True:
            answer = self._http.request("GET", self._path or "/", params=query)
            told = _listing(answer.content)
            for one in told.iterfind("{*}Contents"):
                key, size, tag, at = (
                    one.findtext(f"{{*}}{name}") or ""
                    for name in ("Key", "Size", "ETag", "LastModified")
                )
                changed = instant(at) or datetime.now(UTC)
                found.append(Entry(key, int(size), tag, changed.timestamp(), settled=True))
            onward = told.findtext("{*}NextContinuationToken")
            if not onward:
                return [one for one in found if not one.name.endswith("/")]
            query = {**query, "continuation-token": onward}

    @contextmanager
    def opened(self, entry: Entry) -> Iterator[BinaryIO]:
        with tempfile.TemporaryFile() as file:
            for start in range(0, entry.size_bytes, self.block_bytes):
                end = min(start + self.block_bytes, entry.size_bytes) - 1
                # As it was listed: another version in between would be half of each.
                headers = {"Range": f"bytes={start}-{end}", "If-Match": entry.version}
                try:
                    block = self._http.request(
                        "GET", self._place(entry.name), headers=headers
                    ).content
                except RejectedError:
                    raise RetryableError(f"{entry.name} was changed while it was read") from None
                if len(block) != end - start + 1:
                    raise RetryableError("the store sent another part than it was asked for")
                file.write(block)
            file.seek(0)
            yield file

    def write(self, name: str, body: bytes) -> None:
        self._http.request("PUT", self._place(name), data=body)

    def _place(self, name: str) -> str:
        return f"{self._path}/{quote(name, safe=SAFE + '/')}"


def _listing(body: bytes) -> Element:
    try:
        return xml(body)
    except SignatureError:  # as of a sender's body
        raise RetryableError(
            "the store's answer is no list of files",
            hint="Check the address of the bucket: it may lead to a web page.",
        ) from None


class Signature:
    """Signs requests as AWS does (version 4)."""

    def __init__(self, access_key: str, secret_key: str, region: str) -> None:
        self._access, self._secret, self._region = access_key, secret_key, region

    def __call__(self, request: Outgoing, now: datetime) -> None:
        at, url = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}", urlsplit(str(request.url))
        body = request.body or b""
        digest = hashlib.sha256(body.encode() if isinstance(body, str) else body).hexdigest()
        signed = {"host": url.netloc, "x-amz-content-sha256": digest, "x-amz-date": at}
        request.headers.update({n: v for n, v in signed.items() if n != "host"})
        pairs = sorted(parse_qsl(url.query, keep_blank_values=True))
        query = "&".join(f"{quote(k, safe=SAFE)}={quote(v, safe=SAFE)}" for k, v in pairs)
        lines = [f"{name}:{value}" for name, value in signed.items()]
        names = ";".join(signed)
        what = [str(request.method), url.path or "/", query, *lines, "", names, digest]
        scope = f"{at[:8]}/{self._region}/s3/aws4_request"
        asked = hashlib.sha256("\n".join(what).encode()).hexdigest()
        key = f"AWS4{self._secret}".encode()
        for part in scope.split("/"):
            key = hmac_digest(key, part.encode())
        proof = hmac_digest(key, f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{asked}".encode()).hex()
        request.headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._access}/{scope}, SignedHeaders={names}, "
            f"Signature={proof}"
        )
