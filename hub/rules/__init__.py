"""IF-THEN: what changed in, intended writes out."""
