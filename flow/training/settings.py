"""Settings of a training run.

**Variance-aware training.** Noise whose level will change in use is better trained with levels that
change: every step has σ·|1 + s·z|, with z ~ N(0, 1) of the step and s the spread (after Wang et
al., arXiv 2503.16183, whose noise schedules draw a new σ at each step).
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field

from flow.errors import OptionError, about
from flow.settings import Count, Positive, Seed, Settings
from flow.training.paper import RecipeName, paper_recipe

if TYPE_CHECKING:
    from flow.models.planes import Array
    from flow.noise import Noise

Batch = Annotated[int, Field(ge=2)]
"""Images per step: one image has no variance to normalise by."""
Precision = Literal["float32", "bfloat16"]
"""``bfloat16`` halves the time of an epoch on processors that multiply it (AVX512-BF16, AMX)."""
Spread = Annotated[float, Field(ge=0)]
EPOCHS = 60
"""Passes over the training images where neither the user nor a recipe says how many."""


def fast_precisions() -> set[str]:
    """Return the precisions whose products this processor has; others are much slower."""
    import torch

    bfloat16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return {"float32", "bfloat16"} if bfloat16 else {"float32"}


def parse_site_levels(value: Any) -> dict[str, float | None]:
    """Read sites with their noise levels: ``conv0.acc,fc0.acc=8``, or a mapping.

    Returns:
        The level of each site; None for one that is written without.

    Raises:
        ValueError: a site is named twice, or a level is no number; or a text names no site.
    """
    if isinstance(value, Mapping):
        pairs = [(str(site), level) for site, level in value.items()]
    else:
        if not isinstance(value, str):
            value = ",".join(map(str, value))
        parts = [part.strip() for part in value.split(",") if part.strip()]
        pairs = [(site, level if given else None) for site, given, level in
                 (part.partition("=") for part in parts)]  # fmt: skip
        if not pairs:
            raise ValueError("it names no site: write sites as conv0.acc,fc0.acc=8")
    found: dict[str, float | None] = {}
    for site, level in pairs:
        if site in found:
            raise ValueError(f"site {site} is named twice: give it one level")
        try:
            found[site] = None if level is None else float(level)
        except (TypeError, ValueError):
            raise ValueError(
                f"write a site and its level as {site}=2, not {site}={level}"
            ) from None
        if not (math.isfinite(found[site] or 0) and (found[site] or 0) >= 0):
            raise ValueError(f"the level of {site} is {level}: give a finite number of 0 or more")
    return found


SiteLevels = Annotated[dict[str, float | None], BeforeValidator(parse_site_levels)]
"""The noise level of each site; None for the common one."""


class DeviceSettings(Settings):
    """Device that computes."""

    device: str = "cpu"
    """Device for software, golden and training: cpu, or cuda or mps if torch supports it"""

    def check(self) -> None:
        """Look for the device."""
        super().check()
        if self.device != "cpu":
            from flow import device

            with about("device"):
                device.find(self.device)


class NetworkSettings(Settings):
    """A network and its data set."""

    model: str = "tfc"
    """Network, such as tfc or cnv-w1a1, or your own: net.onnx, file.py:factory or brevitas:NAME"""
    dataset: str = "fashion-mnist"
    """Data set, such as digits or cifar10, or your own: a folder of images or an .npz file"""

    def check(self) -> None:
        """Look both up."""
        from flow import data, models

        super().check()
        with about("model"):
            models.resolve(self.model)
        if self.dataset is not None:
            with about("dataset"):
                data.dataset(self.dataset)


class InferenceSettings(NetworkSettings):
    """A network that has its weights, and its data set."""

    input_quant: str | None = None
    """Quantiser of the images, if your own network has none: bits, or bits,low,high"""
    weights: Path | None = None
    """Weights of brevitas:NAME or file.py:factory: safetensors, or a state dict of torch"""
    shape: str | None = None
    """Shape of the images of such a network, as C,H,W, or C,values or values, if no data set is
    given"""
    rows: Count | None = None
    """Rows of an analog array's tile, with noise on each tile's sums; no tiles if not given"""
    input_bits: Count | None = None
    """Bits of the array's inputs: wider activations take several passes, each with its own noise"""

    @property
    def array(self) -> "Array":
        """Size of the analog array."""
        from flow.models.planes import Array

        return Array(self.rows, self.input_bits)

    def check(self) -> None:
        """Read the quantiser, and check that none was given for a network that has one."""
        super().check()
        for option in ("weights", "shape"):
            if getattr(self, option) is not None:
                raise OptionError(option, f"given, but {self.model} has its own")
        if self.input_quant is None:
            return
        from flow import models
        from flow.models.qonnx.input_quantiser import InputQuantiser

        try:
            asked = InputQuantiser.parse(self.input_quant)
        except ValueError as error:
            raise OptionError("input_quant", f"is {self.input_quant}: {error}") from None
        if not models.is_custom(self.model):
            raise OptionError("input_quant", f"given, but {self.model} quantises its images itself")
        if asked.low is None and self.dataset is None:
            raise OptionError(
                "input_quant", "names no range: give bits,low,high, or a data set to measure it"
            )


