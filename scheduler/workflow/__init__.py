"""What a prompt's graph says: parse, validate, features, fingerprint (pure)."""
