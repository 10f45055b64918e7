"""What the workers of this machine have imported: they are forked from a process that did."""

import flow.walks.loading  # noqa: F401
from flow.compiler.finn import register_operators

register_operators()
