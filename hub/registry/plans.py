"""Syncs worked out against the connections they speak of."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from hub.errors import ConfigError
from hub.registry.live import Live
from hub.syncs.spec import Plan, Side, Sync, plan


def plan_of(sync: Sync, live_of: Callable[[str], Live]) -> Plan:
    """The sync worked out against the mappings as they are now.

    Raises:
        ConfigError: a connection or mapping is missing, nothing can be written where copies are
            to be made, or the sync does not fit the mappings.
    """
    sides = []
    for name in sync.streams:
        connection, _, stream = name.partition("/")
        live = live_of(connection)
        spec = live.mapping(stream)
        known = live.streams.get(stream)
        writable = known is not None and known.writable
        if name in sync.create and not writable:
            raise ConfigError(
                f"the sync {sync.id} cannot create copies in {name}",
                hint="Take it out of create: that stream cannot be written to.",
            )
        pushed = spec.pushed if writable else ()
        sides.append(Side(name, pushed, tuple(sorted(spec.owners.items()))))
    return _planned(sync, tuple(sides))


_planned = lru_cache(maxsize=64)(plan)
