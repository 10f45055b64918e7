"""Kinds of noise, each with its formula.

y is a value at a site; z₁, z₂ ~ N(0, 1) are independent for each element and image; σₐ is in the
unit of the layer's output, σₘ is dimensionless. Additive, multiplicative and mixed noise follow
*Walking Noise* (Borras, Klein, Fröning, ECML PKDD 2024).
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from flow.errors import UserError, unknown
from flow.noise.base import ORDERS, Noise, Order, kinds
from flow.noise.measured import read_samples
from flow.noise.samplers import Source


@dataclass(frozen=True)
class Additive(Noise):
    """y' = y + σₐ·z₂."""

    kind = "additive"
    multiplies = False

    def once(self, y: Tensor, source: Source) -> Tensor:
        """Return y'."""
        return y + self.sigma_add * source.normal(1)


@dataclass(frozen=True)
class Multiplicative(Noise):
    """y' = y·(1 + σₘ·z₁)."""

    kind = "multiplicative"
    adds = False

    def once(self, y: Tensor, source: Source) -> Tensor:
        """Return y'."""
        return y * (1 + self.sigma_mul * source.normal(0))


@dataclass(frozen=True)
class Mixed(Noise):
    """y' = y·(1 + σₘ·z₁) + σₐ·z₂, or in the order ``add-mul`` y' = (y + σₐ·z₂)·(1 + σₘ·z₁)."""

    kind = "mixed"

    order: Order = "mul-add"
    """Which term comes first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in ORDERS:
            raise unknown("noise order", self.order, ORDERS)

    @property
    def averages(self) -> bool:
        """Whether executions average: they do except for ``add-mul``, with its product z₁·z₂."""
        return super().averages and self.order == "mul-add"

    def once(self, y: Tensor, source: Source) -> Tensor:
        """Return y'."""
        if self.order == "mul-add":
            return self._add(self._multiply(y, source), source)
        return self._multiply(self._add(y, source), source)

    def _multiply(self, y: Tensor, source: Source) -> Tensor:
        return y * (1 + self.sigma_mul * source.normal(0)) if self.sigma_mul else y

    def _add(self, y: Tensor, source: Source) -> Tensor:
        return y + self.sigma_add * source.normal(1) if self.sigma_add else y


@dataclass(frozen=True)
class FixedPattern(Noise):
    """y'_c = y_c·(1 + σₘ·g_c) + σₐ·o_c, with a fixed gain and offset of each channel c.

    g_c, o_c ~ N(0, 1) are drawn once per device; executing a layer again does not average them.
    """

    kind = "fixed-pattern"
    shared = True

    device: int | None = None
    """Seed of the device; None for the sampler's, which makes each noise draw a device."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.device is not None and not 0 <= self.device < 1 << 64:
            raise UserError(f"the device is {self.device}: give a whole number from 0 to 2^64 − 1")

    @property
    def averages(self) -> bool:
        """Whether executions average: they do not, since all are of the same device."""
        return False

    def once(self, y: Tensor, source: Source) -> Tensor:
        """Return y'."""
        if self.sigma_mul:
            y = y * (1 + self.sigma_mul * source.pattern(0, self.device))
        if self.sigma_add:
            y = y + self.sigma_add * source.pattern(1, self.device)
        return y


@dataclass(frozen=True)
class Drift(Noise):
    """y' = g(n)·y·(1 + s(n)·σₘ·z₁) + s(n)·σₐ·z₂ for image number n: gain and σ change slowly.

    g(n) = max(0, 1 + gain_rate·n/1000) and s(n) = max(0, 1 + sigma_rate·n/1000). In training n
    counts the images seen so far.
    """

    kind = "drift"

    gain_rate: float = 0.0
    """Change of the gain over 1,000 images."""
    sigma_rate: float = 0.0
    """Relative change of σ over 1,000 images."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, rate in (("gain", self.gain_rate), ("σ", self.sigma_rate)):
            if not math.isfinite(rate):
                raise UserError(f"the drift of the {name} is {rate}: give a finite number")
        if not (self.gain_rate or self.sigma_rate):
            raise UserError("drift without a rate is mixed noise: give the gain's or σ's rate")

    @property
    def silent(self) -> bool:
        """Whether every value is left unchanged, which a drifting gain rules out even at σ = 0."""
        return super().silent and self.gain_rate == 0

    def once(self, y: Tensor, source: Source) -> Tensor:
        """Return y'."""
        thousands = source.images() / 1000
        share = (1 + self.sigma_rate * thousands).clamp(min=0)
        if self.gain_rate:
            y = y * (1 + self.gain_rate * thousands).clamp(min=0)
        if self.sigma_mul:
            y = y * (1 + share * self.sigma_mul * source.normal(0))
        if self.sigma_add:
            y = y + share * self.sigma_add * source.normal(1)
        return y


@dataclass(frozen=True)
class Empirical(Noise):
    """y' = y + σₐ·e, with e drawn uniformly, with replacement, from a file of samples.

    e = s[⌊Φ(z₂)·n⌋] with the n samples s in ascending order and the normal distribution function
    Φ, so equal z₂ give equal e, in software and hardware. Samples keep their mean and standard
    deviation: with σₐ = 1 they are added as measured.
    """

    kind = "empirical"
    multiplies = False

    file: str = ""
    """Path of the samples; see `read_samples` for the formats."""
    digest: str = field(init=False)
    """Hash of the samples in ascending order."""
    samples: Tensor = field(init=False, repr=False, compare=False)
    """float32 [n], ascending."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.file:
            raise UserError("empirical noise needs samples: give a file of them")
        samples, digest = read_samples(Path(self.file))
        object.__setattr__(self, "digest", digest)
        object.__setattr__(self, "samples", samples)

    @property
    def averages(self) -> bool:
        """Whether executions average: they do not, since a mean has another distribution."""
        return False

    def once(self, y: Tensor, source: Source) -> Tensor:
        """Return y'."""
        place = (source.uniform(1) * len(self.samples)).long()
        samples = self.samples.to(y.device)
        return y + self.sigma_add * samples[place.clamp(max=len(samples) - 1)]


KINDS = kinds()
