"""企业微信 WeCom: customers, members, 微信客服; callbacks of apps, suites and bots."""
