"""Oracle NetSuite: how calls are signed."""
