"""Deterministic simulation: the whole system in one process, on a virtual clock, in a faulty world."""
