"""What a training run depends on.

**Variance-aware training.** Noise whose level will change in use is better trained with levels that
change: every step has σ·|1 + s·z|, with z ~ N(0, 1) of the step and s the spread (after Wang et
al., arXiv 2503.16183, whose noise schedules draw σ anew while training).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from flow import data, models
from flow.errors import UserError, unknown
from flow.noise import Noise

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""``bfloat16`` halves the time of an epoch on processors that multiply it (AVX512-BF16, AMX)."""


def fast_precisions() -> set[str]:
    """Return those of `PRECISIONS` whose products this processor has; others are much slower."""
    bfloat16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return {"float32", "bfloat16"} if bfloat16 else {"float32"}


@dataclass(frozen=True)
class Settings:
    """All that the outcome of a training run depends on, besides the images."""

    model: str
    dataset: str
    noise: Noise | Mapping[str, Noise] | None
    """In training only: at every site of a walk, or by site."""
    epochs: int
    seed: int
    batch: int
    """Images a step."""
    lr: float
    """Adam's step size at the start; it falls to 0 along a cosine."""
    start: str | None = None
    """Digest of the checkpoint file whose weights it begins with; None for random ones."""
    precision: str = "float32"
    """Of matrix products in training; measuring is always in float32."""
    clamp: bool = True
    """Whether weights are held in −1..1."""
    augment: bool = False
    """Whether every image is shifted and mirrored at random, anew in each epoch."""
    spread: float = 0.0
    """s of the module docstring; 0 for the same σ in every step."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        # One image has no variance to normalise by
        for name, number, least in (("epochs", self.epochs, 1), ("batch", self.batch, 2)):
            if number < least:
                raise UserError(f"{name} is {number}: give {least} or more")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise UserError(f"the learning rate is {self.lr}: give a positive number")
        if not (math.isfinite(self.spread) and self.spread >= 0):
            raise UserError(f"the spread of σ is {self.spread}: give a finite number of 0 or more")
        if self.spread and not self.noise:
            raise UserError("a spread of σ was given without noise: add --noise additive")

    @classmethod
    def of(
        cls,
        model: str,
        dataset: str,
        noise: Noise | Mapping[str, Noise] | None,
        epochs: int,
        seed: int,
        **given: Any,
    ) -> "Settings":
        """Fill in, for what is None, what the network's recipe and the images' set say."""
        recipe = models.recipe(model)
        usual = {"batch": recipe.batch, "lr": recipe.lr, "clamp": recipe.clamp}
        usual["augment"] = data.dataset(dataset).augment
        chosen = {name: value for name, value in given.items() if value is not None}
        return cls(models.resolve(model), dataset, noise, epochs, seed, **(usual | chosen))
