"""SendGrid: what became of mail that was sent."""
