"""Comparisons, estimates and monitoring: how fast they are, and whether monitoring keeps its promise."""
