"""What was measured at one site: midpoints, ratios and differences of its sides, paired by image.

**Per point**: the difference of the accuracies of golden and software, and that of RTL and
software on the RTL's images, each with the paired interval of Agresti and Min (Statistics in
Medicine 2005): the Wald interval after adding 1/2 to each of the four cells. Where a side has
several noise draws, an image counts as their mean, and the same two images are added.

**Per site**: the ratio μ_golden / μ_software (`flow.statistics.ratio`), on which the verdict rests;
beside it the ratio of the simulated RTL alone, μ_RTL / μ_software on the RTL's images, which is
wider; and the ratio of golden to software with the hardware's own draws (common random numbers),
which chance hardly touches: what is left is what fixed-point arithmetic changes.

**Noise that images share** (`flow.statistics.devices`): intervals hold what devices add, too. A
side of one device, as RTL is, has no difference and no ratio to software then, for nothing is known
of what another would show. With common random numbers both sides are of the same devices, so that
their ratio needs images alone.

**L1**: RTL images that differ from golden in any bit, noisy or clean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.statistics.devices import FEWEST, jackknife, widened
from flow.statistics.intervals import Z95, Float
from flow.statistics.midpoint import Curve, Midpoint, Ratio, midpoint
from flow.statistics.ratio import LogRatio, log_ratio, midpoint_ratio, noise_share
from flow.walks.points.curves import curve_of
from flow.walks.points.point import Point
from flow.walks.points.side import Side


@dataclass(frozen=True)
class PointDifference:
    """Accuracy of a hardware side minus that of software at one level, paired by image."""

    side: str
    """``golden`` or ``rtl``."""
    sigma: float
    images: int
    software: float
    """Accuracy, mean over the noise draws."""
    hardware: float
    difference: float
    lo: float
    hi: float

    def to_json(self) -> dict[str, Any]:
        """Return the fields, the hardware side's accuracy under its own name."""
        return {
            "sigma": self.sigma,
            "images": self.images,
            "software": self.software,
            self.side: self.hardware,
            "difference": [self.difference, self.lo, self.hi],
        }


@dataclass(frozen=True)
class SiteFigures:
    """What was measured at one site."""

    site: str
    midpoints: Mapping[Side, Midpoint]
    """By side; software and golden are there."""
    ratio: LogRatio | None
    """μ_golden / μ_software; None if either only guesses without noise."""
    ratio_rtl: Ratio | None
    """μ_RTL / μ_software on the RTL's images; None if either is a bound, a step or one device."""
    ratio_hardware_rng: Ratio | None
    """μ_golden / μ of software with the hardware's draws: what fixed point changes."""
    noise: float | None
    """Share of the ratio's variance that more noise draws reduce; None if unknown."""
    draws: int
    """Noise draws a point of software and golden."""
    devices: int | None
    """How many they are of, of the side with fewer; None where each image has its own noise."""
    images: int
    """Images a point of software and golden."""
    rtl_images: int
    """RTL images a point (the smallest, if points differ)."""
    rtl_runs: int
    """RTL images over all points of the site, each noisy image counted."""
    bit_mismatches: int | None
    """RTL images, of those or of the clean ones, that differ from golden; None: not compared."""
    differences: tuple[PointDifference, ...]

    @property
    def backed(self) -> bool:
        """Whether golden may speak for the hardware at this site (L1 held on RTL images)."""
        return self.rtl_runs > 0 and self.bit_mismatches == 0

    @property
    def few_devices(self) -> bool:
        """Whether they are too few for an interval of the ratio."""
        return self.devices is not None and self.devices < FEWEST

    @property
    def fixed_device(self) -> bool:
        """Whether all draws are of one device, so that further draws tell no more."""
        return self.devices == 1 < self.draws


def paired_difference(
    software: NDArray[Any], hardware: NDArray[Any], devices: Sequence[Float] = ()
) -> Ratio:
    """Accuracy of hardware minus software on the same images, with Agresti and Min's interval.

    Args:
        software: which images are right, [images], or the share of the draws in which they are.
        hardware: the same of the other side.
        devices: accuracy of each device of either side, two or more, if images share their noise.
    """
    d = np.asarray(hardware, dtype=np.float64) - np.asarray(software, dtype=np.float64)
    n = len(d) + 2
    centre = d.sum() / n
    half = Z95 * np.sqrt((((d**2).sum() + 1) / n - centre**2) / n)
    ends = float(centre - half), float(centre + half)
    if devices:
        # without each, the mean of the others moves by (mean − own) / (D − 1)
        spreads = [jackknife((rows.mean() - rows) / (len(rows) - 1)) for rows in devices]
        ends = widened((centre, centre), ends, spreads).ends
    return float(d.mean()), max(ends[0], -1.0), min(ends[1], 1.0)


