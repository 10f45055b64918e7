"""What is asked of a side, and what measuring it gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from flow.walk.points.noise_setting import PointRequest
from flow.walk.points.side import Side
from flow.walk.points.store import FULL, SITE, Point
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
    """A point whose simulation crashed, hung or broke off, twice."""

    site: str
    sigma: float
    draw: int
    message: str
    command: str
    """Command that runs the simulation again."""

    @property
    def error(self) -> SimulationError:
        """The error as it was raised."""
        return SimulationError(self.message, self.command)


@dataclass
class RtlSpeed:
    """How fast the RTL was simulated in this run."""

    images: int = 0
    seconds: float = 0.0
    """Wall time of the simulator processes, added up."""

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
        """Take up what another process found."""
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
