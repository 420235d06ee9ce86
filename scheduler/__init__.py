"""Decides which job runs where and when, and keeps the books of it."""
