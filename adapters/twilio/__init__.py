"""Twilio: messages by SMS and WhatsApp."""
