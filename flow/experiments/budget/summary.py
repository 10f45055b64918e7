"""What ``budget`` found: the content of ``budget.json``."""

from typing import Literal

from flow.data.reference import Measure
from flow.experiments.budget.knobs import Knob
from flow.statistics.estimate import Estimate
from flow.walks.summaries.base import Part


class Margin(Part):
    """What 25 % more noise at one site, one bit or one execution less loses, beyond the plan."""

    predicted: float
    """Further loss that the fitted response predicts, 0 to 1"""
    measured: Estimate
    """Further loss, paired by image and noise draw, 0 to 1"""


class BudgetSite(Part):
    """What the plan decides at one site: σ, ADC bits or executions."""

    site: str
    """Name of the site"""
    varies: Knob
    """What is decided"""
    sigma: float | None
    """Noise level σ of one execution, in the unit of the layer's output, of mixed noise the
    amplitude; null where ADC bits are decided"""
    sigma_lsb: float | None
    """σ of additive noise in LSB of the accumulator; null for noise that is only relative"""
    bits: int | None
    """ADC bits; null where something else is decided"""
    step: float | None
    """Step of the ADC, in the unit of the layer's output"""
    executions: int | None
    """Executions k of the layer, which outputs their mean; null where something else is decided"""
    std: float
    """Standard deviation of the site's values, in the unit of the layer's output"""
    noise_share: float
    """Noise as a share of that standard deviation; of an ADC the step / √12"""
    snr: float
    """Signal-to-noise ratio, dB: −20 log10 of that share"""
    effective_bits: float
    """Effective bits: (SNR − 1.76) / 6.02"""
    rows: int | None
    """Products of which one value is the sum; null if the site has no layer"""
    operations: float
    """Multiplications of the layer for an image"""
    conversions: float
    """Values of the site for an image, each of which an ADC converts"""
    cycles: float
    """Clock cycles of one execution of the layer for an image, by the folding"""
    cost: float
    """Cost"""
    cost_share: float
    """Share of the cost of all sites, 0 to 1"""
    mu_share: float
    """Midpoint of the site alone, as a share of the standard deviation of its values"""
    margin: Margin | None
    """What 25 % more noise, one bit or one execution less loses here; null if there is only one"""


class PlanPoint(Part):
    """A measured plan of a rule."""

    factor: float
    """Factor on all noise of the rule; of bits and executions the nearest numbers were measured"""
    cost: float
    """Cost"""
    loss: Estimate
    """Accuracy without noise minus that with the plan, on the same images, 0 to 1"""


class Rule(Part):
    """Cost of a rule at the requested loss, or at the loss of a plan of whole numbers."""

    cost: Estimate
    """Cost"""
    ratio: Estimate
    """Cost divided by that of the cheapest plan at the same loss, paired by image; between whole
    numbers interpolated"""
    ratio_changed: Estimate
    """The same where both change as many predictions, which is known better: the loss follows from
    that, as far as it is a function of it alone"""
    noise_shares: dict[str, float]
    """Noise of each entry of the plan as a share of the standard deviation of the values"""
    points: list[PlanPoint]
    """Plans that were measured, by their factor"""


class SearchStep(Part):
    """A plan that was solved for in the search."""

    cost: float
    """Cost"""
    draws: int
    """Noise draws"""
    predicted_changed: float
    """Share of changed predictions that the response predicted before it was measured"""
    changed: float
    """Share of changed predictions"""
    predicted_loss: float
    """Loss of accuracy that was predicted, 0 to 1"""
    loss: Estimate
    """Loss of accuracy, 0 to 1"""


class FittedResponse(Part):
    """The fitted response: odds of a changed prediction (Σ (x_i / m_i)^q_i)^s."""

    m: dict[str, float]
    """m of each entry of the plan"""
    q: dict[str, float]
    """q of each entry of the plan"""
    s: float
    """s"""
    ceiling: float
    """Share of changed predictions where noise drowns everything"""
    loss_top: float
    """t of the loss t d · d^r / (d^r + h^r) of a share d of changed predictions"""
    loss_half: float
    """h of that"""
    loss_power: float
    """r of that"""
    error: float
    """Root mean square of the relative error of predicted shares of changed predictions: plans
    that were solved for, each before it was measured, without the first, which is predicted from
    sites alone"""


class FrontPoint(Part):
    """A point of the Pareto front that the response predicts."""

    loss: float
    """Loss of accuracy, 0 to 1"""
    cost: float
    """Least cost"""


class Proof(Part):
    """The plan in the golden model and in RTL.

    It is walked as a noise map; converters alone lie beneath a walk of noise at all accumulators.
    """

    folder: str
    """Folder of the walk"""
    verdict: str
    """Verdict of the walk: hardware against software"""
    images: int
    """Images in software and in the golden model"""
    rtl_images: int
    """Images of each point in RTL"""
    rtl_runs: int
    """Images simulated in RTL at all levels"""
    differing: int
    """Of these, images whose RTL differs from golden in any bit"""
    accuracy_software: Estimate
    """Accuracy at the plan in software, 0 to 1"""
    accuracy_golden: Estimate
    """Accuracy at the plan in the golden model, 0 to 1"""
    accuracy_rtl: Estimate
    """Accuracy at the plan in RTL, 0 to 1"""


class BudgetSummary(Part):
    """What ``budget`` found."""

    schema_version: Literal[2] = 2
    """Version of this schema"""
    made_by: Literal["budget"] = "budget"
    """Command that made the results"""
    model: str
    """Name of the network"""
    dataset: str
    """Name of the data set"""
    varies: list[Knob]
    """What was searched for"""
    noise: str | None
    """Kind of noise whose σ was searched for; null if none was"""
    seed: int
    """Seed of the noise"""
    measure: Measure
    """What was measured: accuracy, or agreement for images without labels"""
    guessing: float
    """What guessing reaches, 0 to 1"""
    selection_images: int
    """Images of the search"""
    judgement_images: int
    """Images of the judgement, which are others"""
    draws: int
    """Noise draws of a judged point"""
    clean: Estimate
    """Accuracy without noise, 0 to 1"""
    target: float
    """Accuracy to lose, 0 to 1"""
    tolerance: float
    """Difference from it that ends the search, 0 to 1"""
    met: bool
    """Whether the interval of the loss in the search lies within the tolerance; of a plan of whole
    numbers, which may lose less, whether its upper end does"""
    loss: Estimate
    """Loss of the plan in the judgement, 0 to 1"""
    cost_of: str
    """What the cost is"""
    cost_unit: str
    """Unit of the cost; empty if it has none"""
    cost: float
    """Cost of the plan"""
    tightest: str | None
    """Site at which more noise loses most; null if nowhere can be more"""
    usual: str
    """Rule that a designer would follow without a plan"""
    sites: dict[str, BudgetSite]
    """The plan by site; by site and what is decided, such as fc0.acc adc, if two things are"""
    rules: dict[str, Rule]
    """Rules at equal accuracy, the cheapest plan among them"""
    response: FittedResponse
    """The response that the plan was found with"""
    steps: list[SearchStep]
    """Plans that were solved for, in turn"""
    front: list[FrontPoint]
    """Least cost over loss, predicted"""
    proof: Proof
    """The plan in hardware"""
    map: str
    """File of the plan, a noise map"""
    report: str
    """The page"""
    command: str
    """Command line; empty if called from Python"""
    seconds: dict[str, float]
    """Wall time of each stage in seconds, and the total"""
