"""Wakes what was committed: a thread in every worker finds due lanes and hands them to Celery.

The web and hook processes only write rows; the database is the queue of record. This module is also
the worker's Celery application: ``celery -A hub.relay worker --pool threads``. With the in-memory
broker, everything is one process, so beat runs here as a thread too.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from contextlib import suppress
from typing import Any

from celery.beat import EmbeddedService, Scheduler
from celery.exceptions import SecurityWarning
from celery.signals import setup_logging, worker_ready, worker_shutdown
from kombu.exceptions import OperationalError

from hub import log as hub_log
from hub.errors import StoreError
from hub.pipeline import due, listen
from hub.pipeline.lane import free_dead
from hub.settings import settings
from hub.tasks import app, deliver, hub, ingest

log = logging.getLogger(__name__)

# It speaks of pickled messages under root; we accept JSON only.
warnings.filterwarnings("ignore", category=SecurityWarning)

POLL_S = 0.05
COOL_S = 1.0
LOOK_S = 2.0
"""How often leases of killed processes of this machine are looked for."""

_stopping = threading.Event()


def wake_once() -> int:
    """Send a task for every group of lanes with something due; how many."""
    found = due.lanes(hub())
    for names in found:
        (ingest if names[0].startswith("in:") else deliver).delay(names)
    return len(found)


def run() -> None:
    """Wake lanes until told to stop; say "unavailable" once and "back" once."""
    well = True
    looked_at = float("-inf")
    while not _stopping.wait(POLL_S):
        try:
            if time.monotonic() - looked_at > LOOK_S:
                free_dead(hub())
                looked_at = time.monotonic()
            wake_once()
        except (StoreError, OperationalError) as exc:
            if well:
                log.warning("relay cannot work now", extra={"fault": str(exc)[:200]})
            well = False
            _stopping.wait(COOL_S)
        except Exception:
            log.exception("relay failed")
            _stopping.wait(COOL_S)
        else:
            if not well:
                log.info("relay works again")
            well = True


@setup_logging.connect
def _logging(**_: Any) -> None:
    hub_log.configure(settings().log_level, settings().log_format)


@worker_ready.connect
def _start(**_: Any) -> None:
    embedded = settings().broker_url.startswith("memory:")
    if embedded:
        with suppress(StoreError):  # else they run out by themselves
            due.forget_wakes(hub())
    threading.Thread(target=run, name="relay", daemon=True).start()
    if embedded:  # beat and listeners live here too
        threading.Thread(target=listen.run, args=(hub(), _stopping), daemon=True).start()
        service = EmbeddedService(app, thread=True, scheduler_cls=Scheduler, max_interval=1)
        service.daemon = True
        service.start()


@worker_shutdown.connect
def _stop(**_: Any) -> None:
    _stopping.set()
