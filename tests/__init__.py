"""Tests; they mirror the packages, and what tests share is in ``helpers`` and ``benches``."""
