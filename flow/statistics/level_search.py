"""Adaptive choice of the next point to measure, to narrow a midpoint's interval at least cost.

A curve (one site, or all sites at once) goes through three stages. Each requests levels, images and
noise draws, and receives the counts:

1. **Bracket**, on few images and one draw: from the hint up and down in steps of 4, until the
   lowest level leaves 90 % of the accuracy above guessing and the highest 10 %, or the reach ends,
   or the accuracy levels off (multiplicative noise does not change zeros): below half way if one
   step changes nothing, above it if two do. A curve that levels off above half way is a bound.
2. **Refine** where the curve bends: eight levels, spaced evenly over the logit of s, the remaining
   share of the fall to the curve's own floor, from 95 % to 5 %. They enclose the two points that
   determine a logistic of two unknowns best, s = 82.4 % and 17.6 % (the D-optimal design), and they
   cover the whole fall of a curve that is not quite a logistic. The last level stays if there is a
   floor, which it measures. Levels already there are kept; after each measurement the curve is
   fitted again and new gaps are filled. If the fall is so steep that fewer than two levels lie in
   it, the levels on both sides of it are kept until two do. At last, the gap at half way is halved
   until it is small enough for interpolation, because the curve may be no logistic.
3. **Narrow**: more images at the two levels that enclose half way, as many as the interval needs
   (it shrinks as 1/√n), until μ's 95 % interval is as narrow as requested; once all images are
   used, further noise draws. These two give an interval as narrow as all levels do, because levels
   share their images and noise samples; the others show the curve's shape. Images come first
   because a new image reduces the whole variance, while a new draw on an old image reduces
   only the part due to noise: w² = a + b / draws for the interval's width w. If two widths show
   that a alone is too wide, no more draws follow. If all images of a draw share their noise
   (`flow.statistics.devices`), draws come first because they dominate the variance, and a curve
   with few of them is never called precise. (Stopping at the first interval that is narrow enough
   costs some coverage if devices are few: 92 to 95 % of such intervals contain μ.)

Images that the interval does not need are never computed. A curve ends as ``precise``; as
``bound`` if the data give no midpoint; as ``exhausted`` if all images are used and further draws
are not allowed or would not help; or as ``budget``, with the result at the time it was spent.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self

import numpy as np
from scipy.special import expit, logit

from flow.statistics.devices import FEWEST
from flow.statistics.midpoint import Curve, Midpoint, midpoint, outline

State = Literal["running", "precise", "bound", "exhausted", "given", "budget"]

FACTOR = 4.0
REACH = 6
"""Steps of a factor 4 up and down from the hint: the hint may be wrong by a factor of 4096."""
LEVELS = 8
MOST_LEVELS = 24
_TARGETS = np.linspace(logit(0.95), logit(0.05), LEVELS)
_DECIDED = 0.9
_FLAT = 0.01
_DIGITS = 1e-3
"""Largest change of log σ when a level is rounded to four digits."""
_SLACK = 1.1
"""Safety factor on the number of images, since the interval's width is itself an estimate."""


class Effort(NamedTuple):
    """Measured effort at a level."""

    images: int
    """Number of images, counted from the first."""
    draws: int


@dataclass(frozen=True)
class Wanted:
    """Points of a curve to measure next."""

    efforts: Mapping[float, Effort]
    """Effort at each σ, ascending."""

    @classmethod
    def alike(cls, levels: Iterable[float], images: int, draws: int) -> Self:
        """Request the same effort at all levels."""
        return cls(dict.fromkeys(sorted(levels), Effort(images, draws)))

    @property
    def levels(self) -> tuple[float, ...]:
        """σ, ascending."""
        return tuple(self.efforts)

    @property
    def images(self) -> int:
        """Largest number of images of a level."""
        return max(effort.images for effort in self.efforts.values())

    @property
    def draws(self) -> int:
        """Largest number of noise draws of a level."""
        return max(effort.draws for effort in self.efforts.values())

    def upto(self, images: int) -> Self:
        """Return the same request with at most this many images."""
        return type(self)(
            {sigma: Effort(min(e.images, images), e.draws) for sigma, e in self.efforts.items()}
        )


