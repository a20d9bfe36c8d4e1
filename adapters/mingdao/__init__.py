"""明道云 Mingdao HAP: how calls are signed."""
