"""Worlds of discrete events in which the production ``plan`` decides, in simulated time."""
