"""Noise in software: what is added to a layer's output, and where.

For a value y at a site, per element and fresh for each image, with z₁, z₂ ~ N(0, 1) independent:

- additive: ``y' = y + σₐ·z₂``
- multiplicative: ``y' = y·(1 + σₘ·z₁)``
- mixed: ``y' = y·(1 + σₘ·z₁) + σₐ·z₂`` (order ``mul-add``),
  or ``y' = (y + σₐ·z₂)·(1 + σₘ·z₁)`` (order ``add-mul``)

σₐ is in the unit of the layer's output, σₘ has no unit. The formulas are those of *Walking Noise*
(Borras, Klein, Fröning, ECML PKDD 2024).
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self, cast, get_args

import torch
from torch import Tensor, nn

from flow.errors import UserError, unknown

Kind = Literal["additive", "multiplicative", "mixed"]
Order = Literal["mul-add", "add-mul"]

KINDS: tuple[str, ...] = get_args(Kind)
ORDERS: tuple[str, ...] = get_args(Order)


@dataclass(frozen=True)
class Noise:
    """The noise of one site.

    Raises:
        UserError: a σ is negative, infinite or not a number, the kind or order is unknown, or a σ
            is given that the kind does not have.
    """

    kind: Kind
    """Which of the two terms there are."""
    sigma_add: float = 0.0
    """σₐ, in the unit of the layer's output."""
    sigma_mul: float = 0.0
    """σₘ, without unit."""
    order: Order = "mul-add"
    """Which term comes first; it matters for mixed noise alone."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("noise", self.kind, KINDS)
        if self.order not in ORDERS:
            raise unknown("noise order", self.order, ORDERS)
        for name, sigma in (("additive", self.sigma_add), ("multiplicative", self.sigma_mul)):
            if not (math.isfinite(sigma) and sigma >= 0):
                raise UserError(
                    f"the {name} noise level is {sigma}: give a finite number of 0 or more"
                )
        if self.kind == "additive" and self.sigma_mul:
            raise UserError("additive noise has no multiplicative level: use kind 'mixed'")
        if self.kind == "multiplicative" and self.sigma_add:
            raise UserError("multiplicative noise has no additive level: use kind 'mixed'")

    @classmethod
    def at(cls, kind: str, sigma: float, ratio: float = 0.5, order: str = "mul-add") -> Self:
        """Make the noise of one level, whatever the kind.

        Args:
            kind: ``additive``, ``multiplicative`` or ``mixed``.
            sigma: σ; for mixed noise the amplitude A.
            ratio: for mixed noise r, with σₐ = A·r and σₘ = A·(1−r).
            order: ``mul-add`` or ``add-mul``.

        Raises:
            UserError: as for the class, or the ratio is outside 0..1.
        """
        if not 0 <= ratio <= 1:
            raise UserError(f"the noise ratio is {ratio}: give a number from 0 to 1")
        sigma_add = {"additive": sigma, "mixed": sigma * ratio}.get(kind, 0.0)
        sigma_mul = {"multiplicative": sigma, "mixed": sigma * (1 - ratio)}.get(kind, 0.0)
        return cls(cast(Kind, kind), sigma_add, sigma_mul, cast(Order, order))

    @property
    def silent(self) -> bool:
        """Whether both σ are 0, so that nothing changes."""
        return self.sigma_add == 0 and self.sigma_mul == 0

    def apply(self, y: Tensor, sample: Callable[[int], Tensor]) -> Tensor:
        """Return y with the noise on it.

        Args:
            y: the clean values, float, any shape.
            sample: gives the standard normal samples, of y's shape, of draw 0 (z₁) or 1 (z₂).
        """
        if self.order == "mul-add":
            return self._add(self._mul(y, sample), sample)
        return self._mul(self._add(y, sample), sample)

    def _mul(self, y: Tensor, sample: Callable[[int], Tensor]) -> Tensor:
        return y * (1 + self.sigma_mul * sample(0)) if self.sigma_mul else y

    def _add(self, y: Tensor, sample: Callable[[int], Tensor]) -> Tensor:
        return y + self.sigma_add * sample(1) if self.sigma_add else y


class Sampler(Protocol):
    """A source of standard normal samples."""

    def start_batch(self, first_image: int) -> None:
        """Tell the sampler that the next samples belong to a batch beginning at this image."""

    def __call__(self, site: str, draw: int, shape: Sequence[int]) -> Tensor:
        """Return float32 samples of N(0, 1) of this shape, the first axis being the image.

        Args:
            site: the tap's name.
            draw: 0 for z₁ (multiplicative), 1 for z₂ (additive).
            shape: the shape wanted.
        """


class TorchSampler:
    """Samples of torch's generator, a function of (seed, site, draw, first image of the batch).

    Each site and draw has a generator of its own, so that what one site sees does not depend on
    which others are active, and each batch seeds it anew, so that a run can begin anywhere. Another
    batch size gives other samples.
    """

    def __init__(self, seed: int) -> None:
        """Make a sampler; the same seed gives the same samples."""
        self.seed = seed
        self._first_image = 0
        self._generators: dict[tuple[str, int], torch.Generator] = {}

    def start_batch(self, first_image: int) -> None:
        """Seed every site anew for the batch that begins at this image."""
        self._first_image = first_image
        self._generators.clear()

    def __call__(self, site: str, draw: int, shape: Sequence[int]) -> Tensor:
        """Return the next float32 samples of this site and draw."""
        generator = self._generators.get((site, draw))
        if generator is None:
            generator = torch.Generator().manual_seed(
                derive_seed(self.seed, site, draw, self._first_image)
            )
            self._generators[site, draw] = generator
        return torch.randn(tuple(shape), generator=generator)


def derive_seed(*parts: object) -> int:
    """Return 63 bits that depend on every part, the same on every machine and in every process."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class NoiseTap(nn.Module):
    """A place where noise may enter; without noise it returns the very tensor it was given.

    It holds no parameters and no buffers, so that it is in neither a checkpoint nor an export.

    Args:
        requantise: the site's quantiser, applied after the noise to put the values back on its
            grid; None where the values go on unrounded, as at an accumulator.
    """

    def __init__(self, requantise: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        # Past Module.__setattr__: the quantiser belongs to the block, and is not a child of its tap
        self.__dict__["requantise"] = requantise
        self.site = ""
        self.noise: Noise | None = None
        self.sampler: Sampler | None = None
        self.in_training = self.in_evaluation = False

    def set(
        self,
        site: str,
        noise: Noise,
        sampler: Sampler,
        *,
        training: bool = True,
        evaluation: bool = True,
    ) -> None:
        """Put noise on this tap.

        Args:
            site: the tap's name, given to the sampler.
            noise: what to apply.
            sampler: where the samples come from.
            training: whether it applies in training mode.
            evaluation: whether it applies in evaluation mode.
        """
        self.site, self.noise, self.sampler = site, noise, sampler
        self.in_training, self.in_evaluation = training, evaluation

    def clear(self) -> None:
        """Make the tap the identity again."""
        self.noise = self.sampler = None

    def forward(self, y: Tensor) -> Tensor:
        """Return y, with noise if there is any: float [N, ...], in the layer's unit."""
        active = self.in_training if self.training else self.in_evaluation
        if not active or self.noise is None or self.sampler is None or self.noise.silent:
            return y
        site, sampler = self.site, self.sampler
        noisy = self.noise.apply(y, lambda draw: sampler(site, draw, y.shape))
        requantise = self.__dict__["requantise"]
        return noisy if requantise is None else requantise(noisy)
