"""The profile: a pure function of the records behind it."""
