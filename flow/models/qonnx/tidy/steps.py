"""Functions of one number with whole values, as the numbers at which these change by one.

All float32 numbers are searched, so that the steps are exact.
"""

from collections.abc import Callable, Sequence
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


def reach(
    rows: npt.NDArray, falls: Sequence[int] = (), falling: Sequence[int] = ()
) -> tuple[int, int]:
    """Return the smallest and the largest count of steps that any number has.

    Args:
        rows: number at which each step is, [C, steps], in any order; it may be infinite.
        falls: whether each step falls; empty if none does.
        falling: whether all steps of each row do the opposite; empty if those of none do.
    """
    down = np.zeros(rows.shape, bool)
    for axis, found in enumerate((falling, falls)):
        if len(found):
            down ^= np.expand_dims(np.asarray(found, bool), 1 - axis)
    order = rows.argsort(axis=1)
    signs, numbers = (np.take_along_axis(one, order, 1) for one in (1 - 2 * down, rows))
    ends = np.full((len(rows), 1), np.inf)
    counts = np.hstack((np.zeros_like(signs[:, :1]), signs)).cumsum(1) + down.sum(1)[:, None]
    between = counts[np.hstack((-ends, numbers)) < np.hstack((numbers, ends))]
    return int(between.min()), int(between.max())


@dataclass(frozen=True)
class Steps:
    """lowest + number of rising steps that are not above x + number of falling steps above x."""

    numbers: Floats
    """Least float32 behind each step, rising."""
    falls: npt.NDArray[np.bool_]
    """Whether the value falls by one at each step, rather than rises."""
    lowest: int


def of_channels(every: Sequence[Steps]) -> tuple[Floats, npt.NDArray[np.bool_], int]:
    """Return the steps of all channels side by side, of which the same fall in each.

    A channel with fewer of them has others at infinity, which count for every number or for none.

    Returns:
        The numbers [C, steps], which steps fall, and the count without any step.
    """
    first = every[0]
    if all(s.lowest == first.lowest and np.array_equal(s.falls, first.falls) for s in every):
        return np.stack([one.numbers for one in every]), first.falls, first.lowest
    lowest = min(one.lowest for one in every)
    down = max(int(one.falls.sum()) for one in every)
    up = max(one.lowest - lowest + int((~one.falls).sum()) for one in every)
    rows = np.full((len(every), down + up), np.inf, np.float32)
    for row, one in zip(rows, every, strict=True):
        always = one.lowest - lowest
        falls, rises = one.numbers[one.falls], one.numbers[~one.falls]
        row[: down + always] = -np.inf
        row[: len(falls)] = falls
        row[down + always :][: len(rises)] = rises
    return rows, np.arange(down + up) < down, lowest


def steps_at(count: Callable[[Floats], npt.NDArray], numbers: Floats) -> Steps:
    """Return the steps of a function that changes at some numbers alone.

    Args:
        count: whole numbers, for float32 of the same shape.
        numbers: least float32 behind each possible step.
    """
    numbers = np.unique(numbers)
    values = count(np.append(number_at(np.array([-_LAST])), numbers)).astype(int)
    changes = np.diff(values)
    falls = np.repeat(changes < 0, np.abs(changes))
    return Steps(np.repeat(numbers, np.abs(changes)), falls, int(values[0] - falls.sum()))


def steps_of(
    count: Callable[[Floats], npt.NDArray], curve: Callable[[Floats], npt.NDArray] | None = None
) -> Steps | None:
    """Return the steps of a function; None if there are too many turns between them.

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
    values = count(number_at(ends)).astype(int)
    for (below, above), (first, last) in zip(pairwise(ends), pairwise(values), strict=True):
        sign = 1 if last > first else -1
        found.append(_changes(count, (below, above), sign, np.arange(first, last, sign) + sign))
        falls.append(np.full(len(found[-1]), sign < 0))
    places, falling = np.concatenate(found), np.concatenate(falls)
    return Steps(number_at(places), falling, int(values[0]) - int(falling.sum()))


def _changes(
    count: Callable[[Floats], npt.NDArray], ends: tuple[int, int], sign: int, values: npt.NDArray
) -> npt.NDArray[np.int64]:
    """Return the first place between two at which a count reaches each value, upwards or down."""
    below, above = (np.full(len(values), end) for end in ends)
    while (above - below > 1).any():
        middle = (below + above) // 2
        reached = sign * count(number_at(middle)) >= sign * values
        above, below = np.where(reached, middle, above), np.where(reached, below, middle)
    return above


def _turns(curve: Callable[[Floats], npt.NDArray]) -> list[int] | None:
    """Return the places where a curve ends to rise or to fall; None if it is no curve."""
    places = _PROBED
    heights = curve(NUMBERS)
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
    heights = curve(number_at(places))
    return int(places[heights.argmax() if rising else heights.argmin()])


def number_at(places: npt.NDArray[np.int64]) -> Floats:
    """Return the float32 at places in the order of all, of which 0 is the middle."""
    size = np.abs(places).astype(np.int32).view(np.float32)
    return np.where(places < 0, -size, size)


def place_of(numbers: Floats) -> npt.NDArray[np.int64]:
    """Return the places of float32 numbers in the order of all, of which 0 is the middle."""
    size = np.abs(numbers).view(np.int32).astype(np.int64)
    return np.where(numbers < 0, -size, size)


_PROBED = np.arange(-_LAST, _LAST + 1, _APART)
NUMBERS = number_at(_PROBED)
"""Numbers of every size, at which a curve is probed."""
