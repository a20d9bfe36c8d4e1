"""Any sender: proven by a recipe or by what it knows, its events found by paths."""
