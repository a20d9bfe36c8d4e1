"""Any system that signs its webhooks by the Standard Webhooks specification."""
