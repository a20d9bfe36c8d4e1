"""The demo vendor: an account in memory, for tests and for a first run without any account."""
