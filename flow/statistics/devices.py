"""Statistics of noise that all images share: each noise draw is a device, and devices are sampled.

Most noise is fresh for each image, so images are the only unit that an interval needs. Errors of
programmed weights and fixed patterns differ: one noise draw is one realisation for all images, a
device, and the next device has another accuracy, however many images are used.

**Variance.** An estimate from images and devices has the variance of its bootstrap over images
plus that of a jackknife over the devices: V = (D − 1)/D · Σ (θ₋d − mean)², with θ₋d the estimate
without device d (Efron and Stein, Ann. Statist. 1981). The interaction of images and devices is
counted in both terms, so V is slightly too large; the excess falls with the number of images.
Devices of two sides are independent, so their variances add.

**Quantiles.** A variance from few devices is itself uncertain, so quantiles are Student's, with the
degrees of freedom of a sum of variances, ν = (Σ V)² / Σ (V² / ν) (Satterthwaite, Biometrics
Bulletin 1946): D − 1 for the devices of a side, and practically infinite for the images.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from flow.statistics.intervals import Z95

FEWEST = 4
"""Smallest number of devices per side for a verdict: fewer make small p-values too frequent."""


Float = NDArray[np.float64]
Ends = tuple[float, float]


def by_device(accuracy: Float, clean: float) -> Float:
    """Return the accuracies of the devices among noise draws.

    Args:
        accuracy: accuracy of each draw at each level, [draws, L].
        clean: accuracy without noise.

    Returns:
        ``accuracy`` itself, or its first row if all draws are of one device because the user has
        fixed it. Draws that are equal because the noise has no effect still count as several.
    """
    alike = len(accuracy) > 1 and (accuracy == accuracy[0]).all() and (accuracy[0] != clean).any()
    return accuracy[:1] if alike else accuracy


class Spread(NamedTuple):
    """Contribution of the devices to the variance of an estimate."""

    variance: float
    dof: float
    """Degrees of freedom of the variance; 0 for a single device, whose variance is unknown."""


def jackknife(without: Float) -> Spread:
    """Return the spread of an estimate over devices.

    Args:
        without: the estimate with each device left out, [D]; ignored for a single device.
    """
    count = len(without)
    if count < 2:
        return Spread(float("inf"), 0.0)
    return Spread(float((count - 1) * without.var()), count - 1.0)


class Widened(NamedTuple):
    """A 95 % interval that includes the variance of the devices."""

    ends: Ends
    dof: float
    """Degrees of freedom."""
    share: float
    """Share of the variance that the devices contribute, in [0, 1]."""


def widened(estimate: Ends, ends: Ends, spreads: Sequence[Spread]) -> Widened:
    """Widen a 95 % interval over images by the variance of the devices, each end by its own width.

    Args:
        estimate: twice the estimate, or the ends of its range.
        ends: both ends of the interval over images.
        spreads: the spread over each side's devices, with at least one degree of freedom.
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
