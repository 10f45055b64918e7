"""Causes of differences between the sides: from the float network to the RTL, step by step.

Each step changes one thing, and what is the same on both sides cancels, for they are paired by
image:

- **graph**: the Brevitas network → the integer graph, with the same float noise
(`flow.golden.float_noise`);
- **random numbers**: torch's samples → the hardware's, in the integer graph, both float noise. The
  two are independent draws of one distribution: what moves here is chance;
- **fixed point**: float noise → golden's fixed-point noise, with the hardware's samples;
- **RTL**: golden → the simulated RTL, on the images that were simulated, with the same noise.

A step moves μ if the 95 % interval of the ratio of midpoints after / before excludes 1, and reaches
beyond ± 1 %: with common random numbers even a change of 0.01 % is surely one, and of no interest.
Where nothing but chance changes, one step in twenty moves.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.statistics.midpoint import Curve, Midpoint, midpoint
from flow.statistics.ratio import LogRatio, log_ratio
from flow.statistics.verdict import MARGIN
from flow.walks.crosscheck.check import CrossCheck
from flow.walks.points.curves import curve_of
from flow.walks.points.measurement import Done
from flow.walks.points.point import NoisePoint, Point
from flow.walks.points.side import INTEGER, Side
from flow.walks.walk import Walk

STEPS = (
    ("graph", Side.SOFTWARE, Side.INTEGER),
    ("random numbers", Side.INTEGER, Side.INTEGER_HARDWARE_RNG),
    ("fixed point", Side.INTEGER_HARDWARE_RNG, Side.GOLDEN),
    ("RTL", Side.GOLDEN, Side.RTL),
)
"""What each step changes, and the sides before and after."""
NEGLIGIBLE = 0.01
"""A ratio that surely lies within ± this of 1 is no move, even if it is surely not 1."""
_CHANCE = "random numbers"


@dataclass(frozen=True)
class Step:
    """One step at one site."""

    name: str
    before: Midpoint
    after: Midpoint
    ratio: LogRatio | None
    """μ after / μ before; None where a side only guesses without noise."""
    images: int
    """Number of images, the same on both sides."""
    draws: int
    """Noise draws per point, of both sides."""

    @property
    def moved(self) -> bool:
        """Whether the interval excludes 1 by enough to matter."""
        if self.ratio is None or self.most < NEGLIGIBLE:
            return False
        return self.ratio.lo > 0 or self.ratio.hi < 0

    @property
    def most(self) -> float:
        """Distance from 1 of the farther end of the interval: 0.05 is 5 %."""
        if self.ratio is None:
            return math.inf
        return max(abs(math.expm1(end)) for end in (self.ratio.lo, self.ratio.hi))

    def beyond(self, margin: float) -> bool:
        """Whether the whole interval lies beyond 1 ± margin."""
        if self.ratio is None:
            return False
        return self.ratio.lo > math.log1p(margin) or self.ratio.hi < math.log1p(-margin)

    def to_json(self, margin: float) -> dict[str, Any]:
        """Return the fields, with μ and ratio in the form of a site's."""
        return {
            "step": self.name,
            "mu_before": self.before.estimate,
            "mu_after": self.after.estimate,
            "ratio": self.ratio and self.ratio.to_json(),
            "moved": self.moved,
            "beyond": self.beyond(margin),
            "images": self.images,
            "draws": self.draws,
        }


@dataclass(frozen=True)
class Ablation:
    """Results of the ablation at some sites."""

    points: Sequence[Point]
    """Points of the sides that only the ablation measures."""
    steps: Mapping[str, Sequence[Step]]
    """Steps by site; a site of weights has none."""
    margin: float

    def to_json(self) -> dict[str, Any]:
        """Return the summary's ``ablation``."""
        return {
            site: {
                "sentence": sentence(steps, self.margin),
                "steps": [step.to_json(self.margin) for step in steps],
            }
            for site, steps in self.steps.items()
        }


def chosen_sites(check: CrossCheck, everywhere: bool, budget: float) -> list[str]:
    """Return the sites to examine: all, or those that disagree or that a budget left undecided.

    Args:
        check: the walk's last judgement.
        everywhere: whether the user requested it.
        budget: minutes that were allowed for further draws.
    """
    open_ones = ("disagree", "undecided") if budget else ("disagree",)
    return [c.site for c in check.sites if everywhere or c.verdict in open_ones]


