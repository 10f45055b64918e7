"""The cross-check (L2): software curve against hardware curve.

**Three sides** (see `flow.walks.points.point.Point`), paired by image. Golden points are cheap and
many, RTL points expensive and few. A statement on the hardware rests on golden, and only at sites
where RTL images were simulated and every one of them, noisy or clean, was bit-equal to golden (L1).

**Two designs.** With common random numbers, each site compares golden with software on the
hardware's random numbers, so that chance cancels; what that cannot see, a fault of these numbers,
is one more claim over all sites together (`flow.walks.crosscheck.random_numbers`). The walk agrees
if every site does and the random numbers do. With independent ones, each site compares golden with
software on torch's random numbers, and there is nothing else to claim.

`flow.walks.crosscheck.figures` gathers each site's figures, `flow.statistics.verdict` judges all
claims together, at a family-wise error of 5 % over all claims and looks. A site whose RTL differs
from golden disagrees whatever the statistics say, and one without RTL images is undecided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.statistics.devices import FEWEST
from flow.statistics.intervals import upper_bound
from flow.statistics.midpoint import RESAMPLES
from flow.statistics.ratio import LogRatio
from flow.statistics.verdict import (
    LEVEL,
    MARGIN,
    POWER,
    Design,
    Judgement,
    RequiredSamples,
    Verdict,
    decide,
    detectable,
    need,
    next_levels,
    overall,
)
from flow.walks.crosscheck import random_numbers
from flow.walks.crosscheck.figures import (
    SiteFigures,
    common_draws,
    midpoint_entries,
    site_figures,
)
from flow.walks.crosscheck.random_numbers import RandomNumbers
from flow.walks.points.point import Point
from flow.walks.points.side import Side

DETECTABLE = ("difference", "disagreement")
"""Names of `SiteCheck.detectable`."""


@dataclass(frozen=True)
class SiteCheck:
    """One site: figures, statistics, verdict."""

    figures: SiteFigures
    judgement: Judgement
    """Statistical judgement of golden against software."""
    verdict: Verdict
    reason: str
    detectable: tuple[float, float] | None
    """Smallest differences in μ that would have been shown: from zero, and beyond the margin."""
    need: RequiredSamples | None
    """Samples that would decide the site; None if it is decided, or if none would."""

    @property
    def site(self) -> str:
        """Name of the site."""
        return self.figures.site

    def to_json(self) -> dict[str, Any]:
        """Return the site's entry of ``sites`` in the summary.

        ``ratio``, which the verdict rests on, is null where golden does not stand for the hardware.
        """
        f = self.figures
        ratio, golden, same = (
            found and found.to_json() for found in (f.ratio, f.ratio_software, f.ratio_hardware_rng)
        )
        wanted = self.need
        return {
            **midpoint_entries(f.midpoints, f.backed),
            "ratio": ratio if f.backed else None,
            "ratio_golden": golden,
            "ratio_rtl": f.ratio_rtl and list(f.ratio_rtl),
            "ratio_crn": same,
            "draws": f.draws,
            "rtl_images": f.rtl_images,
            "rtl_runs": f.rtl_runs,
            "bit_mismatches": f.bit_mismatches,
            "differing_runs_below": _bound(f.bit_mismatches, f.rtl_runs),
            "differing_images_below": _bound(f.bit_mismatches, f.rtl_images),
            "differences": {
                side: [d.to_json() for d in f.differences if d.side == side]
                for side in (Side.GOLDEN, Side.RTL)
            },
            **self.judgement.to_json(),
            "detectable": self.detectable and dict(zip(DETECTABLE, self.detectable, strict=True)),
            "need": wanted
            and {
                "images": wanted.images and round(wanted.images * f.images),
                "draws": wanted.draws and int(np.ceil(wanted.draws * f.draws)),
            },
            "verdict": self.verdict,
            "reason": self.reason,
        }


def _bound(mismatches: int | None, trials: int) -> float | None:
    """Return the upper bound of the share that differs; None if nothing was compared."""
    return None if mismatches is None or not trials else upper_bound(mismatches, trials)


@dataclass(frozen=True)
class CrossCheck:
    """The cross-check of a whole walk."""

    margin: float
    level: float
    """α of this look."""
    sites: tuple[SiteCheck, ...]
    random_numbers: RandomNumbers | None
    """Claim on the hardware's random numbers; None if each site compares them itself."""

    @property
    def verdicts(self) -> list[Verdict]:
        """Verdicts on the sites, and on the random numbers."""
        numbers = self.random_numbers
        found = [site.verdict for site in self.sites]
        return found if numbers is None else [*found, numbers.judgement.verdict]

    @property
    def verdict(self) -> Verdict:
        """Verdict on the walk."""
        return overall(self.verdicts)

    @property
    def judgements(self) -> dict[str, Judgement]:
        """Statistical judgement of each claim."""
        found = {site.site: site.judgement for site in self.sites}
        if self.random_numbers is not None:
            found[random_numbers.NAME] = self.random_numbers.judgement
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the summary's entries on the walk and, under ``sites``, on each site.

        ``detectable`` holds the largest of any site, and is null if a site has no ratio.
        """
        found = [site.detectable for site in self.sites]
        worst = [max(column) for column in zip(*(d for d in found if d), strict=True)]
        return {
            "sites": {site.site: site.to_json() for site in self.sites},
            "design": "independent" if self.random_numbers is None else "common",
            "random_numbers": self.random_numbers and self.random_numbers.to_json(),
            "margin": self.margin,
            "level": LEVEL,
            "level_of_look": self.level,
            "power": POWER,
            "detectable": dict(zip(DETECTABLE, worst, strict=True)) if all(found) else None,
            "verdict": self.verdict,
        }


def cross_check(
    points: Sequence[Point],
    labels: NDArray[np.int64],
    guess: float,
    *,
    design: Design = "common",
    margin: float = MARGIN,
    level: float = LEVEL,
    following: float | None = None,
    earlier: CrossCheck | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> CrossCheck:
    """Compare the sides at every site that both software and golden measured.

    Args:
        points: all points of a run with one kind of noise, including those without noise.
        labels: int64 [images], in the order of the predictions.
        guess: accuracy of guessing, or agreement, in (0, 1).
        design: random numbers of the two sides that each site compares.
        margin: ratios within ± margin of 1 count as equal.
        level: α of this look (`flow.statistics.verdict.look_levels`).
        following: α of the next look, for `SiteCheck.need`; that of this look if not given.
        earlier: the look before, whose verdicts stand.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.

    Returns:
        The check, its sites in the order of their first point.

    Raises:
        ValueError: the points are of several kinds or of no site, only one of software and golden
            measured a site, or a side has no point without noise.
    """
    sites = list(dict.fromkeys(p.site for p in points if p.site))
    if not sites or len({p.kind for p in points if p.site}) > 1:
        raise ValueError("cross_check needs the points of one kind of noise, at a site or more")
    known = _unchanged(earlier, points)
    figures = {
        site: known.get(site) or site_figures(points, labels, site, guess, design, resamples, seed)
        for site in sites
    }
    claims = {site: found.ratio for site, found in figures.items()}
    pooled = None
    if design == "common":
        pooled = random_numbers.compare(list(figures.values()), guess, resamples, seed)
        claims[random_numbers.NAME] = pooled and pooled.ratio
    judgements = decide(claims, level, margin, earlier.judgements if earlier else None)
    checks = [
        _site_check(found, judgements[site], margin, level, following or level, len(claims))
        for site, found in figures.items()
    ]
    numbers = None
    if design == "common":
        judgement = judgements[random_numbers.NAME]
        next_ones = next_levels(judgement, following or level, len(claims))
        measured = list(figures.values())
        numbers = random_numbers.judged(pooled, judgement, margin, next_ones, measured)
    return CrossCheck(margin, level, tuple(checks), numbers)


def _site_check(
    figures: SiteFigures,
    judgement: Judgement,
    margin: float,
    level: float,
    following: float,
    claims: int,
) -> SiteCheck:
    """Return the check of one site; arguments as of `cross_check`, claims as of `_need`."""
    verdict, reason = _verdict(figures, judgement, margin)
    shown = _detectable(figures.ratio, level / claims, margin)
    wanted = None
    if verdict == "undecided":
        wanted = _need(figures, judgement, margin, following, claims)
    return SiteCheck(figures, judgement, verdict, reason, shown, wanted)


def _unchanged(earlier: CrossCheck | None, points: Sequence[Point]) -> dict[str, SiteFigures]:
    """Return the previous look's figures at the sites without new draws."""
    found = [check.figures for check in earlier.sites] if earlier else []
    return {one.site: one for one in found if one.draws == len(common_draws(points, one.site))}


