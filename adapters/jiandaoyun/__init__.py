"""简道云 Jiandaoyun: the records of chosen forms."""
