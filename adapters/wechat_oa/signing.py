"""The signature a page inside 微信 needs.

Source: https://developers.weixin.qq.com/doc/service/guide/h5/jssdk.html (checked 2026-11)
"""

from __future__ import annotations

import hashlib


def jsapi_signature(ticket: str, nonce: str, timestamp: str, url: str) -> str:
    """What ``wx.config`` wants for a page of this URL: hex SHA-1."""
    page = url.partition("#")[0]
    told = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={page}"
    return hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()
