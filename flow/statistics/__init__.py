"""Estimates and tests on NumPy arrays; knows no network."""
