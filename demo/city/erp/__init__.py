"""The city's ERP: it signs in by OAuth2, tidies up what it is given, and caps its searches."""
