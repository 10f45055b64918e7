"""What the user may choose of each experiment."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from flow.errors import OptionError, about
from flow.settings import AUTO, Count, Kinds, Levels, Names, Numbers, Positive
from flow.training.paper import RecipeName
from flow.training.settings import (
    DeviceSettings,
    InferenceSettings,
    NetworkSettings,
    TrainedSettings,
    check_recipe,
)
from flow.walks.settings import AcceleratorSettings, HardwareWalkSettings, NoiseOptions

if TYPE_CHECKING:
    from flow.models.metric import Metric
    from flow.walks.points.noise_setting import NoiseSetting


RetrainFrom = Literal["checkpoint", "random"]
"""Weights with which the training for a point of a walk begins."""


class CheckSettings(InferenceSettings):
    """A look whether a network fits the hardware."""

    dataset: str | None = None  # type: ignore[assignment]
    """Data set whose images are tried, as in a walk; none if not given"""


class SynthesisSettings(AcceleratorSettings):
    """A count of what an accelerator takes on an FPGA."""

    nodes: Names = ()
    """Names of nodes; every node if none is given"""
    limit: Positive = 600.0
    """Time limit for the synthesis of a node, in seconds"""


class SoftwareSettings(NoiseOptions, DeviceSettings, TrainedSettings):
    """A walk in software alone, of one kind of noise or several."""

    renamed: ClassVar = {
        "budget": ("max_seconds", "max_noisy_images"),
        "precision": ("precision_of_mu",),
    }

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (
        *TrainedSettings.exclusive,
        ("checkpoint", "recipe"),
    )

    recipe: RecipeName | None = None
    """Recipe by which the checkpoint was trained, such as paper; if not given, the network's"""
    sites: Names = ()
    """Noise sites, such as conv0.acc,global (all default sites); default and global if not given"""
    levels: Levels = AUTO
    """Noise levels σ, or multiples of the site's midpoint, such as 0.5mu,1mu; auto searches"""
    seeds: Count = 4
    """Noise draws per point; with a search for levels, their maximum"""
    precision_of_mu: Annotated[float, Field(gt=0, lt=1)] = 0.03
    """Relative half width of μ's 95 % interval at which a search ends"""
    max_seconds: Positive | None = None
    """Time limit of the walk, in seconds; no limit if not given"""
    max_noisy_images: Count | None = None
    """Maximum number of noisy images of the walk; no limit if not given"""
    images: Count | None = None
    """Test images per point; all of the set if not given"""
    retrain: Annotated[int, Field(ge=0)] = 0
    """Epochs of training with a point's noise before it is measured; 0 for none"""
    retrain_from: RetrainFrom = "checkpoint"
    """Weights with which each retraining begins: those of the checkpoint, or random ones"""
    clamp: bool | None = None
    """Limit of the weights to −1..1 in retraining; if not given, as the network needs it"""
    out: Path | None = None
    """Results folder; if not given, one in build/ named by network and data set"""
    build: Path = Path("build")
    """Folder of everything that is built"""

    no_levels: ClassVar = {
        **NoiseOptions.no_levels,
        **dict.fromkeys(("precision_of_mu", "seeds"), "there is no μ to find"),
        **dict.fromkeys(("max_seconds", "max_noisy_images"), "the bits are few"),
        "metric": "accuracy is measured",
    }

    def check(self) -> None:
        """Check that the noise exists, and that the network can be retrained if requested."""
        from flow import models

        super().check()
        if self.retrain and models.is_custom(self.model):
            raise OptionError("retrain", f"is {self.retrain}: a network of your own is not trained")
        for name in ("rows", "input_bits"):
            if self.retrain and getattr(self, name) is not None:
                raise OptionError(name, "given, but networks are retrained as whole layers")
        for name in ("noise_map", "unit", "adc"):
            if self.retrain and getattr(self, name) != self.default(name):
                raise OptionError(
                    name, "given, but networks are retrained with noise at a site alone"
                )
        for name in ("retrain_from", "clamp"):
            if not self.retrain and getattr(self, name) != self.default(name):
                raise OptionError(
                    name, "applies to retraining: give its epochs as well", ("retrain",)
                )
        check_recipe(self.recipe, self.model, self.dataset)
        _ = self.kinds

    @property
    def judged_by(self) -> "Metric | None":
        """What is measured of each output in place of its label; None for accuracy or agreement."""
        return None

    @property
    @abstractmethod
    def kinds(self) -> "list[NoiseSetting]":
        """The noise of each requested kind."""


