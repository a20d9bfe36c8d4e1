"""Chatwoot: contacts, conversations and messages."""
