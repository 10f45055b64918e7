"""Figures of one site: midpoints, ratios and differences of its sides, paired by image.

**Per point**: the difference in accuracy between golden and software, and that between RTL and
software on the RTL's images. Each has the paired interval of Agresti and Min (Statistics in
Medicine 2005), the Wald interval after adding 1/2 to each of the four cells. Where a side has
several noise draws, an image counts as their mean, and the same two images are added.

**Per site**: ratios of midpoints (`flow.statistics.ratio`). That of golden to software with the
hardware's own draws (common random numbers) hardly depends on chance: it shows what fixed-point
arithmetic changes. That of golden to software, with independent draws, shows what the random
numbers change as well, and has a wider interval. The ratio of RTL to software is that of the
simulation alone, on its images. The verdict rests on the first or, if requested, on the second
(`flow.walks.crosscheck.check`).

**Noise that images share** (`flow.statistics.devices`): intervals include the variation among
devices. A side of one device, as RTL is, then has no difference and no ratio to software, because
nothing is known about other devices. With common random numbers both sides have the same devices,
so that the images alone set the interval of their ratio.

**L1**: the number of RTL images, noisy or clean, that differ from golden in any bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypedDict

import numpy as np
from numpy.typing import NDArray

from flow.statistics.devices import FEWEST, jackknife, widened
from flow.statistics.intervals import Z95, Float
from flow.statistics.midpoint import Curve, Midpoint, Ratio, midpoint
from flow.statistics.ratio import LogRatio, log_ratio, midpoint_ratio, noise_share
from flow.statistics.verdict import Design
from flow.walks.points.curves import curve_of
from flow.walks.points.point import Point
from flow.walks.points.side import SHOWN, SOFTWARE, Side


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
    """Figures of one site."""

    site: str
    design: Design
    """Random numbers of the two sides that the verdict compares."""
    curves: Mapping[Side, Curve]
    """By side, including software and golden."""
    midpoints: Mapping[Side, Midpoint]
    """By side."""
    ratio: LogRatio | None
    """Ratio behind the verdict, μ_golden / μ of software with the same or with independent
    draws; None if either only guesses without noise, or was not measured."""
    ratio_software: LogRatio | None
    """μ_golden / μ_software, with independent draws."""
    ratio_rtl: Ratio | None
    """μ_RTL / μ_software on the RTL's images; None if either is a bound, a step or one device."""
    ratio_hardware_rng: LogRatio | None
    """μ_golden / μ of software with the hardware's draws: what fixed point changes."""
    noise: float | None
    """Share of the ratio's variance that more noise draws reduce; None if unknown."""
    draws: int
    """Noise draws per point of software and golden."""
    devices: int | None
    """Devices among the draws, on the side with fewer; None where each image has its own noise."""
    images: int
    """Images per point of software and golden."""
    rtl_images: int
    """RTL images per point (the smallest, if points differ)."""
    rtl_runs: int
    """Noisy RTL images of the site, summed over its points."""
    bit_mismatches: int | None
    """RTL images, noisy or clean, that differ from golden; None if a point was not compared."""
    differences: tuple[PointDifference, ...]

    @property
    def backed(self) -> bool:
        """Whether golden stands for the hardware at this site (L1 holds on RTL images)."""
        return self.rtl_runs > 0 and self.bit_mismatches == 0

    @property
    def few_devices(self) -> bool:
        """Whether there are too few devices for an interval of the ratio.

        With common random numbers both sides have the same devices, and any number is enough.
        """
        few = self.devices is not None and self.devices < FEWEST
        return few and self.design == "independent"

    @property
    def fixed_device(self) -> bool:
        """Whether all draws are of one device, so that further draws add nothing."""
        return self.devices == 1 < self.draws


