"""Signatures our own pages and calls need at 企业微信.

Source: https://developer.work.weixin.qq.com/document/path/90506 (checked 2026-11)
"""

from __future__ import annotations

import hashlib


def jsapi_signature(ticket: str, nonce: str, timestamp: str, url: str) -> str:
    """What ``wx.config`` and ``wx.agentConfig`` want: hex SHA-1.

    The ticket is the corp's for the one, the app's for the other; the URL is the page's own.
    """
    page = url.partition("#")[0]
    told = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={page}"
    return hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()
