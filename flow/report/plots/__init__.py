"""Matplotlib pictures, one module an experiment."""
