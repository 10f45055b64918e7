"""Folding: how parallel each node is."""