def paired_difference(
    software: NDArray[Any],
    hardware: NDArray[Any],
    devices: Sequence[Float] = (),
    z: float = Z95,
) -> Ratio:
    """Return hardware's accuracy minus software's on the same images (module docstring).

    Args:
        software: whether each image is right, [images], or the share of draws in which it is.
        hardware: the same for the other side.
        devices: accuracy of each device of either side, two or more, if images share their noise.
        z: normal quantile of the interval.
    """
    d = np.asarray(hardware, dtype=np.float64) - np.asarray(software, dtype=np.float64)
    n = len(d) + 2
    centre = d.sum() / n
    half = z * np.sqrt((((d**2).sum() + 1) / n - centre**2) / n)
    ends = float(centre - half), float(centre + half)
    if devices:
        # without each, the mean of the others moves by (mean − own) / (D − 1)
        spreads = [jackknife((rows.mean() - rows) / (len(rows) - 1)) for rows in devices]
        ends = widened((centre, centre), ends, spreads).ends
    return float(d.mean()), max(ends[0], -1.0), min(ends[1], 1.0)


class _Fit(TypedDict):
    """Settings of the estimation: arguments of the functions of `flow.statistics`."""

    guess: float
    resamples: int
    seed: int


def site_figures(
    points: Sequence[Point],
    labels: NDArray[np.int64],
    site: str,
    guess: float,
    design: Design,
    resamples: int,
    seed: int,
) -> SiteFigures:
    """Gather the figures of one site from its points.

    Args:
        points: all points of a run with one kind of noise, including those without noise.
        labels: int64 [images], in the order of the predictions.
        site: the tap.
        guess: accuracy of guessing.
        design: random numbers of the two sides that the verdict compares.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.

    Raises:
        ValueError: software or golden has no point here, or none without noise.
    """
    sides = _Sides.of(points, labels, site)
    fit: _Fit = {"guess": guess, "resamples": resamples, "seed": seed}
    draws = common_draws(points, site)
    independent = log_ratio(*sides.pair(Side.GOLDEN, Side.SOFTWARE), **fit)
    common = _ratio_hardware_rng(sides, fit)
    ratio = common if design == "common" else independent
    runs, fewest, mismatches = bit_exact_check(points, site)
    return SiteFigures(
        site=site,
        design=design,
        curves=sides.curves,
        midpoints={side: midpoint(curve, **fit) for side, curve in sides.curves.items()},
        ratio=ratio,
        ratio_software=independent,
        ratio_rtl=_ratio_rtl(sides, fit),
        ratio_hardware_rng=common,
        noise=_noise_share(sides, draws, ratio, design, fit),
        draws=len(draws),
        devices=sides.devices,
        images=sides.curves[Side.GOLDEN].images,
        rtl_images=fewest,
        rtl_runs=runs,
        bit_mismatches=mismatches,
        differences=tuple(
            difference
            for side in (Side.GOLDEN, Side.RTL)
            if side in sides.curves
            for difference in _differences(side, *sides.pair(side, Side.SOFTWARE))
        ),
    )


@dataclass(frozen=True)
class _Sides:
    """The curves of one site, of every side that measured it."""

    points: Sequence[Point]
    labels: NDArray[np.int64]
    site: str
    curves: Mapping[Side, Curve]

    @classmethod
    def of(cls, points: Sequence[Point], labels: NDArray[np.int64], site: str) -> Self:
        """Gather the curves; arguments and errors as of `site_figures`."""
        found = {side: curve_of(points, labels, site, side) for side in Side}
        curves = {side: curve for side, curve in found.items() if curve is not None}
        if Side.SOFTWARE not in curves or Side.GOLDEN not in curves:
            raise ValueError(f"{site}: software and golden both need points, also without noise")
        return cls(points, labels, site, curves)

    @property
    def devices(self) -> int | None:
        """Devices of the side with fewer, software or golden; None if each image has its own."""
        compared = [self.curves[side].devices for side in (Side.SOFTWARE, Side.GOLDEN)]
        return min((len(rows) for rows in compared if rows is not None), default=None)

    def pair(
        self, hardware: Side, software: Side, draws: Sequence[int] | None = None
    ) -> tuple[Curve, Curve]:
        """Return two sides' curves on their common images; of some draws only, if given."""
        whole = self.curves[hardware], self.curves[software]
        images = min(curve.images for curve in whole)
        if draws is None and all(curve.images == images for curve in whole):
            return whole
        points = self.points
        if draws is not None:
            points = [point for point in points if not point.sigma or point.seed in draws]
        first, second = (
            curve_of(points, self.labels, self.site, side, images=images)
            for side in (hardware, software)
        )
        assert first is not None and second is not None
        return first, second

    def same_noise(self, draws: Sequence[int] | None = None) -> tuple[Curve, Curve]:
        """Return golden's curve, and that of software with the same random numbers.

        Both have the same devices, so that only the images are a sample.
        """
        golden, software = (
            curve if curve.devices is None else replace(curve, devices=None)
            for curve in self.pair(Side.GOLDEN, Side.SOFTWARE_HARDWARE_RNG, draws)
        )
        return golden, software


