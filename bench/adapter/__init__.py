"""The benchmark's CRM: an adapter kept elsewhere, found by its entry point like any other."""
