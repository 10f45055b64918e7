"""Which point to measure next, so that a midpoint's interval narrows at the least cost.

A curve (one site, or all sites at once) goes through three stages; each asks for levels, images
and noise draws, and is told the counts:

1. **Bracket**, on few images and one draw: from the hint up and down in steps of 4, until the
   lowest level leaves 90 % of the fall and the highest 10 %, or the reach ends, or the accuracy has
   levelled off below half way (multiplicative noise leaves zeros alone).
2. **Refine** where the curve bends: eight levels, evenly over the logit of the share s that is
   left of the fall, from 95 % to 5 %. They enclose the two points at which a logistic of two
   unknowns is best measured, s = 82.4 % and 17.6 % (the D-optimal design), and a curve that is
   not quite a logistic is seen over its whole fall. Levels that lie there already are kept; after
   each measurement the fit is made again, and a gap that has opened is filled. Where a fall is so
   steep that fewer than two levels lie in it, the levels on both sides of it stay until two do.
3. **Narrow**: as many more images as the interval needs (it shrinks as 1/√n) until μ's 95 %
   interval is as narrow as wanted; and once all images are used, further noise draws. Images come
   first since a new image narrows all of the variance, a new draw on an old image only the part
   that is the noise's: w² = a + b / draws for the interval's width w. Where two widths show that
   a alone is too wide, draws end. Where all images of a draw have the same noise
   (`flow.statistics.devices`), draws come first, for then they are what the interval lacks, and
   with few of them none is taken for precise. (To stop at the first interval that is narrow enough
   costs some coverage where devices are few: 92 to 95 % of such intervals hold μ.)

So images that the interval does not need are never computed. A curve ends as ``precise``; as
``bound``, where the data give no midpoint; as ``exhausted``, where all images are used and
further draws are not allowed or would not help; or as ``budget``, with what was known when that
was spent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.special import expit, logit

from flow.statistics.devices import FEWEST
from flow.statistics.midpoint import Curve, Midpoint, estimate, logistic, midpoint

State = Literal["running", "precise", "bound", "exhausted", "given", "budget"]

FACTOR = 4.0
REACH = 6
"""Steps of 4 up and down from the hint: it may be wrong by 4096."""
LEVELS = 8
MOST_LEVELS = 24
_TARGETS = np.linspace(logit(0.95), logit(0.05), LEVELS)
_DECIDED = 0.9
_FLAT = 0.01
_DIGITS = 1e-3
"""What four digits may move a level by, in log σ."""
_SLACK = 1.1
"""More images than the interval's width asks for, since it is itself an estimate."""


@dataclass(frozen=True)
class Wanted:
    """What is to be measured of a curve."""

    levels: tuple[float, ...]
    """σ, ascending."""
    images: int
    """The first so many."""
    draws: int


