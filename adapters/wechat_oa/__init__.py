"""微信公众号: followers of a WeChat Official Account, and messages both ways."""