@dataclass
class Search:
    """Search for the midpoint of one curve."""

    guess: float
    """Accuracy of guessing."""
    images: Sequence[int]
    """Numbers of images that may be requested, ascending; the first is for the bracket."""
    draws: int
    """Largest number of noise draws."""
    precision: float
    """Requested relative half width of μ's 95 % interval."""
    hint: float = 1.0
    """Expected position of the fall, σ."""
    given: tuple[float, ...] = ()
    """Levels to measure on all images and draws, instead of a search."""
    state: State = "running"
    wanted: Wanted = field(init=False)
    midpoint: Midpoint | None = None
    """Last midpoint found."""
    images_used: int = 0
    """Number of images that `midpoint` was computed from."""
    _bracketed: bool = False
    _width: float = math.inf
    """Half width of the interval in units of `precision`, with one draw less."""

    def __post_init__(self) -> None:
        if self.given:
            self.wanted = Wanted.alike(self.given, self.images[-1], self.draws)
        else:
            levels = tuple(_rounded(self.hint * FACTOR**step) for step in (-1, 0, 1))
            self.wanted = Wanted.alike(levels, self.images[0], 1)

    def tell(self, curve: Curve) -> None:
        """Take a measured curve and decide what to measure next; `state` shows when it ends.

        Args:
            curve: the measured points, as requested.
        """
        if self.given:
            self._fit(curve)
            self.state = "given"
            return
        if not self._bracketed:
            more = self._outward(curve)
            if more:
                self._ask_levels([*self.wanted.levels, *more])
                return
            self._bracketed = True
        if self._refine(curve):
            return
        self._narrow(curve)

    def stop(self, curve: Curve | None) -> None:
        """End the search as its budget is spent, using a partial measurement if it adds any."""
        self.state = "budget"
        if curve is not None and (self.midpoint is None or curve.images > self.images_used):
            self._fit(curve)

    def by_now(self, curve: Curve | None) -> "Search":
        """Return the search in its present state; a running one gets the midpoint of a curve.

        Args:
            curve: the measured points, at any levels; None for none.
        """
        if self.state != "running" or self.midpoint is not None or curve is None:
            return self
        now = copy(self)
        now._fit(curve)
        return now

    def _fit(self, curve: Curve) -> Midpoint:
        found = self.midpoint = midpoint(curve, self.guess)
        self.images_used = curve.images
        return found

    def _ask_levels(self, levels: Iterable[float]) -> None:
        """Request these levels: new ones on few images, the others as before."""
        efforts = self.wanted.efforts
        few = Effort(self.images[0], min(effort.draws for effort in efforts.values()))
        self.wanted = Wanted({level: efforts.get(level, few) for level in sorted(set(levels))})

    def _ask_more(self, levels: Iterable[float], *, images: int = 0, draws: int = 0) -> None:
        """Request more images or draws at some levels, and the earlier effort at the others."""
        more = Effort(images or self.wanted.images, draws or self.wanted.draws)
        self.wanted = Wanted({**self.wanted.efforts, **dict.fromkeys(levels, more)})

    def _enclosing(self, curve: Curve) -> tuple[float, ...]:
        """Return the two levels that enclose half way."""
        found = outline(curve, self.guess)
        assert found is not None
        after = int(np.searchsorted(curve.levels, found.crossing))
        return self.wanted.levels[max(after - 1, 0) : after + 1]

    def _outward(self, curve: Curve) -> list[float]:
        """Return levels beyond the measured ones, or none once these enclose the fall."""
        clean, accuracy = float(curve.clean.mean()), curve.accuracy
        share = (accuracy - self.guess) / max(clean - self.guess, 1e-9)
        lowest, highest = self.wanted.levels[0], self.wanted.levels[-1]
        end = FACTOR ** (REACH - 0.5)
        steps = np.abs(np.diff(share[-3:]))
        below = share[-1] < 0.5
        flat = share[-1] < _DECIDED and steps[-1 if below else 0 :].max() < _FLAT
        more = []
        if share[0] < _DECIDED and lowest > self.hint / end:
            more.append(_rounded(lowest / FACTOR))
        if share[-1] > 1 - _DECIDED and not flat and highest < self.hint * end:
            more.append(_rounded(highest * FACTOR))
        return more

    def _refine(self, curve: Curve) -> bool:
        """Request levels in gaps where the fit bends; return whether there was a gap."""
        found = outline(curve, self.guess)
        have = np.log(self.wanted.levels)
        if found is None or not have[0] < math.log(found.crossing) < have[-1]:
            return False
        centre = math.log(found.centre)
        gap = (_TARGETS[0] - _TARGETS[1]) / found.k
        at = centre - _TARGETS / found.k
        far = math.log(self.hint) + np.array([-1, 1]) * (REACH + 1) * math.log(FACTOR)
        at = at[(at > far[0]) & (at < far[1])]
        new = [_rounded(math.exp(x)) for x in at if np.abs(have - x).min() > gap / 2 + _DIGITS]
        left = expit(-found.k * (have - centre))
        bend = (left > 0.02) & (left < 0.98)
        after = int(np.searchsorted(have, math.log(found.crossing)))
        if np.count_nonzero(bend) < 2 or found.coarse:
            bend[after - 1 : after + 1] = True
        bend[-1] |= found.floored
        if not new and found.coarse and have[after] - have[after - 1] > self.precision:
            new = [_rounded(math.exp((have[after] + have[after - 1]) / 2))]
        kept = [level for level, inside in zip(self.wanted.levels, bend, strict=True) if inside]
        levels = sorted({*kept, *new})
        if not new or len(levels) > MOST_LEVELS:
            return False
        self._ask_levels(levels)
        return True

    def _narrow(self, curve: Curve) -> None:
        found = self._fit(curve)
        wanted = self.wanted
        width = math.inf
        few = found.devices is not None and found.devices < FEWEST
        if found.mu is not None and not few:
            width = max(found.hi / found.mu - 1, 1 - found.lo / found.mu) / self.precision
        last, self._width = self._width, width
        if width <= 1:
            self.state = "precise"
        elif found.devices == wanted.draws < self.draws and not self._hopeless(curve):
            draws = min(max(wanted.draws + 1, FEWEST), self.draws)
            self._ask_more(wanted.levels, draws=draws)
        elif wanted.images < self.images[-1] and not self._hopeless(curve):
            needed = wanted.images * min(width**2 * _SLACK, 4.0)
            enough = [n for n in self.images if n >= needed]
            more = max(enough[0] if enough else self.images[-1], self._next_images())
            self._ask_more(self._enclosing(curve), images=more)
        elif found.mu is None:
            self.state = "bound"
        elif found.step or wanted.draws >= self.draws or _in_vain(last, width, wanted.draws):
            self.state = "exhausted"
        else:
            # a draw that all images share is a device, which every level needs
            levels = self._enclosing(curve) if found.devices is None else wanted.levels
            self._ask_more(levels, draws=wanted.draws + 1)

    def _next_images(self) -> int:
        return next(n for n in self.images if n > self.wanted.images)

    def _hopeless(self, curve: Curve) -> bool:
        """Whether the levels do not enclose the crossing, so that more images would not help."""
        found = outline(curve, self.guess)
        return found is None or not curve.levels[0] < found.crossing < curve.levels[-1]


def _rounded(level: float) -> float:
    """Round to four significant digits, so that levels are readable and equal in two runs."""
    return float(f"{level:.4g}")


def _in_vain(before: float, now: float, draws: int) -> bool:
    """Whether w² = a + b / draws, through the last two widths, exceeds 1 however many draws."""
    if draws < 2:
        return False
    floor = (draws * now**2 - (draws - 1) * before**2) if math.isfinite(before) else 0.0
    return floor > 1
