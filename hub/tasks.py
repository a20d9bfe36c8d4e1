"""Celery: when a story runs; a message carries only which one, so losing it costs a moment."""

from __future__ import annotations

import logging
from functools import cache

from celery import Celery

from hub import pipeline
from hub.errors import HubError
from hub.pipeline import due, jobs
from hub.pipeline import publish as publishing
from hub.pipeline.lane import leased
from hub.registry import Hub, open_hub
from hub.settings import settings

log = logging.getLogger(__name__)


@cache
def hub() -> Hub:
    """This process's installation, opened on first use."""
    return open_hub(settings())


def _address(broker_url: str) -> str:
    return "memory://localhost/" if broker_url == "memory://" else broker_url


def _transport_options(broker_url: str) -> dict[str, object]:
    if broker_url.startswith("memory:"):
        return {"polling_interval": 0.005}  # its default of 1 s would rule the latency
    if broker_url.startswith("redis"):
        return {"visibility_timeout": 300, "unacked_restore_throttle": 1}
    return {}


app = Celery("hub")
app.conf.update(
    broker_url=_address(settings().broker_url),
    broker_transport_options=_transport_options(settings().broker_url),
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_acks_late=True,
    task_default_queue=settings().queue_name,
    worker_prefetch_multiplier=1,
    # Its queue belongs to one connection: with RabbitMQ a second worker of a machine, or one that
    # starts again right after a kill, would find it locked and end.
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    beat_schedule={
        "due work": {"task": "hub.due_work", "schedule": 1.0, "options": {"expires": 5}},
        "sweep": {"task": "hub.sweep", "schedule": 60.0, "options": {"expires": 30}},
    },
)


@app.task(name="hub.ingest")
def ingest(lanes: list[str]) -> None:
    with leased(hub(), *lanes) as held:
        if held:
            pipeline.ingest(hub(), held)


@app.task(name="hub.deliver")
def deliver(lanes: list[str]) -> None:
    with leased(hub(), *lanes) as held:
        if held:
            pipeline.deliver(hub(), held)


@app.task(name="hub.pull")
def pull(connection: str, stream: str) -> None:
    with leased(hub(), pipeline.pull_lease(connection, stream)) as held:
        if held:
            try:
                pipeline.pull(hub(), held, connection, stream)
            except HubError as exc:  # the story noted it and when to go on
                log.warning("pull stopped", extra={"connection": connection, "fault": str(exc)})


@app.task(name="hub.job")
def job(id_: int) -> None:
    with leased(hub(), jobs.lease_name(id_)) as held:
        if held:
            try:
                jobs.run(hub(), held, id_)
            except HubError as exc:  # its row says why and when it goes on
                log.warning("job stopped", extra={"job": id_, "fault": str(exc)})


@app.task(name="hub.publish")
def publish(subscription: str) -> None:
    with leased(hub(), publishing.lease_name(subscription)) as held:
        if held:
            publishing.publish(hub(), held, subscription)


@app.task(name="hub.due_work")
def due_work() -> None:
    for connection, stream in due.pulls(hub()):
        pull.delay(connection, stream)
    for id_ in due.jobs(hub()):
        job.delay(id_)
    for name in due.subscriptions(hub()):
        publish.delay(name)


@app.task(name="hub.sweep")
def sweep() -> None:
    due.sweep(hub())
