"""Requests to a side, and the results of measuring them."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from flow.rtl.scope import FULL, SITE
from flow.walks.points.point import Point, PointRequest
from flow.walks.points.side import Side
from flow.walks.points.store import Store
from sim.runner import SimulationError


@dataclass(frozen=True)
class Batch:
    """Points of one measurement, which share work."""

    points: tuple[PointRequest, ...]

    @property
    def side(self) -> Side:
        """Side of the first point, which all have or share their measurement with."""
        return self.points[0].side


@dataclass(frozen=True)
class Failure:
    """A point whose simulation crashed, hung or stopped early, twice."""

    site: str
    sigma: float
    draw: int
    message: str
    command: str
    """Command that runs the simulation again."""

    @property
    def error(self) -> SimulationError:
        """The raised error."""
        return SimulationError(self.message, self.command)


@dataclass
class RtlSpeed:
    """Speed of the RTL simulation in this run."""

    images: int = 0
    seconds: float = 0.0
    """Total wall time of the simulator processes."""

    def add(self, images: int, seconds: float) -> None:
        """Count one process."""
        self.images += images
        self.seconds += seconds

    @property
    def seconds_per_image(self) -> float | None:
        """Seconds per core, start-up of the processes included; None if nothing was simulated."""
        return self.seconds / self.images if self.images else None


@dataclass
class Measured:
    """What was found."""

    points: list[Point] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    speed: RtlSpeed = field(default_factory=RtlSpeed)

    def add(self, more: "Measured") -> None:
        """Add the results of another process."""
        self.points += more.points
        self.failures += more.failures
        self.speed.add(more.speed.images, more.speed.seconds)


def propagate_mismatches(points: Sequence[Point]) -> list[Point]:
    """Add to the mismatches of partial simulations those of the whole network without noise.

    Args:
        points: those of RTL all on the same images.

    Raises:
        ValueError: there are partial simulations alone, and nothing checks the layers they skip.
    """
    if not any(point.scope == SITE for point in points):
        return list(points)
    whole = next((p for p in points if not p.site and p.scope == FULL), None)
    if whole is None or whole.bit_mismatches is None:
        raise ValueError("parts were simulated without the whole network: simulate it as well")
    return [
        replace(p, bit_mismatches=min(p.images, p.bit_mismatches + whole.bit_mismatches))
        if p.scope == SITE and p.bit_mismatches is not None
        else p
        for p in points
    ]


Done = Callable[[int], None]
"""Called with the number of points finished since the last call."""


Where = TypeVar("Where", bound=Hashable)


Group = TypeVar("Group", bound=Hashable)


def take_or_measure(
    store: Store,
    keys: Mapping[Where, dict],
    group: Callable[[Where], Group],
    measure: Callable[[Group, Sequence[Where]], Iterable[Point]],
    done: Done,
) -> list[Point]:
    """Take stored points, and measure the others, those of a group together.

    Args:
        store: where they lie.
        keys: what each point depends on.
        group: returns the group in which a point is measured.
        measure: given a group and its points that are missing: those points, in that order.
        done: called with the number of points finished since the last call.

    Returns:
        The points, in the order of the keys.
    """
    found = {where: store.get(key) for where, key in keys.items()}
    missing: dict[Group, list[Where]] = {}
    for where, point in found.items():
        if point is None:
            missing.setdefault(group(where), []).append(where)
    done(sum(point is not None for point in found.values()))
    for shared, wanted in missing.items():
        for where, point in zip(wanted, measure(shared, wanted), strict=True):
            found[where] = point
            store.put(keys[where], point)
            done(1)
    return [point for point in found.values() if point is not None]
