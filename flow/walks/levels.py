"""Noise levels, found where the accuracy falls."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

_FACTOR = 4.0  # coarse search; each edge is then halved (in log σ) twice, to √2
_REACH = 6  # coarse steps in each direction: a guess of the scale may be wrong by 4096
_EDGE = 0.02

SEARCH_REACH = _FACTOR**_REACH
"""How many times above, or below, the hint the search may go."""


def choose_levels(
    accuracy: Callable[[float], float],
    clean: float,
    guess: float,
    *,
    hint: float = 1.0,
    count: int = 9,
    tolerance: float = _EDGE,
) -> list[float]:
    """Find `count` levels from "no effect" to "guessing".

    Coarse steps of 4 from the hint until both edges are enclosed, then two bisections of each
    edge in log σ: 5 to 18 evaluations, usually 8. The levels are spaced evenly in log σ, which
    spaces them evenly along the logistic too. A curve that levels off above guessing counts as
    fallen where two coarse steps change nothing any more, if it is then below half way.

    Args:
        accuracy: measures the accuracy at a σ; expensive, and may be noisy.
        clean: accuracy without noise, in [0, 1].
        guess: accuracy of guessing.
        hint: where the fall might be, in the unit of σ, e.g. the standard deviation of the
            layer's output.
        count: number of levels, at least 2.
        tolerance: how near to clean or to guessing counts as there, in accuracy; should be no
            less than the standard error of `accuracy`.

    Returns:
        Ascending levels of three significant digits. Where the search ends before an edge is
        found (4096 times above or below the hint), they reach to the end of the search; for a
        curve that never falls, they are a ladder from the hint up to it (down, for one that has
        fallen everywhere).
    """
    if count < 2 or hint <= 0 or not math.isfinite(hint):
        raise ValueError("choose_levels needs two levels or more and a finite hint above zero")
    seen: dict[float, float] = {}

    def at(log_sigma: float) -> float:
        if log_sigma not in seen:
            seen[log_sigma] = accuracy(hint * _FACTOR**log_sigma)
        return seen[log_sigma]

    def untouched(log_sigma: float) -> bool:
        return at(log_sigma) >= clean - tolerance

    floor = guess

    def fallen(log_sigma: float) -> bool:
        return at(log_sigma) <= floor + tolerance

    half = (clean + guess) / 2
    top = 0
    while top < _REACH and not fallen(top):
        flat = top >= 2 and at(top - 2) - at(top) <= tolerance / 2
        if flat and at(top) < half:
            floor = at(top)
            break
        top += 1
    if not fallen(top) and untouched(top):
        return _ladder(hint, hint * _FACTOR**_REACH, count)
    bottom = min(0, top)
    while bottom > -_REACH and not untouched(bottom):
        bottom -= 1
    if bottom == -_REACH and fallen(bottom):
        return _ladder(hint * _FACTOR**-_REACH, hint, count)
    while bottom < top - 1 and untouched(bottom + 1):
        bottom += 1
    while top > bottom + 1 and fallen(top - 1):
        top -= 1
    low, high = float(bottom), float(top)
    low_end, high_end = low + 1, high - 1  # known to lie inside the fall, or beyond the other edge
    for _ in range(2):
        middle = (low + low_end) / 2
        low, low_end = (middle, low_end) if untouched(middle) else (low, middle)
        middle = (high + high_end) / 2
        high, high_end = (middle, high_end) if fallen(middle) else (high, middle)
    if high - low < 0.25:  # a step: leave room on both sides for the levels to differ
        low, high = low - 0.25, high + 0.25
    return _ladder(hint * _FACTOR**low, hint * _FACTOR**high, count)


def _ladder(low: float, high: float, count: int) -> list[float]:
    """Levels evenly spaced in log σ, rounded; more digits where three would make two equal."""
    for digits in range(3, 17):
        levels = [float(f"{level:.{digits}g}") for level in np.geomspace(low, high, count)]
        if all(a < b for a, b in pairwise(levels)):
            return levels
    raise ValueError(f"no {count} levels between {low} and {high}")
