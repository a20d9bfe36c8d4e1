"""The little of HTML that vendors without HTML can show: what it links to."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import NamedTuple


class Link(NamedTuple):
    """A link as a person reads it, and where it leads."""

    label: str
    url: str


def links(html: str) -> tuple[Link, ...]:
    """The links of a message in their order, for vendors that show buttons instead of HTML.

    Only those to web pages; one without words is called by its address.
    """
    reader = _Links()
    reader.feed(html)
    reader.close()
    return tuple(Link(" ".join(label.split()) or url, url) for label, url in reader.found)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            return
        url = dict(attrs).get("href") or ""
        self._open = url.startswith(("https://", "http://"))
        if self._open:
            self.found.append(("", url))

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            label, url = self.found[-1]
            self.found[-1] = (label + data, url)
