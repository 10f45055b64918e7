"""Measurement of each side of a walk."""
