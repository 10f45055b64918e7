"""Walking noise through quantised networks, in software and in the RTL generated from them.

The Python API, loaded at the first use of a name:

    net = flow.tap(model)
    walk = flow.walk(net, images, labels, noise=flow.Additive())
    walk["conv1.acc"].midpoint
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# torch's threads would spin while they wait, against the simulators that need the cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from flow.api import (
        BitsWalk,
        HardwareWalk,
        Walk,
        checkpoint,
        compile,
        load,
        tap,
        train,
        walk,
        walk_hw,
    )
    from flow.errors import UserError
    from flow.models import Network
    from flow.noise import (
        Additive,
        Drift,
        Empirical,
        FixedPattern,
        Mixed,
        Multiplicative,
        Noise,
    )

_HOMES = {
    "flow.api": (
        "BitsWalk", "HardwareWalk", "Walk", "checkpoint", "compile", "load", "tap", "train", "walk",
        "walk_hw",
    ),
    "flow.errors": ("UserError",),
    "flow.models": ("Network",),
    "flow.noise": (
        "Additive", "Drift", "Empirical", "FixedPattern", "Mixed", "Multiplicative", "Noise",
    ),
}  # fmt: skip
"""Public names, by the module that each comes from."""
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Additive",
    "BitsWalk",
    "Drift",
    "Empirical",
    "FixedPattern",
    "HardwareWalk",
    "Mixed",
    "Multiplicative",
    "Network",
    "Noise",
    "UserError",
    "Walk",
    "checkpoint",
    "compile",
    "load",
    "tap",
    "train",
    "walk",
    "walk_hw",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'flow' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