def site_figures(
    points: Sequence[Point],
    labels: NDArray[np.int64],
    site: str,
    guess: float,
    resamples: int,
    seed: int,
) -> SiteFigures:
    """Gather what one site's points say.

    Args:
        points: all points of a run, of one kind of noise, clean ones included.
        labels: int64 [images], same order as the predictions.
        site: the tap.
        guess: accuracy of guessing.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Raises:
        ValueError: software or golden has no point here, or none without noise.
    """
    curves = {
        side: curve for side in Side if (curve := curve_of(points, labels, site, side)) is not None
    }
    if Side.SOFTWARE not in curves or Side.GOLDEN not in curves:
        raise ValueError(f"{site}: software and golden both need points, also without noise")
    options: Any = {"resamples": resamples, "seed": seed}

    def pair(hardware: Side, software: Side, some: Sequence[Point] = points) -> tuple[Curve, Curve]:
        images = min(curves[hardware].images, curves[software].images)
        first, second = (
            curve_of(some, labels, site, side, images=images) for side in (hardware, software)
        )
        assert first is not None and second is not None
        return first, second

    ratio = log_ratio(*pair(Side.GOLDEN, Side.SOFTWARE), guess, **options)
    seeds = [
        {p.seed for p in points if (p.site, p.side) == (site, side)}
        for side in (Side.SOFTWARE, Side.GOLDEN)
    ]
    draws = sorted(seeds[0] & seeds[1])
    noise = None
    compared = [curves[side].devices for side in (Side.SOFTWARE, Side.GOLDEN)]
    devices = min((len(rows) for rows in compared if rows is not None), default=None)
    if ratio is not None and ratio.measured and len(draws) > 1:
        halves = [
            pair(Side.GOLDEN, Side.SOFTWARE, [p for p in points if not p.site or p.seed in half])
            for half in (draws[::2], draws[1::2])
        ]
        noise = noise_share((halves[0], halves[1]), ratio, guess, **options)
    same = []  # the same devices on both sides, so that only the images are a sample
    if Side.SOFTWARE_HARDWARE_RNG in curves:
        same = [
            replace(curve, devices=None) for curve in pair(Side.GOLDEN, Side.SOFTWARE_HARDWARE_RNG)
        ]
    runs, fewest, mismatches = bit_exact_check(points, site)
    return SiteFigures(
        site=site,
        midpoints={side: midpoint(curve, guess, **options) for side, curve in curves.items()},
        ratio=ratio,
        ratio_rtl=midpoint_ratio(*pair(Side.RTL, Side.SOFTWARE), guess, **options)
        if Side.RTL in curves
        else None,
        ratio_hardware_rng=midpoint_ratio(same[0], same[1], guess, **options) if same else None,
        noise=noise,
        draws=len(draws),
        devices=devices,
        images=curves[Side.GOLDEN].images,
        rtl_images=fewest,
        rtl_runs=runs,
        bit_mismatches=mismatches,
        differences=tuple(
            difference
            for side in (Side.GOLDEN, Side.RTL)
            if side in curves
            for difference in _differences(side, *pair(side, Side.SOFTWARE))
        ),
    )


def bit_exact_check(points: Sequence[Point], site: str) -> tuple[int, int, int | None]:
    """Count RTL images of a site: all, the fewest at a point, and those that differ from golden.

    The last includes the images without noise, and is None if a point was never compared.
    """

    def where(p: Point) -> tuple[str, float, int]:
        return p.site, p.sigma, p.seed if p.site else 0

    golden = {where(p): p.predictions for p in points if p.side is Side.GOLDEN}
    rtl = [p for p in points if p.side is Side.RTL and p.images and p.site in ("", site)]
    mismatches = 0
    for p in rtl:
        twin = golden.get(where(p), p.predictions)
        n = min(p.images, len(twin))
        mismatches += max(int((p.predictions[:n] != twin[:n]).sum()), p.bit_mismatches or 0)
    checked = mismatches > 0 or all(p.bit_mismatches is not None for p in rtl)
    counts = [p.images for p in rtl if p.site]
    return sum(counts), min(counts, default=0), mismatches if checked else None


def _differences(side: Side, hardware: Curve, software: Curve) -> list[PointDifference]:
    """Hardware minus software wherever both measured the same level, by level.

    None where images share their noise and a side has one device.
    """
    devices = [curve.devices for curve in (hardware, software)]
    if any(rows is not None and len(rows) < 2 for rows in devices):
        return []
    places = {float(sigma): place for place, sigma in enumerate(software.levels)}
    found = []
    for here, sigma in enumerate(map(float, hardware.levels)):
        if sigma not in places:
            continue
        there = places[sigma]
        ours, theirs = software.correct[there], hardware.correct[here]
        columns = zip(devices, (here, there), strict=True)
        of_devices = [rows[:, at] for rows, at in columns if rows is not None]
        found.append(
            PointDifference(
                side,
                sigma,
                hardware.images,
                float(ours.mean(dtype=np.float64)),
                float(theirs.mean(dtype=np.float64)),
                *paired_difference(ours, theirs, of_devices),
            )
        )
    return found
