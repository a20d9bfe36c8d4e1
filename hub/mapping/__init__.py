"""Vendor fields to canonical records and back, as an administrator's YAML says."""

from __future__ import annotations

from hub.mapping.read import to_canonical
from hub.mapping.spec import Mapping, load
from hub.mapping.transforms import TRANSFORMS, Transform
from hub.mapping.write import to_vendor

__all__ = ["TRANSFORMS", "Mapping", "Transform", "load", "to_canonical", "to_vendor"]
