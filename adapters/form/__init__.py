"""Intake forms the hub hosts itself."""
