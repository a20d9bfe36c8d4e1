"""Tryton ERP: parties, products, sales and customer invoices; parties can be written back."""
