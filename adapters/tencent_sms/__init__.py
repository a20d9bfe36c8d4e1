"""腾讯云短信 Tencent Cloud SMS: messages by template, their receipts, and customers' replies."""
