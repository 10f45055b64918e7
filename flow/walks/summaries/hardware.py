"""What a walk in software and in hardware found."""

from collections.abc import Iterator
from typing import Literal

from pydantic import JsonValue

from flow.statistics.curve_models import Method
from flow.statistics.estimate import Estimate
from flow.statistics.verdict import Design, Verdict
from flow.walks.summaries.accelerator import Hardware
from flow.walks.summaries.base import Bearing, Part, WalkSummary, entry_of
from flow.walks.summaries.checks import Checks, Failure, LocatedDivergence, RtlRun, Scope
from flow.walks.summaries.ranking import Ranked, ranked


class Detectable(Part):
    """Smallest differences in μ that would be shown with a probability of 80 %; 0.05 is 5 %."""

    difference: float
    """Smallest difference that would have been shown, relative to μ"""
    disagreement: float
    """Smallest difference that would have been called disagreement, relative to μ"""


class Need(Part):
    """Images or draws that would decide a site with 80 % probability if its estimate is true."""

    images: int | None
    """Images, with the present draws; null if images alone would not decide"""
    draws: int | None
    """Noise draws, on the present images; null if draws alone would not decide"""


class RandomNumbers(Part):
    """The hardware's random numbers against torch's, over all sites together."""

    ratio: Estimate | None
    """μ of software with the hardware's random numbers / with torch's: mean over the sites, each
    weighted by its precision; null if no site has such a ratio"""
    sites: list[str]
    """Sites that contribute to the mean"""
    p_agree: float
    """p-value of agree, for this claim alone"""
    p_disagree: float
    """p-value of disagree, for this claim alone"""
    p_agree_holm: float
    """p-value of agree, adjusted for all claims"""
    p_disagree_holm: float
    """p-value of disagree, adjusted for all claims"""
    need: Need | None
    """Draws that would decide it; null if it is decided, or if none would"""
    verdict: Verdict
    """Verdict on the random numbers"""
    reason: str
    """Reason for the verdict, in words"""


class Difference(Part):
    """Hardware side minus software at one level, in accuracy or agreement, paired by image."""

    sigma: float
    """Noise level σ, in the unit of the site"""
    images: int
    """Images of both sides"""
    software: float
    """Accuracy or agreement in software, 0 to 1: mean over the draws"""
    golden: float | None = None
    """Accuracy or agreement in golden, 0 to 1; null in the comparison of RTL"""
    rtl: float | None = None
    """Accuracy or agreement in RTL, 0 to 1; null in the comparison of golden"""
    difference: Estimate
    """Hardware side minus software, −1 to 1"""


class Differences(Part):
    """Differences to software of both hardware sides."""

    golden: list[Difference]
    """Golden minus software, by σ"""
    rtl: list[Difference]
    """RTL minus software, on the RTL's images, by σ"""


