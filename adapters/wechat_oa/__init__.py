"""微信公众号: messages and events of a WeChat Official Account."""
