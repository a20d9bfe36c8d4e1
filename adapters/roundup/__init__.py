"""Roundup issue tracker: issues, messages, customers and agents; issues can be written back."""
