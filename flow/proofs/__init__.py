"""Proofs of the hardware modules by model checking: ``hw/formal``, with SymbiYosys."""
