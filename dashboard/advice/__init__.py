"""Advice: what would make work faster, found in what was recorded, with the statistics behind it."""
