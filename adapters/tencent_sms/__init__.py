"""腾讯云短信 Tencent Cloud SMS: how calls are signed."""
