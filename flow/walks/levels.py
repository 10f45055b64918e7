"""Noise levels, found where the accuracy falls."""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from flow.errors import OptionError
from flow.settings import MidpointLevels
from flow.statistics.midpoint import Midpoint

_FACTOR = 4.0
"""Ratio of the coarse steps; each edge is then halved twice in log σ, to √2."""
_REACH = 6
"""Coarse steps in each direction: a hint may be wrong by a factor of 4096."""
_EDGE = 0.02
"""Default difference in accuracy that counts as none."""

SEARCH_REACH = _FACTOR**_REACH
"""Largest factor between the hint and a level that the search looks at, up or down."""


class _Fall:
    """The fall of an accuracy from clean to guessing, searched in steps of 4 around a hint.

    A place is log_4(σ / hint).

    Args:
        accuracy: accuracy at a σ.
        clean: accuracy without noise.
        guess: accuracy of guessing.
        hint: σ of place 0.
        tolerance: difference in accuracy that counts as none.
    """

    def __init__(
        self,
        accuracy: Callable[[float], float],
        clean: float,
        guess: float,
        hint: float,
        tolerance: float,
    ) -> None:
        self.accuracy, self.hint, self.tolerance = accuracy, hint, tolerance
        self.clean = clean
        self.floor = guess
        """Accuracy that the curve falls to."""
        self.seen: dict[float, float] = {}
        """Accuracy at each place that was measured."""

    def at(self, place: float) -> float:
        """Return the accuracy at a place, measured once."""
        if place not in self.seen:
            self.seen[place] = self.accuracy(self.hint * _FACTOR**place)
        return self.seen[place]

    def untouched(self, place: float) -> bool:
        """Return whether noise has no effect at a place."""
        return self.at(place) >= self.clean - self.tolerance

    def fallen(self, place: float) -> bool:
        """Return whether the fall has ended at a place."""
        return self.at(place) <= self.floor + self.tolerance

    def find_top(self) -> int:
        """Return the first whole place from 0 up where the fall has ended, or the last of all.

        A curve has also fallen where it levels off, above half way too: its floor is there then.
        """
        place = 0
        while place < _REACH and not self.fallen(place):
            flat = place >= 2 and abs(self.at(place - 2) - self.at(place)) <= self.tolerance / 2
            if flat and not self.untouched(place - 2):
                break
            place += 1
        if not self.untouched(place) and not self.fallen(place):
            self.floor = self.at(place)
        return place

    def find_bottom(self, top: int) -> int:
        """Return the first whole place from 0 or the top down without an effect, or the last."""
        bottom = min(0, top)
        while bottom > -_REACH and not self.untouched(bottom):
            bottom -= 1
        return bottom

    def edges(self, bottom: int, top: int) -> tuple[float, float]:
        """Narrow a fall down: to whole places first, then by two bisections of each edge."""
        while bottom < top - 1 and self.untouched(bottom + 1):
            bottom += 1
        while top > bottom + 1 and self.fallen(top - 1):
            top -= 1
        low, high = float(bottom), float(top)
        # these ends lie inside the fall, or beyond its other edge
        low_end, high_end = low + 1, high - 1
        for _ in range(2):
            middle = (low + low_end) / 2
            low, low_end = (middle, low_end) if self.untouched(middle) else (low, middle)
            middle = (high + high_end) / 2
            high, high_end = (middle, high_end) if self.fallen(middle) else (high, middle)
        return low, high


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

    The search takes coarse steps of 4 from the hint until both edges are enclosed, then bisects
    each edge twice in log σ. It takes 5 to 18 evaluations, usually 8. The levels are spaced evenly
    in log σ, which spaces them evenly along the logistic too. A curve that levels off above
    guessing counts as fallen where two coarse steps change nothing any more; the levels then span
    the fall to its floor, wherever it crosses half way, and one above half way gives a bound.

    Args:
        accuracy: measures the accuracy at a σ; expensive, and may be noisy.
        clean: accuracy without noise, in [0, 1].
        guess: accuracy of guessing.
        hint: where the fall might be, in the unit of σ, e.g. the standard deviation of the
            layer's output.
        count: number of levels, at least 2.
        tolerance: difference from clean or from guessing, in accuracy, that counts as none; should
            be no less than the standard error of `accuracy`.

    Returns:
        Ascending levels of three significant digits. Where the search ends before an edge is
        found (4096 times above or below the hint), they reach to the end of the search. For a
        curve that never falls, they are a ladder from the hint up to that end; for one that has
        fallen everywhere, a ladder from the hint down.
    """
    if count < 2 or hint <= 0 or not math.isfinite(hint):
        raise ValueError("choose_levels needs two levels or more and a finite hint above zero")
    fall = _Fall(accuracy, clean, guess, hint, tolerance)
    top = fall.find_top()
    if not fall.fallen(top) and fall.untouched(top):
        return _ladder(hint, hint * _FACTOR**_REACH, count)
    bottom = fall.find_bottom(top)
    if bottom == -_REACH and fall.fallen(bottom):
        return _ladder(hint * _FACTOR**-_REACH, hint, count)
    # if the whole fall is smaller than two tolerances, its edges may cross
    low, high = sorted(fall.edges(bottom, top))
    if high - low < 0.25:
        # the curve is a step: leave room on both sides for the levels to differ
        low, high = low - 0.25, high + 0.25
    return _ladder(hint * _FACTOR**low, hint * _FACTOR**high, count)


def _ladder(low: float, high: float, count: int) -> list[float]:
    """Return levels evenly spaced in log σ, with three digits, or more if two would be equal."""
    for digits in range(3, 17):
        levels = [float(f"{level:.{digits}g}") for level in np.geomspace(low, high, count)]
        if all(a < b for a, b in pairwise(levels)):
            return levels
    raise ValueError(f"no {count} levels between {low} and {high}")


def in_midpoints(
    levels: MidpointLevels, midpoints: Mapping[str, Midpoint | None]
) -> dict[str, list[float]]:
    """Return the levels of each site, from multiples of its midpoint.

    Args:
        levels: the multiples.
        midpoints: what a search found at each site; None if it measured nothing.

    Raises:
        OptionError: a site has no midpoint, or only a bound.
    """
    known = {site: found.mu for site, found in midpoints.items() if found and found.mu}
    lacking = [
        f"{site} is {found}" if found else f"{site} was not measured"
        for site, found in midpoints.items()
        if site not in known
    ]
    if lacking:
        raise OptionError(
            "levels",
            f"is {levels}, but μ of {', of '.join(lacking)}, not a number: give levels in numbers, "
            "or sites with a midpoint",
        )
    return {site: levels.of(mu) for site, mu in known.items()}
