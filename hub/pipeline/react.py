"""Reactions put off: a new record could still have been the copy a write was just making."""

from __future__ import annotations

from sqlalchemy import Connection

from hub.errors import RetryableError
from hub.pipeline import align
from hub.pipeline.absorb import react
from hub.pipeline.lane import Lane
from hub.registry import Hub
from hub.store import jobs, records
from hub.store.jobs import Job


def step(hub: Hub, lane: Lane, job: Job) -> bool:
    """React to the records of the job, once it is known whose copies they are.

    Raises:
        RetryableError: the write that may have made one of them is still under way.
    """

    def story(conn: Connection) -> bool:
        lane.hold(conn)
        found = records.load(conn, job.argument["refs"])
        if align.suspected(conn, list(found)):
            return False
        # Here, or a kill would let rules see it twice; and first, because it may be put off anew,
        # when another creation began meanwhile: that must not be taken for this very job.
        jobs.end(conn, job.id)
        react(conn, hub, list(found), quiet=job.argument["quiet"])
        return True

    if not hub.database.run(story):
        place = f"{job.connection}/{job.stream}"
        raise RetryableError(f"a copy of ours may still be appearing in {place}")
    return True
