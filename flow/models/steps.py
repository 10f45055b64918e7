"""A common step of two streams of unlike steps, for their sum in whole numbers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

EXACT = 2.0**-22
"""Relative error of a ratio that float32's own rounding explains."""
SMALL = 64
"""Largest number of parts of a step that are looked for to make a ratio exact."""
NEAR = 2.0**-16
"""Relative error of a ratio that is near enough elsewhere: small gains make narrow sums."""
NEAR_OF_MANY = 2.0**-12
"""The same for streams that stand side by side, whose values a layer reads with all their bits."""
FAR_OF_MANY = 2.0**-7
"""The same where a layer takes no more bits."""
MOST_GAIN = 1 << 14
"""Bound of gains, unless the steps lie further apart: a ratio is right to about 2^−15 or better."""

Floats = npt.NDArray[np.float64]


def common_steps(left: Floats, right: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return whole gains of two steps, [2, C], and the step of which both are such multiples, [C].

    Ratios of small whole numbers are exact up to float32's rounding. The common step is above 0: a
    negative step has a negative gain.

    Args:
        left: steps of the channels, [C] or [1] for all, other than 0.
        right: those of the other stream.
    """
    steps = np.array(np.broadcast_arrays(left, right), np.float64)
    small, large = np.sort(np.abs(steps), axis=0)
    ratio = large / small
    most = np.maximum(1, MOST_GAIN / ratio)
    parts, done = np.ones_like(ratio), np.zeros(ratio.shape, bool)
    for bound, tolerance in ((SMALL, EXACT), (MOST_GAIN, NEAR)):
        least = np.full_like(ratio, np.inf)
        for tried in range(1, bound + 1):
            left_over = ~done & (tried <= most)
            if not left_over.any():
                break
            error = np.abs(np.rint(ratio * tried) / (ratio * tried) - 1)
            better = left_over & (error < least)
            parts[better], least[better] = tried, error[better]
            done |= left_over & (error <= tolerance)
    # what is beyond all widths stays so
    times = np.minimum(np.rint(ratio * parts), 2.0**62)
    gains = np.where(np.abs(steps) == large, times, parts) * np.sign(steps)
    # of the larger step, whose gain has the smaller relative error
    return gains.astype(np.int64), large / times


def common_multiples(
    steps: Sequence[float], most: Sequence[int] | None = None
) -> tuple[list[int], float]:
    """Return a whole gain of each of several steps, and the step of which all are such multiples.

    Args:
        steps: of the streams, all above 0.
        most: largest gain of each that their readers take; other gains are returned only if none
            of these is right to 2^−7.
    """
    ratios = np.array(steps, np.float64) / min(steps)
    bounds = np.full_like(ratios, np.inf) if most is None else np.array(most, np.float64)
    found = np.ones_like(ratios)
    for bound, tolerance in ((SMALL, EXACT), (MOST_GAIN, NEAR_OF_MANY)):
        least = np.inf
        for parts in range(1, bound + 1):
            gains = np.rint(ratios * parts)
            if (gains > bounds).any():
                break
            error = np.abs(gains / (ratios * parts) - 1).max()
            if error < least:
                found, least = gains, error
            if error <= tolerance:
                break
        if least <= tolerance:
            break
    if least > FAR_OF_MANY and most is not None:
        return common_multiples(steps)
    largest = int(np.argmax(steps))
    return found.astype(int).tolist(), float(steps[largest] / found[largest])


def common_step(left: float, right: float) -> tuple[tuple[int, int], float]:
    """Return whole gains of two steps, and the step of which both are about such multiples.

    Args:
        left: a step, above 0.
        right: another one, above 0.
    """
    gains, step = common_steps(np.array([left]), np.array([right]))
    return (int(gains[0, 0]), int(gains[1, 0])), float(step[0])
