"""What people and programs see: the API, the card, the pages; nothing here decides."""

from __future__ import annotations

from hub.web.app import create_app

__all__ = ["create_app"]
