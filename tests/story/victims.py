"""The processes of an installation, each by how it is killed."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress

from tests.story.processes import PRODUCTION, Installation, children, command_of, wait_until

SEED = int(os.environ.get("HUB_TEST_SEED", "0")) or random.randrange(1, 1_000_000)


def embedded_victims(there: Installation) -> dict[str, Callable[[], None]]:
    """What ``hub up`` started, and what that started."""

    def found(word: str) -> list[int]:
        mine = [pid for pid in children(there.pid("up")) if word in command_of(pid)]
        return [pid for child in mine for pid in [child, *children(child)]]

    def killing(word: str) -> Callable[[], None]:
        def kill() -> None:
            wait_until(f"{word} runs", lambda: bool(found(word)))
            for pid in found(word):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        return kill

    def kill_supervisor() -> None:
        os.kill(there.pid("up"), signal.SIGKILL)
        wait_until("its children end with it", lambda: not there.is_reachable())
        wait_until("it starts again", lambda: started_up(there))

    return {
        "hooks": killing("webhooks.app"),
        "worker": killing("celery"),
        "up": kill_supervisor,
    }


def started_up(there: Installation) -> bool:
    """Whether it runs; it refuses to while its port is still taken."""
    if not there.alive("up"):
        there.kill("up")
        there.start_up()
    return there.is_reachable()


def production_victims(there: Installation) -> dict[str, Callable[[], None]]:
    def killing(name: str) -> Callable[[], None]:
        def kill() -> None:
            there.kill(name)
            there.start_production(name)

        return kill

    return {name: killing(name) for name in PRODUCTION}
