"""Noise as the hardware computes it, bit for bit."""
