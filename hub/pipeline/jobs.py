"""Long work in slices of at most a minute, each under a lease, until its row says done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from hub.errors import AuthError, ConfigError, HubError, LeaseLostError, PacedError, RetryableError
from hub.pipeline import align, identity, react, reconcile, replay, resync
from hub.pipeline.lane import Lane
from hub.registry import Hub
from hub.store import connections, jobs
from hub.store.jobs import Job
from hub.store.schema import REFUSED

log = logging.getLogger(__name__)

RETRY_S = (5, 15, 60, 300, 900)

Step = Callable[[Hub, Lane, Job], bool]
"""Works until the lane has no time left; whether the job is finished. It notes its progress in the
transactions that store what it did."""

STEPS: Mapping[str, Step] = {
    "align": align.step,
    "react": react.step,
    "reconcile": reconcile.step,
    "remap": replay.step,
    identity.RERUN: identity.step,
    resync.KIND: resync.step,
}


def lease_name(id_: int) -> str:
    """The lease a job works under."""
    return f"job:{id_}"


def run(hub: Hub, lane: Lane, id_: int) -> bool:
    """One slice of a job; whether it has ended.

    Raises:
        HubError: the slice failed; the row says when it goes on.
    """
    with hub.database.read() as conn:
        job = jobs.get(conn, id_)
    if job is None or job.state != jobs.OPEN:
        return True
    try:
        finished = STEPS[job.kind](hub, lane, job)
    except LeaseLostError:
        raise
    except ConfigError as exc:
        _end(hub, lane, job, jobs.FAILED, str(exc))
        raise
    except HubError as exc:
        _postpone(hub, lane, job, exc)
        raise
    except Exception as exc:  # a bug must not spin
        fault = RetryableError(f"{type(exc).__name__} in a job of kind {job.kind}")
        _postpone(hub, lane, job, fault)
        raise
    if finished:
        _end(hub, lane, job, jobs.DONE)
    return finished


def _end(hub: Hub, lane: Lane, job: Job, state: str, error: str = "") -> None:
    with hub.database.write() as conn:
        lane.hold(conn)
        jobs.end(conn, job.id, state, error)
    log.info("job ended", extra={"job": job.id, "kind": job.kind, "state": state})


def _postpone(hub: Hub, lane: Lane, job: Job, exc: HubError) -> None:
    after_s = float(RETRY_S[min(job.failures, len(RETRY_S) - 1)])
    paced = isinstance(exc, PacedError)
    if isinstance(exc, RetryableError) and exc.retry_after_s:
        after_s = exc.retry_after_s if paced else max(after_s, exc.retry_after_s)
    with hub.database.write() as conn:
        lane.hold(conn)
        jobs.postpone(conn, job.id, after_s, str(exc), failed=not paced)
        if isinstance(exc, AuthError):
            connections.set_state(conn, job.connection, REFUSED, str(exc))
    log.warning("job waits", extra={"job": job.id, "kind": job.kind, "fault": str(exc)})
