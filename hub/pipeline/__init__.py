"""The stories: ingest, pull, deliver, replay; each may run twice and changes things once."""

from __future__ import annotations

from hub.pipeline.deliver import deliver, refetch
from hub.pipeline.inbox import REPLAY, SKIP, Tally, Verb, do, do_all
from hub.pipeline.ingest import ingest
from hub.pipeline.pull import lease_name as pull_lease
from hub.pipeline.pull import pull
from hub.pipeline.replay import remap, replay_quarantine, roll_back, switch

__all__ = [
    "REPLAY",
    "SKIP",
    "Tally",
    "Verb",
    "deliver",
    "do",
    "do_all",
    "ingest",
    "pull",
    "pull_lease",
    "refetch",
    "remap",
    "replay_quarantine",
    "roll_back",
    "switch",
]
