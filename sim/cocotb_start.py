"""How Python starts in a simulator: cocotb without pytest, whose import takes half of the time."""

import sys
from types import ModuleType, SimpleNamespace

USERS = (
    "sim.cocotb_start:import_cocotb",
    "cocotb.logging:_configure",
    "cocotb._init:init_package_from_simulation",
    "cocotb.regression:_run_regression",
)
"""Entry points for PYGPI_USERS: cocotb's own, without its measurement of coverage."""


def import_cocotb() -> None:
    """Import cocotb, which takes from pytest the exception of ``pytest.raises`` alone.

    A bench that imports pytest itself gets the real one, but cocotb rewrites no assertion.
    """
    stand_in = ModuleType("pytest")
    # failures that cocotb knows beside AssertionError
    vars(stand_in)["raises"] = SimpleNamespace(Exception=AssertionError)
    sys.modules["pytest"] = stand_in
    try:
        from cocotb.regression import RegressionManager
    finally:
        del sys.modules["pytest"]
    setattr(RegressionManager, "setup_pytest_assertion_rewriting", lambda manager: None)  # noqa: B010
