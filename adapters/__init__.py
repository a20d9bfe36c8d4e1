"""One folder per vendor; each knows only ``hub.sdk``."""
