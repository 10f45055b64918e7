"""Bit-exact model of the noise in hardware."""
