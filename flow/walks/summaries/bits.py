"""Summary of a walk of ADC bits: accuracy over bits at each site, and the fewest that suffice."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, JsonValue

from flow.statistics.estimate import Estimate
from flow.statistics.verdict import Verdict
from flow.walks.summaries.base import Part, WalkSummary, entry_of
from flow.walks.summaries.checks import Failure, GoldenCheck, RtlCheck


class FewestBits(Part):
    """The fewest bits that lose no more than the points allowed."""

    value: int | None
    """Fewest bits; null if even the most that were measured lose more"""
    low: int | None
    """Lower end of the 95 % interval; null if it lies above the most that were measured"""
    high: int | None
    """Upper end of the 95 % interval; null if it lies above the most that were measured"""
    most: int
    """Most bits that were measured"""

    def __str__(self) -> str:
        """Return ``4 [4, 5]``, ``4 [4, > 8]`` or ``> 8``."""
        value, low, high = (
            str(part) if part is not None else f"> {self.most}"
            for part in (self.value, self.low, self.high)
        )
        return f"{value} [{low}, {high}]" if value != low or value != high else value


class BitsPoint(Part):
    """A site's converter with one number of bits."""

    bits: int
    """Bits of the ADC"""
    step: float | None
    """Step of the ADC, in the unit of the layer's output; null for several sites"""
    software: Estimate
    """Accuracy or agreement in software, 0 to 1"""
    golden: Estimate | None = None
    """Accuracy or agreement in golden, 0 to 1; null in software alone"""
    rtl: Estimate | None = None
    """Accuracy or agreement in RTL, on its images, 0 to 1; null if it was not simulated"""
    difference: Estimate | None = None
    """Golden minus software, paired by image, −1 to 1; null in software alone"""


class BitsSite(Part):
    """Results at one site."""

    range: float | None
    """Full scale of the ADC, in the unit of the layer's output; null for several sites"""
    signed: bool | None
    """Whether there are negative codes; null for several sites"""
    points: list[BitsPoint]
    """By bits, ascending"""
    fewest: dict[str, FewestBits]
    """Fewest bits of each side, software and golden"""
    rtl_images: int | None = None
    """RTL images per point; null in software alone"""
    rtl_runs: int | None = None
    """RTL images with an ADC, over all points of the site; null in software alone"""
    bit_mismatches: int | None = None
    """RTL images that differ from golden in any bit; null in software alone"""
    verdict: Verdict | None = None
    """Verdict on the site; null in software alone"""
    reason: str = ""
    """Reason for the verdict, in words"""

    @property
    def best(self) -> FewestBits:
        """The fewest bits in hardware; in software if nothing else was measured."""
        return self.fewest.get("golden") or self.fewest["software"]


class BitsWalkSummary(WalkSummary):
    """Result of ``walk`` or ``walk-hw`` on ADC bits."""

    made_by: Literal["walk-bits"] = "walk-bits"
    """Marks the results of a walk of ADC bits"""
    loss: float
    """Percentage points that the fewest bits may lose, and within which the sides agree"""
    percentile: float
    """Range of a site's ADC, as a percentile of the site's absolute values"""
    converters: dict[str, int]
    """Bits of the ADCs that are in place at every point, by site"""
    noise_map: dict[str, dict[str, JsonValue]] | None
    """Noise of each site of the noise map; null without a map"""
    sites: dict[str, BitsSite]
    """By site, in the order of the data"""
    verdict: Verdict | None = None
    """Verdict on the walk; null in software alone"""
    golden: GoldenCheck | None = None
    """Check L0; null in software alone"""
    rtl: RtlCheck | None = None
    """Check L1; null in software alone"""
    failures: list[Failure] = Field(default=[])
    """Points that could not be simulated"""
    report: str
    """Path of the report"""

    def __getitem__(self, site: str) -> BitsSite:
        """Return the entry of a site; UserError if there is none."""
        return entry_of(self.sites, site)

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        """Iterate over the names of the sites, in the order of the data."""
        return iter(self.sites)