def _need(
    figures: SiteFigures, judgement: Judgement, margin: float, level: float, claims: int
) -> RequiredSamples | None:
    """Return the samples that would decide an undecided site at the next look; None if none would.

    Args:
        figures: the figures of the site.
        judgement: its statistical judgement.
        margin: ratios within ± margin of 1 count as equal.
        level: α of the next look.
        claims: number of claims that share it.
    """
    if not figures.backed or figures.ratio is None:
        return None
    if figures.few_devices:
        return None if figures.fixed_device else RequiredSamples(None, FEWEST / figures.draws)
    return need(figures.ratio, *next_levels(judgement, level, claims), margin, figures.noise)


def _verdict(figures: SiteFigures, judgement: Judgement, margin: float) -> tuple[Verdict, str]:
    """Return the verdict on a site, which the RTL may change, and its reason in words."""
    ratio, sides = figures.ratio, figures.midpoints
    if ratio is None:
        text = "no ratio of μ: without noise a side is no better than guessing"
    elif ratio.number:
        noise = ", same noise" if figures.design == "common" else ""
        text = f"ratio of μ golden / software{noise} {ratio}"
    else:
        text = (
            f"no ratio of μ, software is {sides[_software(figures.design)]}, golden "
            f"{sides[Side.GOLDEN]}: golden / software is {ratio}"
        )
    if figures.few_devices:
        text += f": {_few_devices(figures)}"
    else:
        p = judgement.p_disagree_holm if judgement.verdict == "disagree" else judgement.p_agree
        text += {
            "agree": f": within ± {margin * 100:g} %",
            "disagree": f": beyond ± {margin * 100:g} %",
            "undecided": f": neither shown to lie within ± {margin * 100:g} % nor beyond",
        }[judgement.verdict] + f" (p = {p:.2g})" * (judgement.verdict != "undecided")
    if figures.bit_mismatches:
        return "disagree", f"RTL differs from golden on {figures.bit_mismatches} images"
    if not figures.rtl_runs:
        return "undecided", f"no RTL image was simulated here; golden alone: {text}"
    if figures.bit_mismatches is None:
        return "undecided", f"RTL was not compared bit for bit; golden alone: {text}"
    return judgement.verdict, text


def _software(design: Design) -> Side:
    """Return the software side with which golden is compared."""
    return Side.SOFTWARE_HARDWARE_RNG if design == "common" else Side.SOFTWARE


def _few_devices(figures: SiteFigures) -> str:
    """Explain why there is no interval, and what it requires."""
    many = "one device" if figures.devices == 1 else f"{figures.devices} devices"
    text = f"{many} a side, and what others would show is not known"
    if figures.fixed_device:
        return f"{text}; it is fixed, and each noise draw repeats it"
    return f"{text}: it takes {FEWEST} noise draws at least, each a device of its own"


def _detectable(ratio: LogRatio | None, level: float, margin: float) -> tuple[float, float] | None:
    if ratio is None or not ratio.measured:
        return None
    return (
        detectable(ratio.spread, level, 0.0, ratio.dof),
        detectable(ratio.spread, level, margin, ratio.dof),
    )
