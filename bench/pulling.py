"""One pull in a fresh process: ``python -m bench.pulling CONNECTION STREAM [--full]`` prints JSON.

The same path a worker takes: registry, adapter, ``hub.pipeline.pull`` under its lease.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from hub import log, pipeline
from hub.pipeline.lane import leased
from hub.registry import Hub, open_hub
from hub.settings import settings
from hub.store import checkpoints, leases


def main() -> None:
    connection, stream, *flags = sys.argv[1:]
    log.configure("WARNING")
    hub = open_hub(settings())
    hub.registry.get(connection).adapter  # noqa: B018 - loaded before the clock starts
    idle_mib = peak_mib()
    if "--full" in flags:
        with hub.database.write() as conn:
            checkpoints.restart(conn, connection, stream)
    began, cpu = time.perf_counter(), time.process_time()
    slices = pull(hub, connection, stream)
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    with hub.database.read() as conn:
        rows = checkpoints.get(conn, connection, stream)["rows"]
    hub.close()
    told = {
        "took_s": took_s,
        "cpu_s": cpu_s,
        "rows": rows,
        "slices": slices,
        "idle_mib": idle_mib,
        "peak_mib": peak_mib(),
    }
    print(json.dumps(told))


def pull(hub: Hub, connection: str, stream: str) -> int:
    """Pull to the end, slice after slice, as the worker does; how many slices it took."""
    name = pipeline.pull_lease(connection, stream)
    with hub.database.write() as conn:
        leases.ensure(conn, [name])
    for slices in range(1, 1_000_000):
        with leased(hub, name) as lane:
            if lane is None:
                raise RuntimeError(f"somebody else pulls {connection}/{stream}")
            if pipeline.pull(hub, lane, connection, stream):
                return slices
    raise RuntimeError("the pull does not end")


def peak_mib() -> float:
    """The most memory this process ever held.

    Linux hands ``ru_maxrss`` of the parent down to a new process, so its own mark is read there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        marks = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(marks["VmHWM"].split()[0]) / 1024
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main()
