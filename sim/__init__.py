"""Verilator builds, and the cocotb benches that drive them."""
