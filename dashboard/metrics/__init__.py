"""What Prometheus reads: figures of the pool as it is, and counts of what has happened."""
