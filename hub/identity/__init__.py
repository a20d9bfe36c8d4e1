"""Whose record is it? Evidence in, customers out; nothing here reads or writes anything."""
