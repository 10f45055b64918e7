"""Imports of this machine's workers: they are forked from a process that has done them."""

import flow.walks.loading  # noqa: F401
from flow.compiler.finn import register_operators

register_operators()
