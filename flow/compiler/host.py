"""The quantiser of the images, which runs on the host in front of an accelerator."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from qonnx.custom_op.general.multithreshold import multithreshold

from flow.compiler.graph.taps import grid
from flow.models.qonnx.tidy.steps import number_at, place_of, reach

Floats = npt.NDArray[np.float32]

ROUNDING = 2.0**-19
"""Distance of a network's own step from a threshold, relative to the largest threshold, that
float32's roundings may make; several of them, where the network scales its images first."""


@dataclass(frozen=True)
class HostQuantiser:
    """The network's first quantiser, which runs on the host: float image → integer stream."""

    thresholds: Floats
    """[rows, steps], in the unit of the network's input, with one row for all values, for each
    channel or for each value."""
    scale: float
    """Step of the output per threshold."""
    bias: float
    """Output below the first threshold."""
    datatype: str
    """QONNX type of the integer stream."""
    channels_last: bool
    """Whether the stream is (H, W, C), for a convolution, rather than (C, H, W)."""
    falls: Sequence[int] = ()
    """Whether each step falls; empty if none does."""
    falling: Sequence[int] = ()
    """Whether each row falls, behind a negative gain; empty if none does."""

    @property
    def levels(self) -> tuple[int, int, int]:
        """Smallest and largest values of the stream, and the step between values."""
        counts = reach(self.thresholds, self.falls, self.falling)
        low, high = (int(self.bias + self.scale * count) for count in counts)
        return low, high, int(self.scale) * grid(self.thresholds)

    def __call__(self, x: Floats) -> npt.NDArray[np.int32]:
        """Quantise images, float32 [N, C, H, W], to the stream's order, int32 [N, elements]."""
        if len(self.thresholds) not in (1, x.shape[1]):
            # the network flattens its images first
            x = x.reshape(len(x), -1)
        counts = multithreshold(x, self.thresholds)
        if falls := np.flatnonzero(self.falls).tolist():
            counts = counts + len(falls) - 2 * multithreshold(x, self.thresholds[:, falls])
        if len(self.falling):
            rows = np.reshape(self.falling, (-1, *[1] * (x.ndim - 2)))
            counts = np.where(rows, self.thresholds.shape[1] - counts, counts)
        values = (self.scale * counts + self.bias).astype(np.int32)
        if self.channels_last:
            values = values.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(values).reshape(len(x), -1)

    def rounding_as(
        self, network: Callable[[Floats], npt.NDArray], shape: tuple[int, int, int]
    ) -> Self:
        """Return the quantiser that rounds each image as a network in float32 does.

        Each threshold moves to the smallest number at which the network's own value steps. A
        threshold near which it does not step stays where it is.

        Args:
            network: the network's own quantised values, of images float32 [N, C, H, W], as
                [N, elements] in the stream's order and any unit.
            shape: (C, H, W) of the images.
        """
        steps = self.thresholds.shape[1]
        rows = len(self.thresholds)
        share = int(np.prod(shape)) // rows
        step = np.arange(steps)
        image = np.broadcast_to(step // share, self.thresholds.shape)
        elements = np.arange(rows * share).reshape(rows, share)
        pixel = elements[:, step % share]

        def values(tried: Floats) -> npt.NDArray:
            """Return the network's values where each threshold's number is tried."""
            images = np.zeros((image.max() + 1, rows * share), np.float32)
            images[image, pixel] = tried
            found = network(images.reshape(-1, *shape))
            if self.channels_last:
                channels, height, width = shape
                found = found.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
            return found.reshape(images.shape)[image, pixel]

        low, high = (place_of(ends) for ends in _around(self.thresholds))
        above = values(number_at(high))
        moves = (values(number_at(low)) != above) & np.isfinite(self.thresholds)
        while (moves & (high - low > 1)).any():
            middle = (low + high) // 2
            passed = values(number_at(middle)) == above
            low, high = np.where(passed, low, middle), np.where(passed, middle, high)
        return replace(self, thresholds=np.where(moves, number_at(high), self.thresholds))


def _around(thresholds: Floats) -> tuple[Floats, Floats]:
    """Return what is below and above each threshold and no other, within float32's rounding."""
    largest = float(np.abs(thresholds[np.isfinite(thresholds)]).max(initial=0))
    # no value steps beyond all thresholds
    exact = np.clip(thresholds.astype(np.float64), -2 * largest, 2 * largest)
    radius = np.full(exact.shape, largest * ROUNDING)
    for row, radii in zip(exact, radius, strict=True):
        distinct, where = np.unique(row, return_inverse=True)
        halves = np.diff(distinct, prepend=-np.inf, append=np.inf) / 2
        radii[:] = np.minimum(radii, np.minimum(halves[:-1], halves[1:])[where])
    return (exact - radius).astype(np.float32), (exact + radius).astype(np.float32)
