"""Any system that sends CloudEvents 1.0 over HTTP."""
