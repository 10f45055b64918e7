"""Simulation, equivalence checks and synthesis of an accelerator."""
