"""Tests of samples that should be standard normal and independent."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

STANDARD_ERRORS = 6.0
"""Distance from the expected value, in standard errors, beyond which a figure fails; by chance 2 in
10^9 do."""
LAGS = 8
"""Distances along a row at which samples are compared."""
_BINS = 64
_BLOCK = 8
"""Samples in a block whose repetition is searched for."""

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Figure:
    """One figure of samples, and its limits."""

    name: str
    value: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether it lies within its limits."""
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        return f"{self.name} is {self.value:.4g}, must be {self.low:.4g} to {self.high:.4g}"


def figures(samples: Samples) -> Iterator[Figure]:
    """Yield figures of rows of samples: their distribution, correlations and repetitions.

    Each has a variance that is known for independent standard normal samples, and may lie
    `STANDARD_ERRORS` of it from what is expected.

    Args:
        samples: [rows, samples], two rows or more; values rounded as the hardware's are will do.
    """
    z = samples.ravel().astype(np.float64)
    n = z.size
    yield _around("mean", z.mean(), 0.0, 1 / n)
    yield _around("variance", float(np.mean(z**2)), 1.0, 2 / n)
    yield _around("share of negative samples", float(np.mean(np.signbit(z))), 0.5, 0.25 / n)
    yield _distribution(z)
    for lag in range(1, min(LAGS, samples.shape[1] - 1) + 1):
        yield correlation(f"samples at a distance of {lag}", samples[:, :-lag], samples[:, lag:])
    yield correlation("neighbouring rows", samples[:-1], samples[1:])
    squared = samples.astype(np.float64) ** 2 - 1
    # rows of one sample, as of a single score, have no neighbours
    if samples.shape[1] > 1:
        yield correlation("squares of neighbouring samples", squared[:, :-1], squared[:, 1:])
    yield _repetitions(samples)


def correlation(name: str, a: npt.NDArray, b: npt.NDArray) -> Figure:
    """Return the correlation of two arrays of samples, of the same shape and mean 0."""
    x, y = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    # sums in an order that does not depend on the number of threads
    r = float(np.sum(x * y) / math.sqrt(np.sum(x * x) * np.sum(y * y)))
    return _around(f"correlation of {name}", r, 0.0, 1 / x.size)


def _around(name: str, value: float, expected: float, variance: float) -> Figure:
    reach = STANDARD_ERRORS * math.sqrt(variance)
    return Figure(name, float(value), expected - reach, expected + reach)


def _distribution(z: npt.NDArray[np.float64]) -> Figure:
    """Return χ² of bins that are equally probable, as a normal deviate."""
    edges = ndtri(np.linspace(0, 1, _BINS + 1)[1:-1])
    counts = np.bincount(np.searchsorted(edges, z), minlength=_BINS)
    expected = z.size / _BINS
    chi2 = float(((counts - expected) ** 2).sum() / expected)
    deviate = (chi2 - (_BINS - 1)) / math.sqrt(2 * (_BINS - 1))
    # its upper tail is heavier than the normal one
    return Figure(f"χ² of {_BINS} bins, in standard errors", deviate, -STANDARD_ERRORS, 8.0)


def _repetitions(samples: Samples) -> Figure:
    """Count the blocks of a row that occur again, anywhere."""
    whole = samples[:, : samples.shape[1] // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    kept = np.ascontiguousarray(whole, dtype=np.float32).view(f"V{4 * _BLOCK}").ravel()
    again = len(kept) - len(np.unique(kept.view(f"S{4 * _BLOCK}")))
    return Figure(f"blocks of {_BLOCK} samples that occur again", float(again), 0.0, 0.0)
