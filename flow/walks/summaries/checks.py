"""What links the sides of a walk: checks, simulation, failures and a first divergence."""

from typing import Literal

from pydantic import Field

from flow.walks.summaries.base import Part

Scope = Literal["full", "site"]


class Failure(Part):
    """A point whose simulation failed twice."""

    site: str
    """Name of the site; empty without noise"""
    sigma: float
    """Noise level σ, in the unit of the site"""
    draw: int
    """Number of the noise draw, from 0"""
    message: str
    """What happened"""
    command: str
    """Command that repeats the simulation"""


class DifferingLabel(Part):
    """An image that golden and Brevitas label differently without noise."""

    image: int
    """Number of the image, from 0"""
    golden: int
    """Golden's label"""
    brevitas: int
    """Label of Brevitas"""
    margin: float
    """Difference between the scores of the two labels, in LSB of the scores"""


class GoldenCheck(Part):
    """Check L0: the golden model without noise, against FINN and Brevitas."""

    images: int
    """Images compared with FINN's execution"""
    tensors: int
    """Tensors compared for each image"""
    differing: list[str]
    """Nodes whose output differs from FINN's"""
    mismatches: int
    """Number of such nodes"""
    labels_compared: int
    """Images whose label is compared with that of Brevitas"""
    labels_differing: list[DifferingLabel]
    """Images whose label differs"""


class RtlCheck(Part):
    """Check L1: simulated RTL against golden, bit for bit."""

    images: int
    """Simulated images, over all points"""
    bit_mismatches: int
    """Images that differ in any bit"""
    differing_runs_below: float | None = None
    """Upper 95 % bound on the share of simulated runs that differ; null if unknown"""


class SampleFigure(Part):
    """One figure of the hardware's samples."""

    site: str
    """Sites and samples of the figure"""
    name: str
    """Name"""
    value: float
    """Value"""
    low: float
    """Lower limit; independent standard normal samples lie below it with a probability of 1 in
    10^9"""
    high: float
    """Upper limit, exceeded with the same probability"""


class SamplesCheck(Part):
    """Check of the hardware's samples against independent standard normal ones."""

    samples: int
    """Number of samples"""
    failed: list[str]
    """Figures outside their limits, in words"""
    figures: list[SampleFigure]
    """All figures"""


class Checks(Part):
    """Comparisons that link the sides."""

    golden: GoldenCheck = Field(validation_alias="L0", serialization_alias="L0")
    """Golden against FINN and Brevitas"""
    rtl: RtlCheck = Field(validation_alias="L1", serialization_alias="L1")
    """RTL against golden"""
    samples: SamplesCheck | None = None
    """The hardware's samples; null in results of old versions"""


class RtlRun(RtlCheck):
    """Simulation of the RTL."""

    engine: str
    """Simulator and its version"""
    scope: Scope
    """Simulated part of the network: full, or site for the part from the site on"""
    cycles_per_image: int
    """Clock cycles per image of the whole network"""
    seconds_per_image: float | None
    """Wall time per image in seconds; null if nothing was simulated in this run"""
    images_simulated_in_this_run: int | None
    """Images that were not stored before"""


class Divergence(Part):
    """First value that differs between RTL and golden."""

    place: str
    """Place in the network"""
    node: str
    """Name of the node"""
    stream: str
    """Output stream of the node"""
    image: int
    """Number of the image, from 0"""
    pixel: tuple[int, int] | None
    """Row and column; null if the layer has no pixels"""
    channel: int
    """Number of the channel, from 0"""
    rtl: int | None
    """Integer in RTL; null if its beat is missing"""
    golden: int
    """Integer in golden"""
    fraction_bits: int
    """Fractional bits of both"""
    time_ns: int | None
    """Simulation time of the beat, in ns"""
    waveform: str | None
    """Path of the waveform"""


class LocatedDivergence(Part):
    """Search for the first divergence."""

    point: str
    """Point of the walk"""
    rerun: str
    """Images that were simulated again"""
    sentence: str
    """Result in words"""
    divergence: Divergence | None
    """First difference; null if it did not occur again"""
    command: str | None
    """Command that opens the waveform"""
