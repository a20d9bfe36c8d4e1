"""Any JSON API, described in one TOML file."""
