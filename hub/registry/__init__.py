"""What is installed (manifests) and what is configured (connections)."""

from __future__ import annotations

from hub.registry.apply import apply, check_settings
from hub.registry.hub import Hub, open_catalogue, open_hub, open_vault
from hub.registry.live import Live, Registry
from hub.registry.manifests import ROOT, Manifest, manifest, manifests
from hub.registry.plans import plan_of

__all__ = [
    "ROOT",
    "Hub",
    "Live",
    "Manifest",
    "Registry",
    "apply",
    "check_settings",
    "manifest",
    "manifests",
    "open_catalogue",
    "open_hub",
    "open_vault",
    "plan_of",
]
