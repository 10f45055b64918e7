"""Estimates and tests on NumPy arrays, independent of any network."""
