"""settings.toml → stored connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hub.errors import ConfigError
from hub.registry.live import Live, Registry
from hub.registry.manifests import manifest
from hub.registry.plans import plan_of
from hub.settings import Settings
from hub.store import audit, checkpoints, connections
from hub.syncs.spec import read_syncs

GONE_FROM_FILE = "no longer in settings.toml"


def check_settings(settings: Settings) -> None:
    """Return when every connection of the settings is sound.

    Raises:
        ConfigError: every fault of every connection, one per line.
    """
    faults = [str(exc) for exc in _faults(settings)]
    if faults:
        raise ConfigError("\n".join(faults), hint="Mend that and run hub apply again.")


def apply(registry: Registry, settings: Settings, *, dry_run: bool = False) -> dict[str, str]:
    """Make the stored connections equal to the settings; what was done to each.

    A connection the file lost is paused, never deleted. The verbs are ``add``, ``change``,
    ``pause`` and ``keep``.

    Raises:
        ConfigError: a connection is wrong; then nothing is changed.
    """
    check_settings(settings)
    with registry.database.read() as conn:
        stored = connections.every(conn, registry.vault)
    verbs = {name: _verb(stored.get(name), given) for name, given in settings.connections.items()}
    for name, row in stored.items():
        if name not in verbs and row.managed_by == "file" and row.state != "paused":
            verbs[name] = "pause"
    if not dry_run:
        _write(registry, settings, verbs)
    return verbs


def _faults(settings: Settings) -> Iterator[ConfigError]:
    for name, given in settings.connections.items():
        try:
            live = _live(name, given)
            _ = live.config, live.own, live.listens, live.mappings
        except ConfigError as exc:
            yield exc if name in str(exc) else ConfigError(f"connection {name}: {exc}")
    yield from _sync_faults(settings)


def _sync_faults(settings: Settings) -> Iterator[ConfigError]:
    def live_of(name: str) -> Live:
        if name not in settings.connections:
            raise ConfigError(f'a sync speaks of the connection "{name}", which there is not')
        return _live(name, settings.connections[name])

    try:
        syncs = read_syncs(settings.syncs)
    except ConfigError as exc:
        yield exc
        return
    for sync in syncs:
        try:
            plan_of(sync, live_of)
        except ConfigError as exc:
            yield exc


def _live(name: str, given: Mapping[str, Any]) -> Live:
    if "adapter" not in given:
        raise ConfigError(f"connection {name}: adapter is missing")
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ConfigError(f"connection {name}: a name has letters, digits, - and _ only")
    return Live(name, manifest(str(given["adapter"])), _without_adapter(given))


def _without_adapter(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != "adapter"}


def _verb(stored: connections.Stored | None, given: Mapping[str, Any]) -> str:
    if stored is None:
        return "add"
    same = stored.adapter == given["adapter"] and stored.config == _without_adapter(given)
    came_back = stored.state == "paused" and stored.reason == GONE_FROM_FILE
    return "keep" if same and not came_back else "change"


def _write(registry: Registry, settings: Settings, verbs: Mapping[str, str]) -> None:
    with registry.database.write() as conn:
        for name, verb in verbs.items():
            if verb == "pause":
                connections.set_state(conn, name, "paused", GONE_FROM_FILE)
            else:
                live = _live(name, settings.connections[name])
                checkpoints.settle(conn, name, live.pulled)
                if verb != "keep":
                    config, secrets = _split(live)
                    adapter = live.manifest.name
                    connections.put(conn, registry.vault, name, adapter, config, secrets, "file")
            if verb != "keep":
                audit.note(conn, "hub apply", verb, f"connection:{name}")
    registry.forget()


def _split(live: Live) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config without secrets, and the secrets."""
    fields = live.manifest.config_class().model_fields
    hidden = {name for name, field in fields.items() if "Secret" in str(field.annotation)}
    config = {key: value for key, value in live.settings.items() if key not in hidden}
    secrets = {key: value for key, value in live.settings.items() if key in hidden}
    return config, secrets
