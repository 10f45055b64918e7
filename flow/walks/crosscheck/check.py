"""The cross-check (L2): software curve against hardware curve, and what is said about hardware.

**Three sides** (see `flow.walks.points.point.Point`), paired by image. Golden points are cheap and
many, RTL points dear and few. A statement on the hardware rests on golden, and only at sites where
RTL images were simulated and every one of them, noisy or clean, was bit-equal to golden (L1).

`flow.walks.crosscheck.figures` gathers each site's figures, `flow.statistics.verdict` judges the
sites together, at a family-wise error of 5 % over all sites and looks. A site whose RTL differs
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
    Judgement,
    RequiredSamples,
    Verdict,
    decide,
    detectable,
    need,
    overall,
)
from flow.walks.crosscheck.figures import SiteFigures, site_figures
from flow.walks.points.point import Point
from flow.walks.points.side import SHOWN, SOFTWARE, Side

DETECTABLE = ("difference", "disagreement")
"""Names of `SiteCheck.detectable`."""


@dataclass(frozen=True)
class SiteCheck:
    """One site: figures, statistics, verdict."""

    figures: SiteFigures
    judgement: Judgement
    """What the statistics say of golden against software."""
    verdict: Verdict
    reason: str
    detectable: tuple[float, float] | None
    """Smallest differences in μ that would have been shown: from none, and beyond the margin."""
    need: RequiredSamples | None
    """What would decide the site; None if it is decided, or if no image would decide it."""

    @property
    def site(self) -> str:
        """Name of the site."""
        return self.figures.site

    def to_json(self) -> dict[str, Any]:
        """Return the site's entry of ``sites`` in the summary.

        ``*_hw`` and ``ratio`` are golden's figures where golden may speak for the hardware
        (`SiteFigures.backed`), and null elsewhere. ``*_golden`` has golden's figures in any case,
        ``*_rtl`` those of the simulation alone. ``k_*``, ``method_*`` and ``floor_*`` describe
        the fits, to draw them.
        """
        f = self.figures
        sides = {side.short: f.midpoints.get(side) for side in (*SHOWN, *SOFTWARE)}
        sides["hw"] = sides["golden"] if f.backed else None
        golden = f.ratio.to_json() if f.ratio else None
        wanted = self.need
        return {
            **{f"mu_{short}": mu and mu.estimate for short, mu in sides.items()},
            **{
                f"{key}_{short}": mu and getattr(mu, key)
                for key in ("k", "method", "floor")
                for short, mu in sides.items()
                if short != "crn"
            },
            "ratio": golden if f.backed else None,
            "ratio_golden": golden,
            "ratio_rtl": f.ratio_rtl and list(f.ratio_rtl),
            "ratio_crn": f.ratio_hardware_rng and list(f.ratio_hardware_rng),
            "draws": f.draws,
            "devices": f.devices and {short: mu.devices for short, mu in sides.items() if mu},
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

    @property
    def verdict(self) -> Verdict:
        """Verdict on the walk."""
        return overall([site.verdict for site in self.sites])

    @property
    def judgements(self) -> dict[str, Judgement]:
        """What the statistics say, by site."""
        return {site.site: site.judgement for site in self.sites}

    def to_json(self) -> dict[str, Any]:
        """Return the summary's ``sites``, ``margin``, ``level``, ``detectable`` and ``verdict``.

        ``detectable`` holds the largest of any site, and is null if a site has no ratio.
        """
        found = [site.detectable for site in self.sites]
        worst = [max(column) for column in zip(*(d for d in found if d), strict=True)]
        return {
            "sites": {site.site: site.to_json() for site in self.sites},
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
    classes: int,
    *,
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
        classes: number of classes; guessing is right once in that many.
        margin: ratios within ± margin of 1 count as equal.
        level: α of this look (`flow.statistics.verdict.look_levels`).
        following: α of the next look, for `SiteCheck.need`; that of this look if not given.
        earlier: the look before; its decided sites have no new points.
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
    decided = [check for check in earlier.sites if check.verdict != "undecided"] if earlier else []
    known = {check.site: check.figures for check in decided}
    figures = {
        site: known.get(site) or site_figures(points, labels, site, 1.0 / classes, resamples, seed)
        for site in sites
    }
    judgements = decide(
        {site: found.ratio for site, found in figures.items()},
        level,
        margin,
        earlier.judgements if earlier else None,
    )
    checks = []
    for site, found in figures.items():
        judgement = judgements[site]
        verdict, reason = _verdict(found, judgement, margin)
        shown = _detectable(found.ratio, level / len(sites), margin)
        wanted = None
        if verdict == "undecided":
            wanted = _need(found, judgement, margin, following or level, len(sites))
        checks.append(SiteCheck(found, judgement, verdict, reason, shown, wanted))
    return CrossCheck(margin, level, tuple(checks))


def _need(
    figures: SiteFigures, judgement: Judgement, margin: float, level: float, sites: int
) -> RequiredSamples | None:
    """Return what would decide an undecided site at the next look, None if nothing known would.

    Args:
        figures: what was measured at the site.
        judgement: what the statistics say of it.
        margin: ratios within ± margin of 1 count as equal.
        level: α of the next look.
        sites: number of sites that share it.
    """
    if not figures.backed or figures.ratio is None:
        return None
    if figures.few_devices:
        return None if figures.fixed_device else RequiredSamples(None, FEWEST / figures.draws)
    share = level / sites
    # a site that fails keeps the whole walk from agreeing; one that passes waits for itself alone
    within = share if judgement.passed else level
    return need(figures.ratio, within, share, margin, figures.noise)


def _verdict(figures: SiteFigures, judgement: Judgement, margin: float) -> tuple[Verdict, str]:
    """Return the verdict on a site, which the RTL may change, and its reason in words."""
    ratio, sides = figures.ratio, figures.midpoints
    if ratio is None:
        text = "no ratio of μ: without noise a side is no better than guessing"
    elif ratio.number:
        text = f"ratio of μ golden / software {ratio}"
    else:
        text = (
            f"no ratio of μ, software is {sides[Side.SOFTWARE]}, golden {sides[Side.GOLDEN]}: "
            f"golden / software is {ratio}"
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


def _few_devices(figures: SiteFigures) -> str:
    """Say why there is no interval, and what one takes."""
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
