"""What the user may choose of ``budget``."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from flow.errors import OptionError
from flow.settings import Count, Names, Positive
from flow.walks.settings import HardwareWalkSettings

Points = Annotated[float, Field(gt=0, lt=100)]


class BudgetSettings(HardwareWalkSettings):
    """The cheapest noise with all sites noisy, at a given accuracy."""

    joint: ClassVar = False
    renamed: ClassVar = {"kind": ("noise",), "target": ("loss", "accuracy")}
    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (
        *HardwareWalkSettings.exclusive,
        ("loss", "accuracy"),
    )
    refused: ClassVar = {
        "levels": "the levels are what is searched for",
        "unit": "σ is in the unit of the layer's output",
        "noise_map": "the noise of every site is what is searched for",
        "budget": "the noise draws are given by draws",
        "ablation": "software is not compared with RTL at a single site",
        "scope": "the whole network is simulated",
        "adc": "noise alone is searched for",
        "adc_percentile": "noise alone is searched for",
    }

    sites: Names = ()
    """Noise sites, such as fc0.acc,fc1.acc, noisy at once; every accumulator if none is given"""
    loss: Points | None = None  # type: ignore[assignment]  # there is an accuracy in its place
    """Accuracy to lose, in percentage points; 1 if neither it nor the accuracy is given"""
    accuracy: Points | None = None
    """Accuracy to keep, in per cent"""
    cost: Path | None = None
    """Costs of the sites, a YAML file; if not given, multiplications · (std / σ)²"""
    tolerance: Positive | None = None
    """Difference from the target that ends the search, in percentage points; half of the loss"""
    images: Count | None = None
    """Test images, half to search, half to judge; if not given, 4,000, or all of a smaller set"""
    draws: Count | None = None
    """Noise draws per judged plan; if not given, 4, or more of a set below 1,000 judged images"""
    hw_images: Count | None = None
    """Test images per point in RTL; if not given, 256"""

    def check(self) -> None:
        """See that noise of images is independent, so that a few draws tell a plan."""
        from flow.noise import shared_by_images

        super().check()
        kind = self.setting.made
        shared = [site for site in self.sites if shared_by_images(site, kind)]
        if kind.shared or shared:
            raise OptionError(
                "sites" if shared else "noise",
                "asks for noise that all images of a draw share: a plan would fit those few "
                "devices, so give noise that each image has of its own",
            )
