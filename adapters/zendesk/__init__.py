"""Zendesk Support: tickets, users and organizations."""
