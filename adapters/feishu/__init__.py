"""飞书 Feishu and Lark: events, the help desk, the address book, a table, approvals, messages."""
