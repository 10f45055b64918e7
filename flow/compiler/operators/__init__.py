"""FINN operators implemented by modules of ``hw/``."""
