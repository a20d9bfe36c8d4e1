"""Odoo: partners, products, orders, invoices, leads, tickets and tasks; webhooks of its rules."""