class TrainedSettings(InferenceSettings):
    """A trained network."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (("checkpoint", "training_noise"),)

    training_noise: str | None = None
    """Kind of noise that the checkpoint was trained with; none if not given"""
    checkpoint: Path | None = None
    """Checkpoint file in place of the shipped or locally trained one"""


class TrainingOptions(DeviceSettings, NetworkSettings):
    """The user's settings of a training."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = tuple(
        (name, "noise_map") for name in ("noise", "sigma", "ratio", "order", "sites")
    )

    noise: str | None = None
    """Kind of noise in training, such as additive or file.py:MyNoise; none if not given"""
    sigma: Annotated[float, Field(ge=0)] | None = None
    """Noise level σ of sites without their own; if not given, 8 for quantised networks"""
    ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    """Additive share r of mixed noise: σₐ = σ · r, σₘ = σ · (1 − r); if not given, 0.5"""
    order: Literal["mul-add", "add-mul"] | None = None
    """Order of mixed noise; if not given, mul-add: multiply then add"""
    sites: SiteLevels | None = None
    """Noise sites, with or without levels: conv0.acc,fc0.acc=4; if not given, those of a walk"""
    noise_map: Path | None = None
    """Noise map, a YAML file with the noise of each site, in place of one kind and its sites"""
    spread: Spread = 0.0
    """Relative spread s of the noise level from step to step: σ · |1 + s · z|"""
    recipe: RecipeName | None = None
    """Recipe: paper, as the public code of Walking Noise trains; if not given, the network's"""
    epochs: Count | None = None
    """Passes over the training images; if not given, 60, or as the recipe says"""
    seed: Seed = 0
    """Seed of the weights, the images' order and the noise"""
    lr: Positive | None = None
    """Step size of Adam at the start; if not given, that of the network"""
    batch: Batch | None = None
    """Images per step; if not given, that of the network"""
    clamp: bool | None = None
    """Limit of the weights to −1..1; if not given, as the network needs it"""
    augment: bool | None = None
    """Random shifts and mirror images; if not given, as usual for the data set"""
    start: Path | None = None
    """Checkpoint to fine-tune: the training starts from its weights"""
    precision: Precision = "float32"
    """Precision of products in training; bfloat16 is faster on some processors"""
    out: Path | None = None
    """Checkpoint file to write; if not given, the file in which a walk looks for it"""

    def check(self) -> None:
        """Check that there is noise if one of its options is given."""
        super().check()
        said = {name: getattr(self, name) for name in ("sigma", "ratio", "order", "sites")}
        said |= {"spread": self.spread or None}
        given = [name for name, value in said.items() if value is not None]
        if given and self.noise is None and self.noise_map is None:
            raise OptionError(given, "given without a kind of noise: add one, such as additive")
        check_recipe(self.recipe, self.model, self.dataset)


def check_recipe(recipe: RecipeName | None, model: str, dataset: str) -> None:
    """Raise an OptionError if a recipe does not know the network or data set."""
    if recipe is not None:
        with about("recipe"):
            paper_recipe(model, dataset)


class TrainingSettings(Settings):
    """All that the outcome of a training run depends on, besides the images."""

    model: str
    """Full name of the network"""
    dataset: str
    """Data set"""
    noise: Any
    """Noise in training: one for every site of a walk, or a mapping by site; None for none"""
    epochs: Count
    """Passes over the training images"""
    seed: int
    """Seed of the weights, the images' order and the noise"""
    batch: Batch
    """Images per step"""
    lr: Positive
    """Step size of Adam at the start; it falls to 0 along a cosine"""
    start: str | None = None
    """Digest of the checkpoint whose weights the training begins with; None for random ones"""
    precision: Precision = "float32"
    """Precision of products in training; measuring is always in float32"""
    clamp: bool = True
    """Limit of the weights to −1..1"""
    augment: bool = False
    """Random shifts and mirror images of every image, new in each epoch"""
    spread: Spread = 0.0
    """Spread s of the noise level from step to step; 0 for the same σ in every step"""
    recipe: RecipeName | None = None
    """Recipe that the other settings are from; None for the network's own"""
    border: Literal["repeated", "black"] = "repeated"
    """Border of a shifted image"""
    zero_to_one: bool = False
    """Images in 0..1 behind the network's normalisation"""
    weighted: bool = False
    """Weights of the classes in the loss that make up for how rare they are"""
    schedule: Literal["step", "epoch"] = "step"
    """Whether the step size falls with every step, or stays for an epoch"""

    def check(self) -> None:
        """Check that there is noise if its level is spread."""
        if self.spread and not self.noise:
            raise OptionError("spread", "given without a kind of noise: add one, such as additive")

    @classmethod
    def of(
        cls,
        model: str,
        dataset: str,
        noise: "Noise | Mapping[str, Noise] | None",
        epochs: int | None,
        seed: int,
        recipe: RecipeName | None = None,
        **given: Any,
    ) -> Self:
        """Replace None by the values of the recipe, the network and the data set.

        Raises:
            UserError: there is no such network or set, or a recipe does not know it.
        """
        from flow import data, models

        own = models.recipe(model)
        usual = {"batch": own.batch, "lr": own.lr, "clamp": own.clamp}
        usual["augment"] = data.dataset(dataset).augment
        if recipe is not None:
            paper = paper_recipe(model, dataset)
            usual = paper.settings
            epochs = paper.epochs if epochs is None else epochs
        chosen = {name: value for name, value in given.items() if value is not None}
        return cls(
            model=models.resolve(model), dataset=dataset, noise=noise, seed=seed,
            epochs=EPOCHS if epochs is None else epochs, **(usual | chosen),
        )  # fmt: skip
