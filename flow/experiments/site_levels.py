"""Noise levels of a walk's sites: those that the user gave, or found by the golden model."""

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flow.errors import Defect, about
from flow.settings import Levels, MidpointLevels
from flow.statistics.midpoint import Curve, midpoint, outline
from flow.walks.levels import SEARCH_REACH, choose_levels, in_midpoints
from flow.walks.points.curves import curve_of
from flow.walks.points.point import NoisePoint, Point, PointRequest
from flow.walks.points.side import Side
from flow.walks.sides.golden import first_images
from flow.walks.walk import Walk

LEVEL_IMAGES = 500
"""Number of images behind each step of the search for levels."""
DECISIVE = 2
"""Levels on each side of half way that decide a midpoint."""


@dataclass(frozen=True)
class LevelSearch:
    """What a search found at one site."""

    levels: list[float]
    """Levels around the fall of the accuracy."""
    points: list[PointRequest]
    """Golden's points that it measured, which are stored."""
    curve: Curve | None = None
    """Golden's curve at the levels; None if it was not requested."""
    crossing: float | None = None
    """σ at which golden crosses half way; None if that is not known."""

    @property
    def outer(self) -> list[float]:
        """Levels that show the curve's shape, and hardly move its midpoint.

        Levels share images and noise samples, so that the interval of a midpoint comes from those
        around half way; none is outer where half way does not lie between levels.
        """
        after = bisect(self.levels, self.crossing or 0.0)
        if not 0 < after < len(self.levels):
            return []
        return self.levels[: max(after - DECISIVE, 0)] + self.levels[after + DECISIVE :]


def check_registers(walk: Walk, levels: Mapping[str, Sequence[float]]) -> None:
    """Raise an OptionError if a level that the user gave is beyond the registers of its site."""
    for site, sigmas in levels.items():
        for sigma in sigmas:
            with about("levels"):
                walk.context.settings(NoisePoint(site, sigma))


def found_levels(walk: Walk, site: str) -> LevelSearch:
    """Return the levels around the fall of a site's accuracy, as the golden model sees it."""
    context = walk.context
    images = min(LEVEL_IMAGES, len(context.inputs))
    measure = first_images(context, site, images)
    seen: dict[PointRequest, Point] = {}

    def accuracy(sigma: float) -> float:
        place = NoisePoint(site if sigma else context.placement.without(site), sigma)
        one = PointRequest(Side.GOLDEN, place, images)
        seen[one] = walk.take(one, measure)
        return float(seen[one].correct(walk.labels).mean())

    largest = context.largest_level(site)
    # the search goes up from the hint by its reach, and must not leave the registers
    hint = min(context.likely_level(site, SEARCH_REACH), largest / SEARCH_REACH)
    found = choose_levels(accuracy, accuracy(0.0), walk.reference.guess, hint=hint, tolerance=0.02)
    curve = curve_of(list(seen.values()), walk.labels, site, Side.GOLDEN)
    fall = None if curve is None else outline(curve, walk.reference.guess)
    levels = sorted({min(level, largest) for level in found})
    return LevelSearch(levels, list(seen), crossing=fall and fall.crossing)


def golden_curve(walk: Walk, site: str) -> Curve:
    """Return golden's curve at the levels of `found_levels`: all images, one noise draw."""
    curve = found_curve(walk, site).curve
    if curve is None:
        raise Defect(f"golden measured nothing at {site}")
    return curve


def found_curve(walk: Walk, site: str) -> LevelSearch:
    """Return the levels of `found_levels` with `golden_curve` at them."""
    search = found_levels(walk, site)
    clean = NoisePoint(walk.context.placement.without(site), 0.0)
    places = [clean, *(NoisePoint(site, sigma) for sigma in search.levels)]
    wanted = walk.wanted([Side.GOLDEN], places)
    curve = curve_of(walk.run(wanted).points, walk.labels, site, Side.GOLDEN)
    return LevelSearch(search.levels, wanted, curve)


def level_search(given: Levels) -> Callable[[Walk, str], LevelSearch]:
    """Return what searches a site for what its levels depend on, if they are not numbers."""
    return found_curve if isinstance(given, MidpointLevels) else found_levels


def site_levels(
    walk: Walk, sites: Sequence[str], given: Levels, found: Mapping[str, LevelSearch]
) -> dict[str, list[float]]:
    """Return the levels of each site.

    Args:
        walk: the walk.
        sites: the sites.
        given: levels as the user gave them; multiples are those of golden's midpoint.
        found: result of `level_search` at each site; empty where levels are numbers.

    Raises:
        OptionError: a site's midpoint is only a bound, or a multiple is beyond its registers.
    """
    if isinstance(given, tuple):
        return {site: list(given) for site in sites}
    if not isinstance(given, MidpointLevels):
        return {site: found[site].levels for site in sites}
    guess = walk.reference.guess
    curves = {site: search.curve for site, search in found.items() if search.curve is not None}
    levels = in_midpoints(given, {site: midpoint(curves[site], guess) for site in sites})
    check_registers(walk, levels)
    return levels
