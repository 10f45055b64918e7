"""cocotb without pytest, whose import takes longer than all else of a simulator's start.

cocotb compares what ends a test with three of pytest's exceptions, and asks pytest to rewrite
assertions, which no bench here needs. Stand-ins take the place of both. So a bench cannot skip
itself by pytest; it may import pytest for anything else.
"""

import os
import sys
from types import ModuleType, SimpleNamespace


def load() -> None:
    """Run cocotb in this simulator; named in ``PYGPI_USERS``, of which cocotb's own take over."""
    stand_in = ModuleType("pytest")
    for name in ("raises", "skip", "xfail"):
        ending = type(name, (BaseException,), {})
        setattr(stand_in, name, SimpleNamespace(Exception=ending))
    sys.modules["pytest"] = stand_in
    from cocotb.regression import RegressionManager

    del sys.modules["pytest"]
    RegressionManager.setup_pytest_assertion_rewriting = staticmethod(lambda: None)  # type: ignore
    from pygpi import entry

    del os.environ["PYGPI_USERS"]
    entry.load_entry()
