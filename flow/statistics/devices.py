"""Noise that all images of a run share: the noise draw is a device, and devices are a sample too.

Most noise is fresh for each image, and images are then the only unit that an interval needs. Not
so the error of programmed weights and a fixed pattern: there a noise draw is one realisation for
all images, a device, and the next device has another accuracy, whatever the number of images.

**Variance.** An estimate from images and devices has the variance of its bootstrap over images
plus that of a jackknife over the devices: V = (D − 1)/D · Σ (θ₋d − mean)², with θ₋d the estimate
without device d (Efron and Stein, Ann. Statist. 1981). What belongs to neither alone, since one
image is hard for one device, is in both: V is a little too large, the less the more images.
Devices of two sides are independent, and their variances are added.

**Quantiles.** A variance from few devices is itself uncertain, so that quantiles are Student's,
with the degrees of freedom of a sum of variances, ν = (Σ V)² / Σ (V² / ν) (Satterthwaite,
Biometrics Bulletin 1946): D − 1 of a side's devices, and as good as infinite of the images.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from flow.statistics.intervals import Z95

FEWEST = 4
"""Devices of each side that a statement takes: with fewer, small p-values come too often."""


Float = NDArray[np.float64]
Ends = tuple[float, float]


def by_device(accuracy: Float, clean: float) -> Float:
    """Return the accuracies of the devices among noise draws.

    Args:
        accuracy: of each draw at each level, [draws, L].
        clean: accuracy without noise.

    Returns:
        The same, or one row if all draws are of one device, as where the user has fixed it; draws
        that are alike because no noise has any effect are not taken for one.
    """
    alike = len(accuracy) > 1 and (accuracy == accuracy[0]).all() and (accuracy[0] != clean).any()
    return accuracy[:1] if alike else accuracy


class Spread(NamedTuple):
    """What devices add to the variance of an estimate."""

    variance: float
    dof: float
    """Degrees of freedom of the variance; 0: one device, whose variance nobody knows."""


def jackknife(without: Float) -> Spread:
    """Return the spread of an estimate over devices.

    Args:
        without: the estimate with each device left out, [D]; of one device, anything.
    """
    count = len(without)
    if count < 2:
        return Spread(float("inf"), 0.0)
    return Spread(float((count - 1) * without.var()), count - 1.0)


class Widened(NamedTuple):
    """A 95 % interval that holds the devices' part."""

    ends: Ends
    dof: float
    """Degrees of freedom."""
    share: float
    """Of the variance: what the devices add."""


def widened(estimate: Ends, ends: Ends, spreads: Sequence[Spread]) -> Widened:
    """Add the devices' part to a 95 % interval over images; each side keeps its own width.

    Args:
        estimate: twice the estimate, or the ends of its range.
        ends: of the interval over images.
        spreads: of each side's devices, with one degree of freedom or more.
    """
    below, above = (max(half, 0.0) / Z95 for half in (estimate[0] - ends[0], ends[1] - estimate[1]))
    images = ((below + above) / 2) ** 2
    devices = sum(spread.variance for spread in spreads)
    uncertain = sum(spread.variance**2 / spread.dof for spread in spreads)
    dof = (images + devices) ** 2 / uncertain if uncertain else float("inf")
    q = quantile(0.975, dof)
    low, high = (float(q * np.sqrt(half**2 + devices)) for half in (below, above))
    share = devices / (images + devices) if devices else 0.0
    return Widened((estimate[0] - low, estimate[1] + high), dof, share)


def quantile(p: float, dof: float) -> float:
    """Return Student's quantile; the normal one for infinite degrees of freedom."""
    return float(ndtri(p) if np.isinf(dof) else stdtrit(dof, p))
