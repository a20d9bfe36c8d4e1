"""Names of files that others chose."""

from __future__ import annotations

import pytest
from werkzeug.datastructures import Headers

from hub.web.files import saved_as


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("图 1.png", "图 1.png"),
        ("a\r\nX-Evil: 1.png", "aX-Evil: 1.png"),
        ("gnp\u202e.exe", "gnp.exe"),
        ("half \ud83d.png", "half .png"),
        ("\x00", "file"),
        (None, "file"),
    ],
)
def test_a_name_fits_its_header(name: str | None, saved: str) -> None:
    assert saved_as({"name": name}) == saved
    headers = Headers()
    headers.add("Content-Disposition", "attachment", filename=saved)
