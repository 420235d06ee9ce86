"""The SQL store: job history, user files, settings."""
