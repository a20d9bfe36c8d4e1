"""The contract suite over every adapter there is; a new vendor gets it by existing."""

from __future__ import annotations

from hub import mapping, registry
from hub.sdk.testing import contract_tests

globals().update(
    {f"Test_{name}": contract_tests(found, mapping) for name, found in registry.manifests().items()}
)