@dataclass
class Search:
    """One curve on its way to a midpoint."""

    guess: float
    """Accuracy of guessing."""
    images: Sequence[int]
    """Numbers of images that may be asked for, ascending; the first is for the bracket."""
    draws: int
    """At most so many."""
    precision: float
    """Half width of μ's 95 % interval that is wanted, as a share of μ."""
    hint: float = 1.0
    """Where the fall might be."""
    given: tuple[float, ...] = ()
    """Levels to measure on all images and draws, in place of a search."""
    state: State = "running"
    wanted: Wanted = field(init=False)
    midpoint: Midpoint | None = None
    """The last one found."""
    images_used: int = 0
    """Images behind it."""
    misfit: float | None = None
    """How far its fit is from the accuracy at the worst level; None without a fit."""
    _bracketed: bool = False
    _width: float = math.inf
    """Half width of the interval in units of `precision`, with one draw less."""

    def __post_init__(self) -> None:
        if self.given:
            self.wanted = Wanted(self.given, self.images[-1], self.draws)
        else:
            levels = tuple(_rounded(self.hint * FACTOR**step) for step in (-1, 0, 1))
            self.wanted = Wanted(levels, self.images[0], 1)

    def tell(self, curve: Curve) -> None:
        """Take what was measured, and decide what is wanted next; `state` says when nothing is.

        Args:
            curve: what was wanted, measured.
        """
        if self.given:
            self._fit(curve)
            self.state = "given"
            return
        if not self._bracketed:
            more = self._outward(curve)
            if more:
                self._ask(levels=[*self.wanted.levels, *more])
                return
            self._bracketed = True
        if self._refine(curve):
            return
        self._narrow(curve)

    def stop(self, curve: Curve | None) -> None:
        """End it, since the budget is spent, with a part of what was wanted, if that says more."""
        self.state = "budget"
        if curve is not None and (self.midpoint is None or curve.images > self.images_used):
            self._fit(curve)

    def _fit(self, curve: Curve) -> Midpoint:
        found = self.midpoint = midpoint(curve, self.guess)
        self.images_used, self.misfit = curve.images, None
        if found.mu is not None and found.k is not None:
            clean = float(curve.clean.mean())
            fitted = logistic(curve.levels, found.mu, found.k, clean, self.guess)
            self.misfit = float(np.abs(curve.accuracy - fitted).max())
        return found

    def _ask(
        self, *, levels: Sequence[float] = (), images: int | None = None, draws: int | None = None
    ) -> None:
        self.wanted = Wanted(
            tuple(sorted(set(levels))) or self.wanted.levels,
            images or self.wanted.images,
            draws or self.wanted.draws,
        )

    def _outward(self, curve: Curve) -> list[float]:
        """Levels beyond those measured, as long as these do not enclose the fall."""
        clean, accuracy = float(curve.clean.mean()), curve.accuracy
        share = (accuracy - self.guess) / max(clean - self.guess, 1e-9)
        lowest, highest = self.wanted.levels[0], self.wanted.levels[-1]
        end = FACTOR ** (REACH - 0.5)
        flat = share[-1] < 0.5 and abs(share[-1] - share[-2]) < _FLAT
        more = []
        if share[0] < _DECIDED and lowest > self.hint / end:
            more.append(_rounded(lowest / FACTOR))
        if share[-1] > 1 - _DECIDED and not flat and highest < self.hint * end:
            more.append(_rounded(highest * FACTOR))
        return more

    def _refine(self, curve: Curve) -> bool:
        """Ask for levels where the fit bends and none lies; whether there was such a gap."""
        found = estimate(curve, self.guess)
        if found is None:
            return False
        mu, k = found
        have = np.log(self.wanted.levels)
        if not have[0] < math.log(mu) < have[-1]:
            return False
        gap = (_TARGETS[0] - _TARGETS[1]) / k
        at = math.log(mu) - _TARGETS / k
        far = math.log(self.hint) + np.array([-1, 1]) * (REACH + 1) * math.log(FACTOR)
        at = at[(at > far[0]) & (at < far[1])]
        new = [_rounded(math.exp(x)) for x in at if np.abs(have - x).min() > gap / 2 + _DIGITS]
        left = expit(-k * (have - math.log(mu)))
        bend = (left > 0.02) & (left < 0.98)
        if np.count_nonzero(bend) < 2:
            after = int(np.searchsorted(have, math.log(mu)))
            bend[after - 1 : after + 1] = True
        kept = [level for level, inside in zip(self.wanted.levels, bend, strict=True) if inside]
        levels = sorted({*kept, *new})
        if not new or len(levels) > MOST_LEVELS:
            return False
        self._ask(levels=levels)
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
            self._ask(draws=min(max(wanted.draws + 1, FEWEST), self.draws))
        elif wanted.images < self.images[-1] and not self._hopeless(curve):
            needed = wanted.images * min(width**2 * _SLACK, 4.0)
            enough = [n for n in self.images if n >= needed]
            self._ask(images=max(enough[0] if enough else self.images[-1], self._next_images()))
        elif found.mu is None:
            self.state = "bound"
        elif found.step or wanted.draws >= self.draws or _in_vain(last, width, wanted.draws):
            self.state = "exhausted"
        else:
            self._ask(draws=wanted.draws + 1)

    def _next_images(self) -> int:
        return next(n for n in self.images if n > self.wanted.images)

    def _hopeless(self, curve: Curve) -> bool:
        """Whether the levels do not enclose a fall, so that more images would tell no more."""
        found = estimate(curve, self.guess)
        return found is None or not curve.levels[0] < found[0] < curve.levels[-1]


def _rounded(level: float) -> float:
    """Four significant digits: levels that people can read, and that two runs share."""
    return float(f"{level:.4g}")


def _in_vain(before: float, now: float, draws: int) -> bool:
    """Whether w² = a + b / draws, through the last two widths, stays above 1 for any draws."""
    if draws < 2:
        return False
    floor = (draws * now**2 - (draws - 1) * before**2) if math.isfinite(before) else 0.0
    return floor > 1
