"""Freshdesk: tickets that an automation rule speaks of."""
