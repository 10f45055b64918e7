"""Judgement of a walk of ADC bits: the fewest bits at each site, and whether the sides agree.

**Fewest bits.** With A₀ the accuracy of a side without the site's converter and A(B) that with B
bits, on the same images, the fewest bits are the smallest B from which on A₀ − A(B) is at most the
loss allowed. The ends of the interval are those B where this holds of the lower and of the upper
end of the paired 95 % interval of A₀ − A(B). An A that falls as bits are taken away makes it a 95 %
interval: above it every B was shown to suffice, below it one was shown not to.

**Verdict.** At each B the difference in accuracy between golden and software is paired by image,
and with noise of a map by its samples too. A site agrees if each of its differences is shown to lie
within the loss allowed, and disagrees if one of them is shown to lie beyond. The error of 5 % is
shared among the sites, and for disagree among their points. A site also disagrees if any RTL image
differs from golden in a bit, and is undecided if no RTL image was simulated.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from flow.statistics.estimate import Estimate
from flow.statistics.intervals import share
from flow.statistics.midpoint import Curve, Ratio
from flow.statistics.verdict import LEVEL, Verdict
from flow.walks.crosscheck.figures import bit_exact_check, paired_difference
from flow.walks.points.curves import curve_of
from flow.walks.points.placement import Placement
from flow.walks.points.point import Point
from flow.walks.points.side import SHOWN, Side
from flow.walks.summaries.bits import BitsPoint, BitsSite, FewestBits


def fewest_bits(curve: Curve, loss: float) -> FewestBits:
    """Return the fewest bits of a curve over bits.

    Args:
        curve: one side's curve; its levels are numbers of bits, and clean is without the converter.
        loss: accuracy that may be lost, 0 to 1.
    """
    lost = [paired_difference(right, curve.clean) for right in curve.correct]

    def least(part: int) -> int | None:
        found = None
        for bits, one in zip(reversed(curve.levels), reversed(lost), strict=True):
            if one[part] > loss:
                break
            found = int(bits)
        return found

    value, low, high = least(0), least(1), least(2)
    return FewestBits(value=value, low=low, high=high, most=int(max(curve.levels)))


def judge(
    differences: Sequence[tuple[NDArray, NDArray]], loss: float, sites: int
) -> tuple[Verdict, str]:
    """Return the verdict on golden against software at one site, and its reason.

    Args:
        differences: of each number of bits whether each image is right, of software and golden.
        loss: difference in accuracy that counts as none, 0 to 1.
        sites: number of sites that share the error.
    """
    within, beyond = LEVEL / sites, LEVEL / sites / len(differences)

    def ends(alpha: float) -> list[Ratio]:
        return [paired_difference(*pair, z=float(ndtri(1 - alpha))) for pair in differences]

    largest = max((one[0] for one in ends(within)), key=abs)
    text = f"golden − software up to {100 * largest:+.2f} points"
    if all(-loss < low and high < loss for _, low, high in ends(within)):
        return "agree", f"{text}: within ± {100 * loss:g}"
    if any(low > loss or high < -loss for _, low, high in ends(beyond)):
        return "disagree", f"{text}: beyond ± {100 * loss:g}"
    return "undecided", f"{text}: neither shown to lie within ± {100 * loss:g} nor beyond"


def bits_site(
    points: Sequence[Point],
    labels: NDArray[np.int64],
    site: str,
    placement: Placement,
    loss: float,
    sites: int,
) -> BitsSite:
    """Return the results at a site.

    Args:
        points: all points of the walk.
        labels: int64 [images], in the order of the predictions.
        site: the site, or several together.
        placement: what converts there.
        loss: accuracy that may be lost, 0 to 1.
        sites: number of sites of the walk.
    """
    curves = {side: curve_of(points, labels, site, side) for side in Side}
    software, golden, rtl = (curves[side] for side in SHOWN)
    assert software is not None and placement.converter_of is not None
    if rtl is not None and len(rtl.levels) != len(software.levels):
        # a point could not be simulated
        rtl = None
    # with noise beneath, the same samples
    paired = curves[Side.SOFTWARE_HARDWARE_RNG] or software
    several = placement.walking(site) != (site,)
    entries, adc = [], None
    for number, bits in enumerate(map(int, software.levels)):
        adc = None if several else placement.converter_of(site, bits)
        difference = None
        if golden is not None:
            difference = Estimate(
                *paired_difference(paired.correct[number], golden.correct[number])
            )
        entry = BitsPoint(
            bits=bits,
            step=None if adc is None else adc.real_step,
            software=_accuracy(software.correct[number]),
            golden=None if golden is None else _accuracy(golden.correct[number]),
            rtl=None if rtl is None else _accuracy(rtl.correct[number]),
            difference=difference,
        )
        entries.append(entry)
    found = BitsSite(
        range=None if adc is None else adc.full_scale,
        signed=None if adc is None else adc.signed,
        points=entries,
        fewest={
            side.value: fewest_bits(curve, loss)
            for side, curve in ((Side.SOFTWARE, software), (Side.GOLDEN, golden))
            if curve is not None
        },
    )
    if golden is None:
        return found
    pairs = list(zip(paired.correct, golden.correct, strict=True))
    return found.model_copy(update=_hardware(points, site, *judge(pairs, loss, sites)))


def _hardware(points: Sequence[Point], site: str, verdict: Verdict, reason: str) -> dict:
    """Return the part of a site's entry about the hardware."""
    runs, fewest, mismatches = bit_exact_check(points, site)
    if mismatches:
        verdict, reason = "disagree", f"RTL differs from golden on {mismatches} images"
    elif not runs:
        verdict, reason = "undecided", f"no RTL image was simulated here; golden alone: {reason}"
    return {
        "rtl_images": fewest,
        "rtl_runs": runs,
        "bit_mismatches": mismatches,
        "verdict": verdict,
        "reason": reason,
    }


def _accuracy(right: NDArray[Any]) -> Estimate:
    """Return the accuracy of a point, from whether each image is right."""
    return Estimate(*share(float(right.sum()), len(right)))
