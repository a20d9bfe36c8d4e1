"""``python -m demo.systems start|seed|stop|env --root DIR [--only tryton,roundup,mailbox]``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from demo import people
from demo.systems import ALL, System, SystemFailedError, together

BEGUN = time.monotonic()


def say(line: str) -> None:
    """Print a line of progress with the seconds since the program began."""
    sys.stderr.write(f"{time.monotonic() - BEGUN:6.1f} s  {line}\n")


def start(system: System) -> None:
    """Install if needed, start, and report when it is there."""
    system.install()
    system.start()
    say(f"{system.name}: version {system.version()} answers on port {system.port}")


def seed(system: System) -> None:
    """Add the people of the demo to a running system."""
    if not system.running:
        raise SystemFailedError(f"{system.name} does not run; start it first")
    system.seed(people.load())
    say(f"{system.name}: seeded")


def stop(system: System) -> None:
    """End the server and say so."""
    system.stop()
    say(f"{system.name}: stopped")


def show_env(system: System) -> None:
    """Print what a client of a running system needs, as lines for a shell."""
    if system.running:
        sys.stdout.write("".join(f"{key}={value}\n" for key, value in system.env().items()))


STEPS = {"start": start, "seed": seed, "stop": stop, "env": show_env}


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m demo.systems", description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--root", type=Path, required=True, help="folder of programs and data")
    parser.add_argument("--only", type=names, default=list(ALL), help="systems, with commas")
    return parser.parse_args(given)


def names(text: str) -> list[str]:
    """The systems named in a list with commas."""
    chosen = text.split(",")
    if unknown := set(chosen) - set(ALL):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return chosen


def main() -> int:
    """Take one step with the chosen systems."""
    asked = arguments()
    systems = [ALL[name](asked.root, 0, say) for name in asked.only]
    try:
        together(systems, STEPS[asked.step])
    except SystemFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
