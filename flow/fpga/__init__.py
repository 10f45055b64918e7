"""Accelerators on real FPGAs: placed and routed, simulated as netlists, exported to other tools."""
