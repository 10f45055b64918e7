"""Matplotlib pictures, one module per experiment."""
