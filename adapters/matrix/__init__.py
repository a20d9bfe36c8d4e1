"""Matrix: rooms of a homeserver, with a bot that shows customers there."""
