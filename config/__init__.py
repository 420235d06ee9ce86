"""What an admin may set: one YAML file, validated, reloaded while running."""
