"""``docs/reliability.md`` is nobody's prose."""

import json

from tests.soak import report


def test_the_page_is_what_the_kept_figures_make() -> None:
    known = json.loads(report.FIGURES.read_text("utf-8"))
    assert report.PAGE.read_text("utf-8") == report.page(known)
