"""Shopify: customers and orders of a shop."""
