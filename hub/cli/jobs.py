"""Commands about long work: read a part of a stream again, see and cancel jobs."""

from __future__ import annotations

from datetime import datetime

import click

from hub.cli.base import Instant, json_option, opened, out, show, show_json
from hub.errors import ConfigError
from hub.pipeline import resync
from hub.pipeline.resync import Part
from hub.store import audit
from hub.store import jobs as store

STATES = (store.OPEN, store.DONE, store.FAILED, store.CANCELLED)


@click.command("resync")
@click.argument("connection")
@click.argument("stream")
@click.option("--since", type=Instant(), help="Only what was changed then or later.")
@click.option("--until", type=Instant(), help="Only what was changed before.")
@click.option("--ids", default="", help="Only these records: their ids, with commas between.")
@click.option("--where", default="", help="Only what meets a condition, in the vendor's words.")
@json_option
def resync_(
    connection: str,
    stream: str,
    since: datetime | None,
    until: datetime | None,
    ids: str,
    where: str,
    *,
    as_json: bool,
) -> None:
    """Read a part of a stream once more, or all of it, beside the live pull.

    把数据流的一部分（或全部）重新读取一遍，不影响正常拉取。
    """
    named = tuple(id_.strip() for id_ in ids.split(",") if id_.strip())
    with opened() as hub:
        part = Part(since, until, where, named)
        id_ = resync.begin(hub, connection, stream, part, actor="hub cli")
        with hub.database.write() as conn:
            audit.note(conn, "hub cli", "resync", f"job:{id_}")
    if as_json:
        show_json({"job": id_})
    else:
        out.print(f"job {id_} is on its way; see: hub jobs show {id_}", highlight=False)


@click.group("jobs")
def jobs() -> None:
    """Long work that goes on beside everything else.

    在后台分片进行的长任务。
    """


@jobs.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50)
@json_option
def jobs_list(state: str | None, limit: int, *, as_json: bool) -> None:
    """Jobs, newest first."""
    with opened() as hub, hub.database.read() as conn:
        rows = store.page(conn, state=state, limit=limit)
    columns = ("id", "kind", "connection", "stream", "state", "done", "total", "due_at", "error")
    show(rows, columns, as_json=as_json)


@jobs.command("show")
@click.argument("id_", metavar="ID", type=int)
@json_option
def jobs_show(id_: int, *, as_json: bool) -> None:
    """One job: what it is about, how far it came, what it found out."""
    with opened() as hub, hub.database.read() as conn:
        job = store.get(conn, id_)
    if job is None:
        raise ConfigError(f"there is no job {id_}", hint="See: hub jobs list")
    told = {name: getattr(job, name) for name in job.__dataclass_fields__}
    if as_json:
        show_json(told)
        return
    for name, value in told.items():
        out.print(f"{name:<11} {value}", highlight=False, markup=False)


@jobs.command("cancel")
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
def jobs_cancel(ids: tuple[int, ...]) -> None:
    """End jobs; a slice that is under way is still finished, within a minute."""
    with opened() as hub, hub.database.write() as conn:
        found = [job for id_ in ids if (job := store.get(conn, id_)) and job.state == store.OPEN]
        for job in found:
            store.end(conn, job.id, store.CANCELLED)
            audit.note(conn, "hub cli", "cancel", f"job:{job.id}")
    out.print(f"{len(found)} jobs cancelled", highlight=False)


COMMANDS: tuple[click.Command, ...] = (resync_, jobs)
