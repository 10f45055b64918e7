"""The preliminary summary of a walk: curves and midpoints of the points measured so far."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.rtl.scope import FULL, SITE
from flow.statistics.intervals import upper_bound
from flow.statistics.midpoint import midpoint
from flow.walks.crosscheck.figures import bit_exact_check, common_draws, midpoint_entries
from flow.walks.points.curves import curve_of
from flow.walks.points.measurement import propagate_mismatches
from flow.walks.points.point import Point
from flow.walks.points.side import SHOWN, Side
from flow.walks.summaries import HardwareWalkSummary, Progress

_RESAMPLES = 200
"""Bootstrap resamples of a preliminary midpoint: its interval is rough, and takes little time."""
_LEVELS = 5
"""Levels from which a curve no longer needs the points of the search; coarse ones come first."""
NOT_JUDGED = "not yet judged"
"""Word in place of the verdict until the walk is judged."""


def with_points(
    summary: HardwareWalkSummary,
    points: Sequence[Point],
    labels: NDArray[np.int64],
    progress: Progress,
) -> HardwareWalkSummary:
    """Return a preliminary summary from some points.

    Args:
        summary: summary of the walk, with any points.
        points: points measured by now, of any sides; see `usable`.
        labels: int64 [images], in the order of the predictions.
        progress: progress of the walk.
    """
    found = summary.model_dump(by_alias=True)
    guess = summary.guessing
    for site, entry in found["sites"].items():
        entry |= unjudged(points, labels, site, guess)
    rtl = simulated(points)
    found |= sides(points, labels)
    found["checks"]["L1"] |= rtl
    found["rtl"] |= rtl
    return HardwareWalkSummary.model_validate(found | {"progress": progress.model_dump()})


def usable(points: Sequence[Point], search: Sequence[Point] = ()) -> list[Point]:
    """Return the points behind a preliminary summary.

    Args:
        points: points of the walk.
        search: golden's points, on fewer images, from the search for noise levels. They add to
            golden's own at sites where these are too few for a curve.
    """
    whole = any(p.side is Side.RTL and not p.site and p.scope == FULL for p in points)
    # a part does not check the layers that it skips until the whole network was simulated
    known = [p for p in points if whole or p.scope != SITE]
    own = {(p.site, p.sigma) for p in known if p.side is Side.GOLDEN}
    levels = Counter(site for site, _ in own)
    more = [p for p in search if levels[p.site] < _LEVELS and (p.site, p.sigma) not in own]
    return propagate_mismatches([*known, *more])


def unjudged(
    points: Sequence[Point], labels: NDArray[np.int64], site: str, guess: float
) -> dict[str, Any]:
    """Return the entry of a site in the summary before it is judged."""
    curves = {side: curve_of(points, labels, site, side) for side in Side}
    midpoints = {
        side: midpoint(curve, guess, resamples=_RESAMPLES)
        for side, curve in curves.items()
        if curve is not None
    }
    runs, fewest, mismatches = bit_exact_check(points, site)
    nothing = (
        "ratio", "ratio_golden", "ratio_rtl", "ratio_crn", "differing_runs_below",
        "differing_images_below", "p_agree", "p_disagree", "p_agree_holm", "p_disagree_holm",
        "detectable", "need", "verdict",
    )  # fmt: skip
    return {
        **midpoint_entries(midpoints, backed=runs > 0 and mismatches == 0),
        **dict.fromkeys(nothing),
        "draws": len(common_draws(points, site)) or None,
        "rtl_images": fewest,
        "rtl_runs": runs,
        "bit_mismatches": mismatches,
        "differences": {"golden": [], "rtl": []},
        "reason": NOT_JUDGED,
    }


def sides(points: Sequence[Point], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Return each side's measure without noise, images and noise draws."""
    clean = {point.side: point for point in points if not point.site}
    return {
        "clean": {s.clean_key: clean[s].accuracy(labels) for s in SHOWN if s in clean},
        "images": {side: clean[side].images if side in clean else 0 for side in SHOWN},
        "draws": {
            side: len({point.seed for point in points if point.side == side and point.site})
            for side in SHOWN
        },
    }


def simulated(points: Sequence[Point]) -> Mapping[str, Any]:
    """Count the simulated images, and those that differ from golden."""
    rtl = [point for point in points if point.side is Side.RTL]
    images = sum(point.images for point in rtl)
    mismatches = sum(point.bit_mismatches or 0 for point in rtl)
    compared = images and all(point.bit_mismatches is not None for point in rtl)
    return {
        "images": images,
        "bit_mismatches": mismatches,
        "differing_runs_below": upper_bound(mismatches, images) if compared else None,
    }