class HardwareSite(Bearing):
    """Results at one site. A μ is value, low, high; for a bound, only one end."""

    mu_sw: Estimate | None
    """μ of software, in the unit of σ"""
    mu_golden: Estimate | None
    """μ of the golden model, in the unit of σ"""
    mu_rtl: Estimate | None
    """μ of the simulated RTL alone, in the unit of σ; null if it was not simulated"""
    mu_crn: Estimate | None
    """μ of software with the hardware's random numbers, in the unit of σ"""
    mu_hw: Estimate | None
    """μ of the hardware: golden's if all simulated RTL equals golden, else null"""
    k_sw: float | None
    """Steepness of software's fitted curve; null without a midpoint, and for a monotone curve"""
    k_golden: float | None
    """Steepness of golden's fitted curve; null without a midpoint, and for a monotone curve"""
    k_rtl: float | None
    """Steepness of RTL's fitted curve; null without a midpoint, and for a monotone curve"""
    k_hw: float | None
    """Golden's steepness where golden stands for the hardware; null elsewhere"""
    method_sw: Method | None = "logistic"
    """Model of software's curve: logistic, logistic with a floor, or monotone;
    null if the network only guesses"""
    method_golden: Method | None = "logistic"
    """Model of golden's curve: logistic, logistic with a floor, or monotone;
    null if the network only guesses"""
    method_rtl: Method | None = "logistic"
    """Model of RTL's curve: logistic, logistic with a floor, or monotone;
    null if it was not simulated"""
    method_hw: Method | None = "logistic"
    """Golden's model where golden stands for the hardware; null elsewhere"""
    floor_sw: float | None = None
    """Floor of software's logistic, accuracy or agreement, 0 to 1; null for other models"""
    floor_golden: float | None = None
    """Floor of golden's logistic, accuracy or agreement, 0 to 1; null for other models"""
    floor_rtl: float | None = None
    """Floor of RTL's logistic, accuracy or agreement, 0 to 1; null for other models"""
    floor_hw: float | None = None
    """Golden's floor where golden stands for the hardware; null elsewhere"""
    ratio: Estimate | None
    """Ratio behind the verdict: ratio_crn in the common design, ratio_golden in the independent
    one; null where golden does not stand for the hardware"""
    ratio_golden: Estimate | None
    """μ golden / μ software; null if either is a bound or has too few devices"""
    ratio_rtl: Estimate | None
    """μ RTL / μ software, on the RTL's images"""
    ratio_crn: Estimate | None
    """μ golden / μ of software with the hardware's random numbers"""
    draws: int | None
    """Noise draws per point, software and golden"""
    devices: dict[str, int | None] | None
    """Devices behind the μ of each side; null where each image has its own noise"""
    rtl_images: int
    """RTL images per point"""
    rtl_runs: int | None
    """Noisy RTL images, over all points of the site"""
    bit_mismatches: int | None
    """RTL images that differ from golden in any bit; null if a point was not compared"""
    differing_runs_below: float | None = None
    """Upper 95 % bound on the share of such runs that differ from golden; null if unknown"""
    differing_images_below: float | None = None
    """Upper 95 % bound on the share of images of which a run differs; null if unknown"""
    differences: Differences
    """Differences to software per point"""
    p_agree: float | None
    """p-value of agree, for the site alone"""
    p_disagree: float | None
    """p-value of disagree, for the site alone"""
    p_agree_holm: float | None
    """p-value of agree, adjusted for all sites"""
    p_disagree_holm: float | None
    """p-value of disagree, adjusted for all sites"""
    detectable: Detectable | None
    """Differences that would have been shown; null without a ratio"""
    need: Need | None
    """Images or draws that would decide the site; null if it is decided, or if none would"""
    verdict: Verdict | None
    """Verdict on the site; null before the walk is judged"""
    reason: str
    """Reason for the verdict, in words"""
    scale: float | None
    """Real value of one LSB at the tap; null for several sites together"""
    scale_error: float | None
    """Largest relative deviation of a channel's scale from `scale`"""
    unit: str
    """Unit of σ: real (that of the layer's output), none (σ is a factor), lsb, std or range (of the
    site's values), or map (σ is a factor on the noise map)"""
    rtl_scope: Scope
    """Simulated part of the network: full, or site for the part from the site on"""
    rtl_begins: str
    """Where the simulated part begins"""

    @property
    def best(self) -> Estimate | None:
        """The midpoint by which sites are compared: the hardware's, in software if RTL differs."""
        return self.mu_hw or self.mu_sw

    @property
    def midpoint(self) -> Estimate | None:
        """The hardware's midpoint: golden's, where RTL equals it."""
        return self.mu_hw

    @property
    def method(self) -> Method | None:
        """The model of the curve that gave the hardware's midpoint."""
        return self.method_hw

    @property
    def software(self) -> Estimate | None:
        """The midpoint in software."""
        return self.mu_sw

    @property
    def golden(self) -> Estimate | None:
        """The midpoint of the golden model."""
        return self.mu_golden

    @property
    def rtl(self) -> Estimate | None:
        """The midpoint of the simulated RTL alone."""
        return self.mu_rtl