def common_draws(points: Sequence[Point], site: str) -> list[int]:
    """Return the seeds of the noise draws that both software and golden have at a site."""
    software, golden = (
        {point.seed for point in points if (point.site, point.side) == (site, side)}
        for side in (Side.SOFTWARE, Side.GOLDEN)
    )
    return sorted(software & golden)


def _noise_share(
    sides: _Sides, draws: Sequence[int], ratio: LogRatio | None, design: Design, fit: _Fit
) -> float | None:
    """Return `SiteFigures.noise`, estimated from the two halves of the draws."""
    if ratio is None or not ratio.measured or len(draws) < 2:
        return None
    halves = (draws[::2], draws[1::2])
    if design == "common":
        first, second = (sides.same_noise(half) for half in halves)
    else:
        first, second = (sides.pair(Side.GOLDEN, Side.SOFTWARE, half) for half in halves)
    return noise_share((first, second), ratio, **fit)


def _ratio_rtl(sides: _Sides, fit: _Fit) -> Ratio | None:
    """Return `SiteFigures.ratio_rtl`."""
    if Side.RTL not in sides.curves:
        return None
    return midpoint_ratio(*sides.pair(Side.RTL, Side.SOFTWARE), **fit)


def _ratio_hardware_rng(sides: _Sides, fit: _Fit) -> LogRatio | None:
    """Return `SiteFigures.ratio_hardware_rng`."""
    if Side.SOFTWARE_HARDWARE_RNG not in sides.curves:
        return None
    return log_ratio(*sides.same_noise(), **fit)


def midpoint_entries(midpoints: Mapping[Side, Midpoint], backed: bool) -> dict[str, Any]:
    """Return the part of a site's summary entry about midpoints and fits.

    ``*_hw`` are golden's figures where golden stands for the hardware, and null elsewhere.
    ``*_golden`` has them in any case, ``*_rtl`` those of the simulation alone. ``k_*``,
    ``method_*`` and ``floor_*`` describe the fits, to draw them.

    Args:
        midpoints: by side; sides that were not measured are missing.
        backed: whether golden may speak for the hardware.
    """
    sides = {side.short: midpoints.get(side) for side in (*SHOWN, *SOFTWARE)}
    sides["hw"] = sides["golden"] if backed else None
    devices = {short: mu.devices for short, mu in sides.items() if mu}
    return {
        **{f"mu_{short}": mu and mu.estimate for short, mu in sides.items()},
        **{
            f"{key}_{short}": mu and getattr(mu, key)
            for key in ("k", "method", "floor")
            for short, mu in sides.items()
            if short != "crn"
        },
        "devices": devices if any(devices.values()) else None,
    }


def bit_exact_check(points: Sequence[Point], site: str) -> tuple[int, int, int | None]:
    """Count RTL images of a site: all, the fewest at a point, and those that differ from golden.

    The last number includes images without noise, and is None if a point was never compared.
    """

    def where(p: Point) -> tuple[str, float, int]:
        return p.site, p.sigma, p.seed if p.site else 0

    # without a site, RTL has only the first draw
    golden = {where(p): p.predictions for p in reversed(points) if p.side is Side.GOLDEN}
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
    """Return hardware minus software at every level that both measured, by level.

    The list is empty where images share their noise and a side has one device.
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
        both = software.measured[there] & hardware.measured[here]
        ours, theirs = software.correct[there, both], hardware.correct[here, both]
        columns = zip(devices, (here, there), strict=True)
        of_devices = [rows[:, at] for rows, at in columns if rows is not None]
        found.append(
            PointDifference(
                side,
                sigma,
                len(ours),
                float(ours.mean(dtype=np.float64)),
                float(theirs.mean(dtype=np.float64)),
                *paired_difference(ours, theirs, of_devices),
            )
        )
    return found
