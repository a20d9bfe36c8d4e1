"""What a run takes of the clock, of processors and of memory; needs nothing but Python."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, Self


class Measured:
    """A block whose time is taken.

    Attributes:
        took_s: by the clock.
        cpu_s: of the processors, in all threads of this process.
    """

    def __enter__(self) -> Self:
        self.took_s, self.cpu_s = -time.perf_counter(), -time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.took_s += time.perf_counter()
        self.cpu_s += time.process_time()

    def told(self) -> dict[str, Any]:
        """The figures, with the memory of the whole process up to now."""
        return {"took_s": self.took_s, "cpu_s": self.cpu_s, "peak_mib": peak_mib()}


def peak_mib() -> float:
    """The most memory this process ever held.

    Linux hands ``ru_maxrss`` of the parent down to a new process, so its own mark is read there.
    """
    if (peak := peak_of("self")) is not None:
        return peak
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def peak_of(pid: int | str) -> float | None:
    """The most memory, in MiB, a process ever held; None where that cannot be seen."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    marks = dict(line.split(":", 1) for line in lines)
    return int(marks["VmHWM"].split()[0]) / 1024 if "VmHWM" in marks else None


def largest_of(pid: int) -> float | None:
    """The most memory, in MiB, one of the processes a process started ever held."""
    try:
        started = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return max((peak for child in started if (peak := peak_of(child)) is not None), default=None)


def cpu_of(pid: int) -> float | None:
    """Seconds another process has used of the processors; None where that cannot be seen."""
    try:
        used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
