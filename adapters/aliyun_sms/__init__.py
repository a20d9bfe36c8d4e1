"""阿里云短信 Aliyun SMS: how calls are signed."""
