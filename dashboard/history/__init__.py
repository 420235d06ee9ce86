"""Fills the store from the ledger's events."""
