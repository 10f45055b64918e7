"""Confidence intervals of proportions, and percentile intervals."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri

Z95 = float(ndtri(0.975))
"""Normal quantile of a 95 % interval."""


Float = NDArray[np.float64]


def wilson(correct: ArrayLike, images: ArrayLike) -> tuple[Float, Float]:
    """Return the 95 % score interval of a proportion (Wilson, JASA 1927).

    Args:
        correct: successes, any shape.
        images: trials, same shape, > 0.

    Returns:
        Lower and upper ends, of the same shape.
    """
    n = np.asarray(images, dtype=np.float64)
    p = np.asarray(correct, dtype=np.float64) / n
    z2 = Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def share(correct: float, images: int) -> list[float]:
    """Return a proportion and the ends of its 95 % interval (`wilson`)."""
    low, high = wilson(correct, images)
    return [correct / images, float(low), float(high)]


def upper_bound(count: int, trials: int) -> float:
    """Return the upper 95 % bound of a proportion (Clopper and Pearson, Biometrika 1934).

    Args:
        count: successes.
        trials: trials, > 0.
    """
    if count >= trials:
        return 1.0
    return float(betaincinv(count + 1, trials - count, 0.95))


def percentile_ends(resampled: Float) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % points, at ranks of (B + 1): their coverage holds for every B."""
    lo, hi = np.quantile(resampled, (0.025, 0.975), method="weibull")
    return float(lo), float(hi)
