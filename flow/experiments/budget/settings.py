"""What the user may choose of ``budget``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from flow.errors import OptionError, about, unknown
from flow.experiments.budget.knobs import ADC, EXECUTIONS, KNOBS, SIGMA
from flow.settings import Count, Kinds, Names, Positive
from flow.walks.settings import HardwareWalkSettings

Points = Annotated[float, Field(gt=0, lt=100)]


NOISE = (
    "noise",
    "order",
    "ratio",
    "executions",
    "device_seed",
    "gain_rate",
    "sigma_rate",
    "samples",
)
"""Options of the noise whose σ is searched for."""


class BudgetSettings(HardwareWalkSettings):
    """The cheapest noise, ADC bits or executions with all sites noisy, at a given accuracy."""

    joint: ClassVar = False
    renamed: ClassVar = {"kind": ("noise",), "target": ("loss", "accuracy")}
    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (
        *HardwareWalkSettings.exclusive,
        ("loss", "accuracy"),
    )
    refused: ClassVar = {
        "levels": "the levels are what is searched for",
        "unit": "σ is in the unit of the layer's output",
        "budget": "the noise draws are given by draws",
        "ablation": "software is not compared with RTL at a single site",
        "scope": "the whole network is simulated",
        "adc": "bits are searched for with vary adc",
    }
    no_levels: ClassVar[Mapping[str, str]] = {}

    vary: Kinds = (SIGMA,)
    """Quantity to search for at each site: sigma, adc, executions, or sigma,adc together"""

    sites: Names = ()
    """Sites, such as fc0.acc,fc1.acc, noisy at once; every accumulator if none is given"""
    loss: Points | None = None  # type: ignore[assignment]  # there is an accuracy in its place
    """Percentage points of accuracy to lose; 1 if neither loss nor accuracy is given"""
    accuracy: Points | None = None
    """Accuracy to keep, in percent"""
    cost: Path | None = None
    """Costs of the sites, a YAML file; if not given, the defaults in docs/how-to/budget.md"""
    tolerance: Positive | None = None
    """Distance from the target that ends the search, in points; half of the loss if not given"""
    images: Count | None = None
    """Test images, half to search, half to judge; if not given, 4,000, or all of a smaller set"""
    draws: Count | None = None
    """Noise draws per judged plan; if not given, 4, or more with fewer than 1,000 judged images"""
    hw_images: Count | None = None
    """Test images per point in RTL; if not given, 256"""

    @property
    def walks_bits(self) -> bool:
        """Whether the network has converters whose bits vary."""
        return ADC in self.vary

    def check(self) -> None:
        """See what varies, and that noise of images is independent, so that a few draws tell it."""
        from flow.noise import shared_by_images

        with about("vary"):
            for knob in self.vary:
                if knob not in KNOBS:
                    raise unknown("vary", knob, KNOBS)
        super().check()
        self._check_vary()
        kind, noise_map = self.setting.made, self.read_map
        kinds = {site: kind for site in self.sites}
        kinds |= {
            site: type(noise) for site, noise in (noise_map.sites if noise_map else {}).items()
        }
        shared = [site for site, one in kinds.items() if shared_by_images(site, one)]
        if kind.shared or shared:
            where = "noise" if not shared else "sites" if noise_map is None else "noise_map"
            raise OptionError(
                where,
                "asks for noise that all images of a draw share: a plan would fit those few "
                "devices, so give noise that differs between images",
            )

    def _check_vary(self) -> None:
        """Check that what varies can vary together, and the options of what does not vary."""
        repeats = EXECUTIONS in self.vary
        if repeats and len(self.vary) > 1:
            raise OptionError(
                "vary",
                "has executions and others: k executions multiply the cost of noise and of "
                "conversions, so let executions vary alone",
            )
        if repeats and self.noise_map is None:
            raise OptionError(
                "vary", "is executions, but no noise is given to average", ("noise_map",)
            )
        if repeats and self.read_map and not self.read_map.sites:
            raise OptionError("noise_map", "has no noise to average: give sites a σ")
        if not repeats and self.noise_map is not None:
            raise OptionError("noise_map", "applies to vary executions alone: leave it out")
        if SIGMA not in self.vary:
            for name in NOISE:
                if getattr(self, name) != self.default(name):
                    raise OptionError(name, "is an option of σ, which does not vary: leave it out")
        if self.vary == (ADC,) and self.draws is not None:
            raise OptionError("draws", "given, but converters draw no random numbers: leave it out")
        if repeats and self.sites:
            raise OptionError("sites", "given, but the noise map names them: leave them out")
