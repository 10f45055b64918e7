"""Bit-exact integer model of a compiled graph."""
