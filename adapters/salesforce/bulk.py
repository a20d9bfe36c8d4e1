"""The Bulk API 2.0: Salesforce works on a query by itself, and gives its rows as CSV in pages.

Nobody waits for it here: while the job runs, the pull rests and comes back to it.

Source: https://developer.salesforce.com/docs/platform/api-asynch/guide/query-get-job-results.html
(checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from adapters.salesforce.soql import rows_of
from hub.sdk import CursorExpiredError, Http, PacedError, Raw, RejectedError

POLL_S = 20.0
FAILED = ("Failed", "Aborted")
END = "null"
"""In place of the next locator, behind the last page."""


class Job(NamedTuple):
    """A query under way: its id, when it began by Salesforce's clock, and the next page."""

    job: str = ""
    began: str = ""
    locator: str = ""

    @property
    def done(self) -> bool:
        return self.locator == END


def poll(
    http: Http, text: Callable[[], str], job: Job, size: int
) -> Iterator[tuple[Job, list[Raw]]]:
    """The pages of a query, each with where to go on; the first is empty and names the job.

    Raises:
        CursorExpiredError: the job failed, or is no longer kept (seven days).
        PacedError: it is not done yet.
    """
    if not job.job:
        told = {"operation": "queryAll", "query": text()}
        # Sent again after a lost answer it makes a second job, which nobody reads: no harm.
        made = http.json("POST", "/jobs/query", json=told, repeatable=True)
        job = Job(made["id"], made["createdDate"])
        yield job, []
    if not job.done:
        _await(http, job)
    while not job.done:
        params = {"maxRecords": size, **({"locator": job.locator} if job.locator else {})}
        answer = http.request("GET", f"/jobs/query/{job.job}/results", params=params)
        rows = list(rows_of(answer.content.decode()))
        job = job._replace(locator=answer.headers.get("Sforce-Locator") or END)
        yield job, rows


def _await(http: Http, job: Job) -> None:
    again = "Nothing is to be done: another one is made."
    try:
        state = http.get(f"/jobs/query/{job.job}")
    except RejectedError as exc:
        raise CursorExpiredError("the bulk query is no longer kept", hint=again) from exc
    if state["state"] in FAILED:
        said = str(state.get("errorMessage") or "")[:300]
        raise CursorExpiredError("the bulk query failed", hint=f"{said} {again}".strip())
    if state["state"] != "JobComplete":
        raise PacedError("Salesforce works on the bulk query", retry_after_s=POLL_S)
