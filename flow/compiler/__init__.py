"""Compiler from a Brevitas network to RTL with noise taps."""
