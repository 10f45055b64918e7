"""A point of a walk: its noise, and one side's predictions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.noise import is_kind
from flow.rtl.scope import SCOPES
from flow.statistics.intervals import share
from flow.walks.points.side import Side


@dataclass(frozen=True, eq=False)
class Point:
    """Predictions of one side at one noise setting, image by image.

    Every side sees the same images in the same order; a side that sees fewer sees the first ones.
    A side's accuracy without noise is the point with site "" and sigma 0.
    """

    site: str
    """Tap, e.g. ``conv0.acc``; "" without noise."""
    kind: str
    """Name of the kind of noise, `flow.noise.Noise.kind`."""
    sigma: float
    """Noise level, in the run's unit; 0 without noise."""
    seed: int
    """Noise seed."""
    side: Side
    """Side that predicted it."""
    predictions: NDArray[Any]
    """Predicted class [images], or the value of a user's metric, float32 [images]."""
    bit_mismatches: int | None = None
    """rtl only: images whose final output differs from golden in any bit; None: not compared."""
    scope: str | None = None
    """rtl only: one of `SCOPES`."""
    shared: bool | None = None
    """Whether the images of a noise draw share noise; None: as the site and the kind have it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "side", Side(self.side))
        if not is_kind(self.kind):
            raise ValueError(f"no name of a kind of noise: {self.kind}")
        if self.scope is not None and self.scope not in SCOPES:
            raise ValueError(f"no such scope: {self.scope}")
        kinds = (np.uint8, np.uint16, np.float32)
        if self.predictions.dtype not in kinds or self.predictions.ndim != 1:
            raise ValueError("predictions must be uint8, uint16 or float32 [images]")
        # a site's own point of level 0 has the noise of all others
        if not np.isfinite(self.sigma) or self.sigma < 0 or (self.site == "" and self.sigma):
            raise ValueError(f"site '{self.site}' does not go with sigma {self.sigma}")

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.predictions.size)

    def correct(self, labels: NDArray[np.int64]) -> NDArray[Any]:
        """Value of each image (`counted`); labels: int64 [at least images]."""
        if self.images > len(labels):
            raise ValueError(f"{self.images} predictions, {len(labels)} labels")
        return counted(self.predictions, labels)

    def accuracy(self, labels: NDArray[np.int64]) -> list[float]:
        """Return the accuracy and the ends of its 95 % interval; labels as for `correct`."""
        return share(self.correct(labels).sum().item(), self.images)


def counted(predictions: NDArray[Any], labels: NDArray[np.int64]) -> NDArray[Any]:
    """Return each image's value: whether its class is the label, or its metric."""
    if predictions.dtype == np.float32:
        return predictions
    return np.asarray(predictions == labels[: len(predictions)])


@dataclass(frozen=True)
class NoisePoint:
    """One point to measure."""

    site: str
    """Empty for the clean network."""
    sigma: float
    draw: int = 0
    """Number of the noise draw; each has its own seed."""


@dataclass(frozen=True)
class PointRequest:
    """A point of one side that is to be measured."""

    side: Side
    place: NoisePoint
    images: int
    """Number of images; the first ones are taken."""
