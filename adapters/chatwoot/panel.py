"""The dashboard app in Chatwoot: the card of the contact, as a tab beside the conversation.

Source: https://www.chatwoot.com/hc/user-guide/articles/1677691702-how-to-use-dashboard-apps
(checked 2026-11)
"""

from __future__ import annotations

from hub.sdk import Panel


class ChatwootPanel(Panel):
    """Chatwoot tells the page in a frame which conversation stands open, and signs nothing."""

    script = "panel.js"
