"""Experiments, one per module, from settings to a results folder."""
