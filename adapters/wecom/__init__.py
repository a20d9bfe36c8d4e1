"""企业微信 WeCom: callbacks of apps, suites and bots."""
