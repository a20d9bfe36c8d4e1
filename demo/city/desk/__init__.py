"""The city's help desk: idempotency keys, a feed of what was deleted, webhooks that only name."""
