"""Measuring the points of a noise walk on every side."""
