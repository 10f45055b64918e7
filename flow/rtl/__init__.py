"""Simulating, checking and synthesising an accelerator."""
