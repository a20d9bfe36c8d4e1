"""Salesforce: outbound messages."""
