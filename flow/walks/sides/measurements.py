"""The measurement of each side, and the code on which its figures depend."""

import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

from flow.walks.context import WalkContext
from flow.walks.points.measurement import Measured
from flow.walks.points.point import Point, PointRequest
from flow.walks.points.side import Side
from flow.walks.sides import golden, integer, rtl, software

Measure = Callable[[WalkContext, Sequence[PointRequest], Measured], Iterator[Point]]
"""Measures points that share work; failures and the simulator's speed go into `Measured`."""


@dataclass(frozen=True)
class Measurement:
    """The measurement of one side."""

    measure: Measure
    shares: Callable[[PointRequest], Hashable]
    """Key that points must share to be measured together."""

    @property
    def numerics(self) -> ModuleType:
        """The module that computes; the side's figures depend on it and on all it imports."""
        return sys.modules[self.measure.__module__]


def _site(one: PointRequest) -> Hashable:
    # levels, draws and both software sides share the clean part before the site
    return "software", one.place.site, one.images


def _draw(one: PointRequest) -> Hashable:
    # levels share their samples
    return one.side, one.place.site, one.place.draw, one.images


_SOFTWARE = Measurement(software.measure, _site)
_INTEGER = Measurement(integer.measure, _draw)

MEASUREMENTS: dict[Side, Measurement] = {
    Side.SOFTWARE: _SOFTWARE,
    Side.SOFTWARE_HARDWARE_RNG: _SOFTWARE,
    Side.INTEGER: _INTEGER,
    Side.INTEGER_HARDWARE_RNG: _INTEGER,
    Side.GOLDEN: Measurement(golden.measure, _draw),
    Side.RTL: Measurement(rtl.measure, lambda one: one.side),
}
