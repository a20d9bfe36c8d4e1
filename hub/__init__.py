"""Conduit (管联): the hub's own code; vendors live in ``adapters``."""
