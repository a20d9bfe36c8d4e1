"""Stripe: customers and invoices of a payment account."""
