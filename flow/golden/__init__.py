"""The bit-exact integer model of a compiled graph."""
