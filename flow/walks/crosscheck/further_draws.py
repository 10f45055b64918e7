"""Further noise draws at sites that are undecided, within a budget of time.

The walk is judged; then, at most three times, the sites where draws can decide get four times as
many as they have, in software and in the golden model, and the walk is judged again. Draw numbers
continue, so points are stored like any others: a run that is repeated takes them from there.

If the random numbers are undecided, which all sites decide together, every site that tells
something of them gets more draws.

Draws reduce what noise adds to the interval of a ratio, and not what the images add. Where the
images alone leave a site undecided, it gets none: the report says how many images it needs. Where
images share their noise (`flow.statistics.devices`), draws are all that helps, and a site whose
devices are too few for an interval gets more in any case.

How the error stays at 5 % over all looks: `flow.statistics.verdict`. It needs looks whose sizes are
fixed: only whether there is another may depend on the figures, so draws grow fourfold, and are
never cut to what an estimate seems to need (Proschan and Hunsberger, Biometrics 1995, show what
that costs). Time cuts a look short, whatever the figures are.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flow.statistics.verdict import (
    LEVEL,
    MARGIN,
    MAX_ANALYSES,
    Design,
    detectable_margin,
    look_levels,
    noise_left,
)
from flow.walks.crosscheck.check import CrossCheck, SiteCheck, cross_check
from flow.walks.points.point import NoisePoint, Point
from flow.walks.points.side import Side

log = logging.getLogger(__name__)

GROWTH = 4
"""Factor on the draws from one look to the next."""
MOST_DRAWS = 64
"""Noise draws of a point, further ones included."""
MOST_DEVICES = 256
"""The same if each draw is a device for all images: only devices narrow the interval."""


class Measuring(Protocol):
    """The part of `flow.walks.walk.Walk` that a look needs."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels of the images, int64 [N]."""

    def run_models(self, places: Sequence[NoisePoint]) -> list[Point]:
        """Measure points in software, on both of its sides, and on the golden model."""


@dataclass
class FurtherDraws:
    """Effort of the further looks."""

    budget: float
    """Minutes allowed."""
    looks: int = 1
    """Number of judgements of the walk, including the first."""
    draws: dict[str, int] = field(default_factory=dict)
    """Further noise draws of each point of a site."""
    ended: str = "there was no budget"
    """Reason why there were no more."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return dict(vars(self))


def draw_further(
    walk: Measuring,
    points: Sequence[Point],
    guess: float,
    budget: float,
    progress: Callable[[str], None] = log.info,
    *,
    design: Design = "common",
    margin: float = MARGIN,
) -> tuple[list[Point], CrossCheck, FurtherDraws]:
    """Judge a walk, and continue it where it is undecided.

    Args:
        walk: measures further draws.
        points: of every side, the clean ones included.
        guess: accuracy of guessing, or agreement.
        budget: minutes for further draws. A site's draws are measured as many at a time as it had
            at first, and what has begun is finished, so it may take a little longer.
        progress: called with what is measured next.
        design: random numbers of the two sides that each site compares.
        margin: ratios within ± margin of 1 count as equal.

    Returns:
        all points, the last judgement, and what it took.
    """
    points, spent = list(points), FurtherDraws(budget)
    levels = look_levels() if budget else (LEVEL,)
    judge = partial(cross_check, guess=guess, design=design, margin=margin)
    check = judge(points, walk.labels, level=levels[0], following=levels[min(1, len(levels) - 1)])
    first = {site.site: site.figures.draws for site in check.sites}
    end = time.monotonic() + 60 * budget
    for look, level in enumerate(levels[1:], start=2):
        further: list[Point] = []
        for site in _promising(check, look):
            have = site.figures.draws
            # including level 0, if a map has noise at the site
            sigmas = _decisive_levels(points, site.site)
            stop = _next_draws(site, have)
            for start in range(have, stop, first[site.site]):
                if time.monotonic() >= end:
                    break
                draws = range(start, min(start + first[site.site], stop))
                progress(f"{site.site}: draws {draws.start + 1} to {draws.stop}")
                places = [NoisePoint(site.site, sigma, draw) for draw in draws for sigma in sigmas]
                further += walk.run_models(places)
                spent.draws[site.site] = draws.stop - first[site.site]
        if not further:
            break
        points += further
        spent.looks = look
        check = judge(
            points,
            walk.labels,
            level=level,
            following=levels[min(look, MAX_ANALYSES - 1)],
            earlier=check,
        )
    if budget:
        spent.ended = _why(check, spent, time.monotonic() >= end)
    return points, check, spent


def _decisive_levels(points: Sequence[Point], site: str) -> list[float]:
    """Return the levels of a site that were measured on most images; the others need no more."""
    golden = [point for point in points if (point.site, point.side) == (site, Side.GOLDEN)]
    most = max(point.images for point in golden)
    return sorted({point.sigma for point in golden if point.images == most})


def _next_draws(site: SiteCheck, have: int) -> int:
    most = MOST_DRAWS if site.figures.devices is None else MOST_DEVICES
    return max(have, min(GROWTH * have, most))


def _promising(check: CrossCheck, look: int) -> list[SiteCheck]:
    """Sites where draws can decide something, first those that would need the smallest factor.

    They can if the interval after the last look is narrow enough to show equality. The estimate
    plays no part: with few draws it may lie anywhere.
    """
    found = []
    for site in check.sites:
        figures, draws = site.figures, _last_draws(site, look)
        if site.need is None or figures.ratio is None or draws == figures.draws:
            continue
        times = draws / figures.draws
        spread = figures.ratio.spread * noise_left(figures.noise, times)
        unknown = not figures.ratio.dof
        if unknown or _reach(spread, figures.ratio.dof * times) <= check.margin:
            found.append((site.need.draws or math.inf, site))
    first = [site for _, site in sorted(found, key=lambda pair: pair[0])]
    return first + [s for s in _with_draws_for_random_numbers(check, look) if s not in first]


def _with_draws_for_random_numbers(check: CrossCheck, look: int) -> list[SiteCheck]:
    """Sites that inform about the random numbers, if more draws there can decide them."""
    numbers = check.random_numbers
    if numbers is None or numbers.need is None or numbers.ratio is None:
        return []
    open_ones = [site for site in check.sites if site.site in numbers.sites]
    times = min(_last_draws(site, look) / site.figures.draws for site in open_ones)
    spread = numbers.ratio.spread * noise_left(None, times)
    within = times > 1 and _reach(spread, numbers.ratio.dof * times) <= check.margin
    return open_ones if within else []


def _last_draws(site: SiteCheck, look: int) -> int:
    """Return a site's draws after the last look, if it gets some at each from now on."""
    draws = site.figures.draws
    for _ in range(look, MAX_ANALYSES + 1):
        draws = _next_draws(site, draws)
    return draws


def _reach(spread: float, dof: float) -> float:
    """Smallest margin within which the last look would find equality."""
    return detectable_margin(spread, look_levels()[-1], dof)


def _why(check: CrossCheck, spent: FurtherDraws, late: bool) -> str:
    if "undecided" not in check.verdicts:
        return "every site is decided"
    if spent.looks == MAX_ANALYSES:
        return f"a walk is judged {MAX_ANALYSES} times at most"
    if _promising(check, spent.looks + 1) and late:
        return "the budget was spent"
    return "further draws would not decide the sites that are left"
