"""What a run took of the clock, of the processor and of memory; for processes without the hub."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any, Self


class Measured:
    """A block whose time is taken.

    Attributes:
        took_s: by the clock.
        cpu_s: of the processor, in all threads.
    """

    def __enter__(self) -> Self:
        self.took_s, self.cpu_s = -time.perf_counter(), -time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.took_s += time.perf_counter()
        self.cpu_s += time.process_time()

    def as_json(self) -> dict[str, Any]:
        """As the benchmark reads it, with the memory of the whole process up to now."""
        return {"took_s": self.took_s, "cpu_s": self.cpu_s, "peak_mib": peak_mib()}


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
