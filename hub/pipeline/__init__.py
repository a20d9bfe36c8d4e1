"""The stories: ingest, pull, deliver, replay; each may run twice and changes things once."""
