"""A vendor for tests: rows on a shelf, asked for over HTTP; a test says how it misbehaves."""
