"""阿里云短信 Aliyun SMS: messages by template, their receipts, and what customers reply."""
