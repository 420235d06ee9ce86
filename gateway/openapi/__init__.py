"""What the gateway answers, described for programs (OpenAPI 3.1)."""
