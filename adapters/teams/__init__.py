"""Microsoft Teams: what colleagues ask the hub in a channel."""
