"""What the user may choose of each benchmark."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from flow.experiments.settings import ONE_UNIT, OneKindSettings
from flow.settings import Count, Seed, Settings
from flow.walks.settings import AcceleratorSettings, HardwareWalkSettings


class BenchWalkSettings(OneKindSettings):
    """A measurement of the speed of a walk in software."""

    refused: ClassVar = {
        **ONE_UNIT,
        **dict.fromkeys(("levels", "max_seconds", "max_noisy_images"), "the walk is timed whole"),
        **dict.fromkeys(
            ("retrain", "retrain_from", "clamp", "out"), "only the walk's speed is measured"
        ),
        "device": "the processor is measured",
    }

    model: str = "float-lenet5-bn"
    """Network, such as float-lenet5-bn or tfc"""
    dataset: str = "cifar10"
    """Data set, such as cifar10 or digits"""
    seeds: Count = 1
    """Maximum number of noise draws per point"""


class BenchJobSettings(Settings):
    """A comparison of the speed of a whole job with that of another revision."""

    job: str = "walk-hw --model cnv"
    """Command to measure, without --seed"""
    base: str = "HEAD~1"
    """Git revision to compare with"""
    rounds: Annotated[int, Field(ge=0)] = 3
    """Pairs of runs with new seeds, after one pair that starts with nothing built"""
    seed: Seed = 1000
    """Seed of the first pair; later pairs use the following seeds"""
    build: Path = Path("build")
    """Folder of everything that is built"""


class BenchSettings(AcceleratorSettings):
    """A measurement of every speed."""

    refused: ClassVar = {
        "sites": "the accumulators have taps",
        "mvu": "both units are measured",
        "kinds": "taps with two kinds of noise are measured",
    }

    rounds: Count = 5
    """Rounds of measurements; the table shows their medians"""
    walk_model: str = BenchWalkSettings.default("model")
    """Network of the walk in software"""
    walk_dataset: str = BenchWalkSettings.default("dataset")
    """Data set of the walk in software"""
    walk_images: Count = 1000
    """Test images per point of the walk in software"""

    @property
    def hardware(self) -> HardwareWalkSettings:
        """Settings of the simulated network."""
        own: dict[str, Any] = {
            name: getattr(self, name) for name in AcceleratorSettings.model_fields
        }
        return HardwareWalkSettings(**own)

    @property
    def software(self) -> BenchWalkSettings:
        """Settings of the walk in software."""
        return BenchWalkSettings(
            model=self.walk_model, dataset=self.walk_dataset, images=self.walk_images
        )
