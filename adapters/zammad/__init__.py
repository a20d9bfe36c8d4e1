"""Zammad: tickets, their articles and customers."""