def ablate(
    walk: Walk,
    sites: Iterable[str],
    places: Sequence[NoisePoint],
    points: Sequence[Point],
    done: Done,
    margin: float = MARGIN,
) -> Ablation:
    """Measure the sides between software and golden at some sites, and compare step by step.

    Args:
        walk: the walk.
        sites: where.
        places: the walk's first points; further draws of a look are left out.
        points: measured points of the other sides.
        done: called with the number of points finished since the last call: each place of these
        sites counts twice, but those with noise on weights.
        margin: ratios within ± margin of 1 count as equal.
    """
    sites = list(sites)
    wanted = places_of(walk, sites, places)
    found = walk.run(walk.wanted(INTEGER, wanted), lambda side, points, images: done(points))
    measured = found.points
    guess = walk.reference.guess
    first = {(place.site, walk.context.seed_of(place)) for place in places if place.site}
    every = [p for p in points if not p.sigma or (p.site, p.seed) in first] + measured
    steps = {
        site: list(steps_of(every, walk.labels, site, guess)) if _in_integers(walk, site) else []
        for site in sites
    }
    return Ablation(measured, steps, margin)


def places_of(walk: Walk, sites: Sequence[str], places: Sequence[NoisePoint]) -> list[NoisePoint]:
    """Return the places to measure at sites, including those of level 0 if a map has noise."""
    placement = walk.context.placement
    known = [site for site in sites if _in_integers(walk, site)]
    without = {placement.without(site) for site in known} if placement.background else set()
    return [place for place in places if place.site in (known if place.sigma else without)]


def _in_integers(walk: Walk, site: str) -> bool:
    """Return whether the integer graph has a place for a site's noise; it has none for weights."""
    return all(noisy in walk.context.taps for noisy in walk.context.placement.noisy(site))


def steps_of(
    points: Sequence[Point], labels: NDArray[np.int64], site: str, guess: float
) -> Iterator[Step]:
    """Yield the steps at a site whose two sides were measured.

    Args:
        points: of all sides, the clean ones included.
        labels: int64 [images], same order as the predictions.
        site: the tap.
        guess: accuracy of guessing.
    """
    for name, *sides in STEPS:
        before, after = _pair(points, labels, site, *sides)
        if before is not None and after is not None:
            mu = midpoint(before, guess), midpoint(after, guess)
            ratio = log_ratio(after, before, guess)
            yield Step(name, *mu, ratio, before.images, int(before.seeds.max()))


def _pair(
    points: Sequence[Point], labels: NDArray[np.int64], site: str, *sides: Side
) -> tuple[Curve | None, Curve | None]:
    """Return the curves of two sides on their common images and draws."""
    seeds = [{p.seed for p in points if (p.site, p.side) == (site, side)} for side in sides]
    common = seeds[0] & seeds[1]
    some = [p for p in points if p.side in sides and (p.seed in common or not p.sigma)]
    clean = [p for p in points if not p.sigma and p not in some]
    whole = [curve_of(some + clean, labels, site, side) for side in sides]
    images = min((curve.images for curve in whole if curve is not None), default=0)
    first, second = (curve_of(some + clean, labels, site, side, images=images) for side in sides)
    return first, second


def sentence(steps: Sequence[Step], margin: float) -> str:
    """Describe the steps at which μ moves, the largest first, and the limit on the others."""
    if not steps:
        return "not done for weights: float errors of weights have no place in the integer graph"
    moved = sorted((s for s in steps if s.moved), key=lambda s: -s.most)
    others = [s for s in steps if not s.moved and s.ratio is not None]
    unknown = [s.name for s in steps if s.ratio is None]
    parts = [f"moves at: {'; '.join(_move(s, margin) for s in moved)}"] if moved else []
    certain = [s.most for s in others if s.name != _CHANCE]
    if certain:
        other = "no other step" if moved else "no step"
        parts.append(f"{other} moves μ{_by(max(certain))}")
    parts += [
        f"other random numbers (chance) do not{_by(s.most)}" for s in others if s.name == _CHANCE
    ]
    if unknown:
        parts.append(f"no ratio at: {', '.join(unknown)}")
    return "; ".join(parts)


def _move(step: Step, margin: float) -> str:
    """Describe a step and how far it moves μ."""
    ratio = step.ratio
    assert ratio is not None
    if ratio.number:
        change = "by {:+.1f} % [{:+.1f}, {:+.1f}]".format(
            *(100 * math.expm1(v) for v in (ratio.low, ratio.lo, ratio.hi))
        )
    else:
        change = f"to a ratio {ratio}"
    name = f"{step.name} (chance)" if step.name == _CHANCE else step.name
    lower, upper = math.log1p(-margin), math.log1p(margin)
    inside = lower <= ratio.lo and ratio.hi <= upper
    where = "beyond" if step.beyond(margin) else "within" if inside else "not surely beyond"
    return f"{name} {change}, {where} ± {100 * margin:g} %"


def _by(share: float) -> str:
    """Describe the largest move, rounded up; "at all" if there is none."""
    if share > 10:
        return " as far as can be told"
    return f" by more than {math.ceil(1000 * share) / 10:g} %" if share else " at all"
