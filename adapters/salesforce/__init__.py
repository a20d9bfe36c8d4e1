"""Salesforce: contacts, accounts, leads, cases, opportunities and orders; outbound messages."""
