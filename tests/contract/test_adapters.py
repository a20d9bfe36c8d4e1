"""The contract suite over every adapter there is; a new vendor gets it by existing."""

from __future__ import annotations

import pytest

from hub import mapping, registry
from hub.sdk.testing import contract_tests
from hub.sdk.vendor import LEVELS, Vendor, broken

globals().update(
    {f"Test_{name}": contract_tests(found, mapping) for name, found in registry.manifests().items()}
)

OURS = [m for m in registry.manifests().values() if m.folder.parent == registry.ROOT / "adapters"]


@pytest.mark.parametrize("manifest", OURS, ids=lambda m: m.name)
def test_what_we_ship_reaches_a_level(manifest: registry.Manifest) -> None:
    vendor = Vendor(manifest, mapping)
    assert [f"{rule.name}: {rule.wanted}" for rule in broken(vendor, LEVELS[1])] == []
