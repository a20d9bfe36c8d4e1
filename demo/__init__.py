"""The demo: real systems to connect, the people they know, and stories to watch."""
