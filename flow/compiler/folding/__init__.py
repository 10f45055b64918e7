"""Folding: the parallelism of each node."""
