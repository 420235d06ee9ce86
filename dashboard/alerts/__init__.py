"""What somebody should know: rules, what is true of them, and who is told (docs/alerts.md)."""
