"""Monotone regression of accuracy curves: the falling curve nearest to the points."""

import numpy as np
from scipy.interpolate import PchipInterpolator

from flow.statistics.intervals import Float

_HALVINGS = 40


def falling(accuracy: Float, weights: Float) -> Float:
    """Return the falling sequence of least weighted squares for each row.

    It is the least over a ≤ i of the largest over b ≥ i of the means of a..b (Robertson, Wright and
    Dykstra, Order Restricted Statistical Inference, 1988): for all rows at once, where
    `scipy.optimize.isotonic_regression` takes them one by one.

    Args:
        accuracy: [B, L], in the order of σ.
        weights: weight of each point, [L].

    Returns:
        [B, L], never rising along a row.
    """
    summed = np.pad(np.cumsum(accuracy * weights, axis=1), ((0, 0), (1, 0)))
    weight = np.pad(np.cumsum(weights), (1, 0))
    first, last = np.triu_indices(accuracy.shape[1])
    means = np.full((len(accuracy), *2 * accuracy.shape[1:]), -np.inf)
    means[:, first, last] = (summed[:, last + 1] - summed[:, first]) / (
        weight[last + 1] - weight[first]
    )
    largest = np.maximum.accumulate(means[:, :, ::-1], axis=2)[:, :, ::-1]
    before = np.tri(accuracy.shape[1], k=-1, dtype=bool)
    return np.asarray(np.where(before, np.inf, largest).min(axis=1))


def interpolated(x: Float, fallen: Float) -> PchipInterpolator:
    """Return the falling cubics through the points (Fritsch and Carlson, SINUM 1980).

    Args:
        x: place of each point, log σ, [L], two or more.
        fallen: [L] or [L, B], from `falling`.
    """
    return PchipInterpolator(x, fallen, axis=0)


def crossing(fallen: Float, x: Float, height: Float) -> Float:
    """Return where falling rows, interpolated, first reach a height.

    Args:
        fallen: [B, L], from `falling`.
        x: place of each point, log σ, [L].
        height: height of each row, [B].

    Returns:
        [B]: −inf where the first point is below the height, inf where no point is.
    """
    below = fallen < height[:, None]
    outside = np.where(below[:, 0], -np.inf, np.inf)
    if len(x) < 2:
        return outside
    segment = np.clip(below.argmax(axis=1), 1, len(x) - 1) - 1
    cubic = interpolated(x, fallen.T).c[:, segment, np.arange(len(fallen))]
    low, high = np.zeros(len(fallen)), np.diff(x)[segment]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = ((cubic[0] * middle + cubic[1]) * middle + cubic[2]) * middle + cubic[3] >= height
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(below[:, -1] & ~below[:, 0], x[segment] + low, outside)
