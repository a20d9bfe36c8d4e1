"""Mailgun: incoming mail by Routes, and what became of mail that was sent."""