class Further(Part):
    """Noise draws beyond the first ones, at undecided sites."""

    budget: float
    """Budget in minutes"""
    looks: int
    """Number of analyses, including the first"""
    draws: dict[str, int]
    """Further noise draws per point, by site"""
    ended: str
    """Reason why there were no more"""


class AblationStep(Part):
    """One step from software to RTL at a site."""

    step: str
    """Name of the step"""
    mu_before: Estimate
    """μ before it, in the unit of σ"""
    mu_after: Estimate
    """μ after it, in the unit of σ"""
    ratio: Estimate | None
    """μ after / μ before; null if either is a bound"""
    moved: bool
    """Whether the step moves μ"""
    beyond: bool
    """Whether the whole interval of the ratio lies beyond the margin"""
    images: int
    """Images of both sides"""
    draws: int
    """Noise draws per point"""


class SiteAblation(Part):
    """Causes of the difference at a site."""

    sentence: str
    """Result in words"""
    steps: list[AblationStep]
    """Steps from software to RTL; none at sites of weights"""


class HardwareWalkSummary(WalkSummary):
    """Result of ``walk-hw``: software, golden model and RTL, compared at each site."""

    made_by: Literal["walk-hw"] = "walk-hw"
    """Command that made the results"""
    noise: str
    """Kind of noise"""
    order: str | None
    """Order of mixed noise; null for other kinds"""
    ratio: float | None
    """Additive share of mixed noise, 0 to 1; null for other kinds"""
    noise_options: dict[str, JsonValue]
    """Further options of the noise"""
    unit: str
    """Unit of σ over all sites: real, none, lsb, "real or lsb", std, range or map"""
    noise_map: dict[str, dict[str, JsonValue]] | None = None
    """Noise of each site of the noise map, σₐ in the unit of the layer's output; null if none"""
    converters: dict[str, int] | None = None
    """Bits of the ADCs that are in place at every point, by site; null without ADCs"""
    design: Design = "independent"
    """Random numbers of the two sides that each site compares: common or independent"""
    random_numbers: RandomNumbers | None = None
    """The hardware's random numbers against torch's; null in the independent design"""
    margin: float
    """Ratios of μ within ± margin of 1 agree; 0.1 is 10 %"""
    level: float
    """Error rate α of the walk's verdicts"""
    level_of_look: float
    """Part of α of the last analysis"""
    power: float | None
    """Probability with which differences would have been shown"""
    detectable: Detectable | None
    """Largest detectable difference of any site; null if a site has none"""
    verdict: Verdict | None
    """Verdict on the walk; null before it is judged"""
    failures: list[Failure]
    """Points that could not be simulated"""
    further: Further | None
    """Further noise draws"""
    draws: dict[str, int]
    """Noise draws, by side"""
    checks: Checks
    """Comparisons that link the sides"""
    rtl: RtlRun
    """Simulation of the RTL"""
    sites: dict[str, HardwareSite]
    """By site, in the order of the data"""
    ablation: dict[str, SiteAblation]
    """Causes of differences, by site"""
    divergence: LocatedDivergence | None
    """First divergence of RTL and golden; null if there is none"""
    versions: dict[str, str]
    """Versions of libraries and tools"""
    revision: str | None
    """Commit or version of this program"""
    accelerator: str | None
    """Folder of the accelerator"""
    hardware: Hardware | None
    """Nodes and sites of the accelerator; null in results of old versions"""
    report: str | None
    """Path of the report"""

    @property
    def ranking(self) -> list[Ranked]:
        """The sites, the most sensitive first; in software if RTL differs."""
        found = self.sites.items()
        return ranked((site, one.best, one.noise_share) for site, one in found)

    def __getitem__(self, site: str) -> HardwareSite:
        """Return the entry of a site; UserError if there is none."""
        return entry_of(self.sites, site)

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        """Iterate over the names of the sites, in the order of the data."""
        return iter(self.sites)
