"""Python API: networks with taps, walks, compilation and training from a script or a notebook.

Every function does what the command of the same name does, with networks and images in memory:
equal seeds give equal results. Wrong arguments raise a `flow.UserError` of one sentence.
"""

from flow.api.networks import checkpoint, compile, load, train
from flow.api.tapping import tap
from flow.api.walks import BitsWalk, HardwareWalk, Walk, walk, walk_hw

__all__ = [
    "BitsWalk",
    "HardwareWalk",
    "Walk",
    "checkpoint",
    "compile",
    "load",
    "tap",
    "train",
    "walk",
    "walk_hw",
]
