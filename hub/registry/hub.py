"""Everything a process of this installation works with, opened once."""

from __future__ import annotations

import gc
from dataclasses import dataclass

from hub.errors import ConfigError
from hub.profiles.build import Manner
from hub.profiles.catalogue import Catalogue, read_catalogue
from hub.registry.live import Registry
from hub.rules.decide import Rule, read_rules
from hub.settings import Settings, settings_path
from hub.store.crypto import KeyFile, Vault
from hub.store.db import Database
from hub.syncs.spec import Sync, read_syncs


@dataclass(frozen=True, slots=True)
class Hub:
    """One installation, as one process sees it."""

    settings: Settings
    database: Database
    registry: Registry
    rules: tuple[Rule, ...]
    catalogue: Catalogue
    syncs: tuple[Sync, ...] = ()

    @property
    def manner(self) -> Manner:
        """How profiles are made here."""
        regions = {name: live.region for name, live in self.registry.all().items()}
        return Manner(self.settings.source_priority, regions, self.catalogue)

    def close(self) -> None:
        """Close the database."""
        self.database.close()


GC_AFTER = 50_000
"""New objects after which Python looks for cycles. A batch makes twice as many that all die without
one; at Python's own 700 the looking takes a tenth of a pull."""


def open_hub(settings: Settings) -> Hub:
    """The installation these settings describe.

    Raises:
        ConfigError: a setting is wrong.
    """
    gc.set_threshold(GC_AFTER)
    database = Database(settings.database, pool_size=settings.worker_threads + 2)
    registry = Registry(database, open_vault(settings))
    rules, syncs = read_rules(settings.rules), read_syncs(settings.syncs)
    catalogue = open_catalogue()
    _refuse_unknown_traits(rules, catalogue)
    return Hub(settings, database, registry, rules, catalogue, syncs)


def _refuse_unknown_traits(rules: tuple[Rule, ...], catalogue: Catalogue) -> None:
    """A condition about a trait that is none would never hold, and nobody would know why."""
    for rule in rules:
        for condition in rule.if_:
            name = condition.field.removeprefix("customer.traits.")
            if name != condition.field and name not in catalogue.traits:
                raise ConfigError(
                    f'the rule {rule.id} asks for the trait "{name}", which is none',
                    hint=f"Known: {', '.join(catalogue.traits)}",
                )


def open_catalogue() -> Catalogue:
    """The traits and segments here: a traits.toml beside settings.toml adds to those shipped.

    Raises:
        ConfigError: it is wrong.
    """
    return read_catalogue(settings_path().with_name("traits.toml"))


def open_vault(settings: Settings) -> Vault:
    """The vault for secrets at rest; embedded mode makes its own key beside the database."""
    if settings.secret_keys:
        return Vault(settings.secret_keys)
    if settings.database.startswith("postgresql"):
        raise ConfigError(
            "secret_keys is empty",
            hint="Make a key with: hub secrets new, and set HUB_SECRET_KEYS on every machine.",
        )
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    return Vault(KeyFile(settings.state_dir / "key"))