class SoftwareWalkSettings(SoftwareSettings):
    """A walk in software alone."""

    noise: Kinds = ("additive",)
    """Kinds: additive, multiplicative, mixed, fixed-pattern, drift, empirical or file.py:MyNoise"""
    metric: str | None = None
    """Function file.py:name that scores each output from 0 to 1; or accuracy"""
    floor: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Value of the metric for useless outputs; μ is half way from the value without noise to it"""

    def check(self) -> None:
        """Check that the metric exists, and that a floor has a metric."""
        super().check()
        if self.metric is None and self.floor:
            raise OptionError("floor", "applies to a metric: give one as well", ("metric",))
        if self.metric is not None and self.retrain:
            raise OptionError("metric", "cannot be measured on networks retrained for each point")
        with about("metric"):
            _ = self.judged_by

    @property
    def judged_by(self) -> "Metric | None":
        """The metric; None for accuracy or agreement."""
        from flow.models.metric import Metric

        return None if self.metric is None else Metric.load(self.metric, self.floor)

    @property
    def kinds(self) -> "list[NoiseSetting]":
        """The noise of each requested kind."""
        return self.of_kinds(self.noise)


class OneKindSettings(SoftwareSettings):
    """A walk in software with one kind of noise."""

    noise: str = "additive"
    """Kind: additive, multiplicative, mixed, fixed-pattern, drift, empirical or file.py:MyNoise"""

    @property
    def kinds(self) -> "list[NoiseSetting]":
        """The noise, of its one kind."""
        return self.of_kinds([self.noise])


ONE_UNIT = {
    "unit": "σ is in the unit of the layer's output",
    "noise_map": "every site has the same kind of noise",
    **dict.fromkeys(("adc", "adc_percentile", "loss"), "walk and walk-hw have ADCs"),
}
"""Options of walks that others do not have, and why."""


class MultiExecutionSettings(OneKindSettings):
    """Executions of noisy layers, spent in every way, after a walk."""

    refused: ClassVar = ONE_UNIT

    images: Count | None = None
    """Test images: all for the walk, half to search plans, half to compare; all of the set if not
    given"""
    budgets: Numbers[Annotated[float, Field(ge=1)]] = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0)
    """Budgets: mean executions per site"""
    sigma: Positive | None = None
    """Noise level σ of one execution; the global midpoint if not given, as in the paper"""
    draws: Count = 3
    """Noise draws per point of the comparison"""

    def check(self) -> None:
        """Check that σ is known, and that executions have the mean that is compared."""
        from flow.noise.site import GLOBAL

        super().check()
        if self.sites == (GLOBAL,):
            raise OptionError("sites", "is global alone: name sites to spend executions on")
        if self.sites and GLOBAL not in self.sites and self.sigma is None:
            raise OptionError(
                "sigma", ": the sites named have no global midpoint: give it, or add global to them"
            )
        (kind,) = self.kinds
        if not kind.noise(0.0).averages:
            order = f" in the order {kind.order}" if kind.kind == "mixed" else ""
            raise OptionError(
                "noise",
                f"is {kind.kind}{order}, of which the mean of k executions is not one of σ/√k: "
                "give additive, multiplicative or mixed noise in the order mul-add",
            )


_NO_WALK = ONE_UNIT | {
    "levels": "each site has noise of one level",
    "draws": "each point has one noise draw",
    "margin": "there is no verdict",
    "budget": "there is no verdict to decide",
    "ablation": "software is not compared with RTL",
    "scope": "the whole network is simulated",
}
"""Options of a walk that make no sense where points are not on a curve, and why."""


def _without_adc(refused: Mapping[str, str]) -> dict[str, str]:
    """Return what is refused, without the options of ADCs that a system has."""
    return {name: why for name, why in refused.items() if name not in ("adc", "adc_percentile")}


class RepeatSettings(HardwareWalkSettings):
    """Repeated executions in hardware."""

    joint: ClassVar = False
    refused: ClassVar = _NO_WALK | {"executions": "the numbers of executions are the repeats"}

    repeats: Numbers[Annotated[int, Field(ge=1, le=64)]] = (1, 2, 4, 8, 16, 32, 64)
    """Numbers of executions of the noisy layer"""
    sigma: Positive | None = None
    """Noise level σ of one execution, at every site; twice the site's midpoint if not given"""

    @property
    def kinds_needed(self) -> list[str]:
        """What taps must be built for: the noise, and its repeats."""
        from flow.noise.hardware.kinds import EXECUTIONS

        return [*super().kinds_needed, *[EXECUTIONS] * (max(self.repeats) > 1)]


