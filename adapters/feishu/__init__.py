"""飞书 Feishu and Lark: events, card callbacks and the help desk."""
