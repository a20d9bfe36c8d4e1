"""Slack: events, slash commands and interactive messages."""