class RobustnessSettings(HardwareWalkSettings):
    """Walks of a network's clean and noise-trained checkpoints."""

    refused: ClassVar = {
        **dict.fromkeys(
            ("training_noise", "checkpoint"), "every checkpoint of the network is walked: name none"
        ),
        **{name: ONE_UNIT[name] for name in ("adc", "adc_percentile", "loss")},
    }

    budget: Annotated[float, Field(ge=0)] = 0.0
    """Minutes for further noise draws at undecided sites; 0 for none"""


class SystemSettings(HardwareWalkSettings):
    """Noise on the whole system, set by firmware."""

    joint: ClassVar = False

    def check(self) -> None:
        """Check that ADC bits are not walked."""
        super().check()
        self.check_no_bits_walk()


class SocWalkSettings(SystemSettings):
    """A walk by firmware on the whole system."""

    refused: ClassVar = {
        **_without_adc(ONE_UNIT),
        **{name: _NO_WALK[name] for name in ("draws", "margin", "budget", "ablation")},
        "scope": "a system has the whole network",
        "out": "the results lie in build/walk-soc",
    }

    board: str = ""
    """Board whose top is simulated, fed over its serial line; the system alone if not given"""


class VoteSettings(SystemSettings):
    """Votes of images over noisy executions on the system."""

    refused: ClassVar = _without_adc(_NO_WALK) | {
        "scope": "a system has the whole network",
        "out": "the results lie in build/walk-soc",
    }

    votes: Numbers[Annotated[int, Field(ge=1, le=99)]] = (1, 3, 5, 9, 17)
    """Maximum numbers of executions of an image"""
    sigma: Positive | None = None
    """Noise level σ at every site; the site's midpoint if not given"""


class DynamicsSettings(DeviceSettings, NetworkSettings):
    """Training at each noise level, and what that does to the layers."""

    noise: Kinds = ("additive", "multiplicative")
    """Kinds: additive, multiplicative, mixed, fixed-pattern, drift, empirical or file.py:MyNoise"""
    levels: Levels = (0.25, 0.5, 1.0, 2.0, 4.0)
    """Noise levels σ of training, at every site; training without noise is always added"""
    sites: Names = ()
    """Noise sites in training, such as conv0.acc; those of a walk if not given"""
    recipe: RecipeName | None = None
    """Recipe: paper, as the public code of Walking Noise trains; if not given, the network's"""
    clamp: bool | None = None
    """Limit of the weights to −1..1; if not given, as the network needs it"""
    epochs: Count = 10
    """Epochs of each training"""
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    """Seed of the weights, the images' order and the noise"""
    seeds: Count = 1
    """Number of trainings of each level, with consecutive seeds"""
    out: Path | None = None
    """Results folder; if not given, one in build/ named by network and data set"""
    build: Path = Path("build")
    """Folder of everything that is built"""

    def check(self) -> None:
        """Check that the noise exists, and that the number of trainings is finite."""
        super().check()
        if not isinstance(self.levels, tuple):
            raise OptionError(
                "levels", f"is {self.levels}, but each level is a training at every site: list them"
            )
        check_recipe(self.recipe, self.model, self.dataset)
        with about("noise"):
            _ = self.kinds

    @property
    def kinds(self) -> "list[NoiseSetting]":
        """The noise of each requested kind."""
        from flow.walks.points.noise_setting import NoiseSetting, distinct

        return distinct([NoiseSetting(kind, seed=self.seed) for kind in self.noise])
