"""WhatsApp Cloud API: messages of WhatsApp Business numbers."""
