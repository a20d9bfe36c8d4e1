"""What can go wrong at a vendor: each fault by its name, drawn from one seeded source of chance."""

from __future__ import annotations

import random
from collections.abc import Mapping

FAULTS: Mapping[str, str] = {
    "lag": "search shows a change only after a while",
    "backdated": "a change appears with the stamp of a moment long past",
    "busy": "429, with the seconds to wait",
    "busy_without_word": "429, and nobody says how long",
    "down": "500, 502, 503 or 504, and nothing was done",
    "page": "a web page with status 200, and nothing was done",
    "hang": "no answer, and nothing was done",
    "answer_lost": "a write is done, its answer never comes",
    "gateway": "a write is done, and answered 502",
    "dribble": "a body that comes drop by drop",
    "hook_lost": "a webhook is never sent",
    "hook_twice": "a webhook is sent twice, the second time later",
    "hooks_reordered": "webhooks are sent in any order",
    "added": "a row gets a field nobody knows",
    "retyped": "a row writes its values as other types",
    "renamed": "a row calls its name by another name",
    "nested": "a row has its phone inside an object",
    "rewritten": "what is saved is tidied up: trimmed, upper case",
    "cursors_lost": "a cursor is not known any more",
    "grant_lost": "tokens were renewed, and the new ones never arrive",
}


class Faults:
    """How likely each fault is, from 0 to 1; nothing goes wrong unless told.

    Everybody who draws from one of these draws from one seed, so that a run can be repeated.
    """

    def __init__(self, seed: int = 0, **chances: float) -> None:
        self.random = random.Random(seed)  # noqa: S311 - chance that can be repeated
        self._chances: dict[str, float] = {}
        self.set(**chances)

    def set(self, **chances: float) -> None:
        """From now on these are so likely; others stay as they are."""
        if unknown := chances.keys() - FAULTS.keys():
            raise KeyError(f"no such fault: {', '.join(sorted(unknown))}")
        self._chances.update(chances)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._chances.clear()

    @property
    def on(self) -> dict[str, float]:
        """What may go wrong now."""
        return {name: chance for name, chance in self._chances.items() if chance}

    def strikes(self, name: str) -> bool:
        """Whether it happens this time."""
        assert name in FAULTS, name  # noqa: S101 - a misspelt fault would never strike
        chance = self._chances.get(name, 0.0)
        return chance > 0 and self.random.random() < chance
