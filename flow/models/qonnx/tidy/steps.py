"""Functions of one number with whole values, as the numbers at which these change by one.

All float32 numbers are searched, so that the steps are exact.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_LAST = int(np.finfo(np.float32).max.view(np.int32))
"""Place of the largest float32 in the order of all."""
_APART = 1 << 16
"""Places between the numbers at which a curve is probed for turns: 128 numbers in an octave."""
_SLACK = 2.0**-6
"""Fall of a rising curve, in steps of what counts it, that is taken for rounding."""
_MOST_TURNS = 16


def reach(falls: npt.ArrayLike, steps: int) -> tuple[int, int]:
    """Return the smallest and the largest count of steps, of which some may fall.

    Args:
        falls: whether each step falls, in the order of their numbers; empty if none does.
        steps: number of steps.
    """
    falling = np.asarray(falls, bool) if np.size(falls) else np.zeros(steps, bool)
    counts = np.cumsum([falling.sum(), *np.where(falling, -1, 1)])
    return int(counts.min()), int(counts.max())


@dataclass(frozen=True)
class Steps:
    """lowest + number of rising steps that are not above x + number of falling steps above x."""

    numbers: Floats
    """Least float32 behind each step, rising."""
    falls: npt.NDArray[np.bool_]
    """Whether the value falls by one at each step, rather than rises."""
    lowest: int


def steps_of(
    count: Callable[[Floats], npt.NDArray], curve: Callable[[Floats], npt.NDArray] | None = None
) -> Steps | None:
    """Return the steps of a function; None if there are none, or too many turns between them.

    Args:
        count: whole numbers, for float32 of the same shape.
        curve: what is counted, in steps, of which the count never falls; the count itself never
            falls if None.
    """
    turns = [] if curve is None else _turns(curve)
    if turns is None:
        return None
    found, falls = [np.zeros(0, np.int64)], [np.zeros(0, bool)]
    ends = np.array([-_LAST, *turns, _LAST])
    values = count(_number(ends)).astype(int)
    for (below, above), (first, last) in zip(pairwise(ends), pairwise(values), strict=True):
        sign = 1 if last > first else -1
        found.append(_changes(count, (below, above), sign, np.arange(first, last, sign) + sign))
        falls.append(np.full(len(found[-1]), sign < 0))
    places, falling = np.concatenate(found), np.concatenate(falls)
    if not len(places):
        return None
    return Steps(_number(places), falling, int(values[0]) - int(falling.sum()))


def _changes(
    count: Callable[[Floats], npt.NDArray], ends: tuple[int, int], sign: int, values: npt.NDArray
) -> npt.NDArray[np.int64]:
    """Return the first place between two at which a count reaches each value, upwards or down."""
    below, above = (np.full(len(values), end) for end in ends)
    while (above - below > 1).any():
        middle = (below + above) // 2
        reached = sign * count(_number(middle)) >= sign * values
        above, below = np.where(reached, middle, above), np.where(reached, below, middle)
    return above


def _turns(curve: Callable[[Floats], npt.NDArray]) -> list[int] | None:
    """Return the places where a curve ends to rise or to fall; None if it is no curve."""
    places = np.arange(-_LAST, _LAST + 1, _APART)
    heights = curve(_number(places))
    if np.isnan(heights).any():
        return None
    slopes = np.sign(np.diff(heights))
    moving = np.flatnonzero(slopes)
    # where a slope is another than the one before, and the end
    extremes = moving[1:][np.diff(slopes[moving]) != 0]
    found: list[int] = []
    best, rising = 0, None
    for index in (*extremes, len(heights) - 1):
        change = heights[index] - heights[best]
        if rising is None:
            rising, best = (change > 0, index) if abs(change) > _SLACK else (None, best)
        elif change == 0 or (change > 0) == rising:
            best = index
        elif abs(change) > _SLACK:
            if len(found) == _MOST_TURNS:
                return None
            found.append(_summit(curve, places[max(best - 1, 0)], places[best + 1], rising))
            best, rising = index, not rising
    return found


def _summit(curve: Callable[[Floats], npt.NDArray], low: int, high: int, rising: bool) -> int:
    """Return the place of a curve's highest value between two, or of its lowest."""
    places = np.unique(np.linspace(low, high, 4097).astype(np.int64))
    heights = curve(_number(places))
    return int(places[heights.argmax() if rising else heights.argmin()])


def _number(places: npt.NDArray[np.int64]) -> Floats:
    """Return the float32 at places in the order of all, of which 0 is the middle."""
    size = np.abs(places).astype(np.int32).view(np.float32)
    return np.where(places < 0, -size, size)
