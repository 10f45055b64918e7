"""Samplers: sources of standard normal samples."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch
from torch import Tensor

from flow.device import CPU
from flow.errors import UserError

DRAWS = 2
"""Number of independent samples of one execution at a site: z₁ and z₂."""


class Sampler(Protocol):
    """A source of standard normal samples."""

    @property
    def first_image(self) -> int:
        """Number of the first image of the batch."""

    def start_batch(self, first_image: int) -> None:
        """Begin a batch whose first image has this number."""

    def __call__(self, site: str, draw: int, shape: Sequence[int]) -> Tensor:
        """Return float32 samples of N(0, 1) of this shape, the first axis being the image.

        Args:
            site: the tap's name.
            draw: number of the independent sample at the site, as counted by `Source.normal`.
            shape: shape of the result.
        """

    def pattern(self, site: str, draw: int, channels: int, device: int | None) -> Tensor:
        """Return the fixed float32 samples of N(0, 1), [channels], of a device.

        Args:
            site: the tap's name.
            draw: 0 for the gain, 1 for the offset.
            channels: number of channels; at a weight site, the number of weights.
            device: seed of the device; None for the sampler's seed.
        """


class TorchSampler:
    """Samples of torch's generator, a function of (seed, site, draw, first image of the batch).

    They are drawn on the processor, whatever device uses them, because each kind of device has a
    generator of its own.

    Each site and draw has its own generator, so the samples of a site do not depend on which other
    sites are active. Each batch seeds it again, so a run can begin at any batch. Samples depend on
    the batch size.
    """

    def __init__(self, seed: int) -> None:
        """Make a sampler; equal seeds give equal samples."""
        self.seed = seed
        self._first_image = 0
        self._generators: dict[tuple[str, int], torch.Generator] = {}

    def start_batch(self, first_image: int) -> None:
        """Seed every site's generators for the batch that begins at this image."""
        self._first_image = first_image
        self._generators.clear()

    @property
    def first_image(self) -> int:
        """Number of the first image of the batch."""
        return self._first_image

    def __call__(self, site: str, draw: int, shape: Sequence[int]) -> Tensor:
        """Return the next float32 samples of this site and draw."""
        generator = self._generators.get((site, draw))
        if generator is None:
            generator = torch.Generator().manual_seed(
                derive_seed(self.seed, site, draw, self._first_image)
            )
            self._generators[site, draw] = generator
        return torch.randn(tuple(shape), generator=generator)

    def pattern(self, site: str, draw: int, channels: int, device: int | None) -> Tensor:
        """Return a device's float32 samples, [channels], equal for every batch."""
        seed = derive_seed(self.seed if device is None else device, "device", site, draw)
        return torch.randn(channels, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Source:
    """Samples for the values y at one site."""

    sampler: Sampler
    site: str
    shape: Sequence[int]
    """Shape of y, [N, C] or [N, C, H, W]."""
    execution: int = 0
    """Number of the layer's execution."""
    device: torch.device = CPU
    """Device of y, to which samples are brought."""

    def of_execution(self, number: int) -> Self:
        """Return the samples of another execution, independent of these."""
        return replace(self, execution=number)

    def normal(self, draw: int) -> Tensor:
        """Return samples of N(0, 1) with y's shape, fresh for each image.

        Args:
            draw: 0 for z₁ (multiplicative), 1 for z₂ (additive).
        """
        if draw not in range(DRAWS):
            raise UserError(f"noise has no sample {draw}: an execution draws samples 0 and 1")
        z = self.sampler(self.site, DRAWS * self.execution + draw, self.shape)
        return z.to(self.device)

    def uniform(self, draw: int) -> Tensor:
        """Return samples uniform on 0..1, both ends included: Φ(z) of `normal`'s z.

        Args:
            draw: as for `normal`, whose sample of that number they are not independent of.
        """
        return torch.special.ndtr(self.normal(draw))

    def pattern(self, draw: int, device: int | None) -> Tensor:
        """Return a device's samples of N(0, 1), one per channel, [1, C] or [1, C, 1, 1]."""
        channels = self.shape[1]
        return self._along(1, self.sampler.pattern(self.site, draw, channels, device))

    def images(self) -> Tensor:
        """Return the number of each image, float32 [N, 1] or [N, 1, 1, 1]."""
        first = self.sampler.first_image
        numbers = torch.arange(first, first + self.shape[0], dtype=torch.float32)
        return self._along(0, numbers)

    def _along(self, axis: int, values: Tensor) -> Tensor:
        shape = [1] * len(self.shape)
        shape[axis] = -1
        return values.to(self.device).view(shape)


class WeightSource(Source):
    """Samples for a layer's weights, fixed per device because weights are programmed once.

    Weights have neither channels nor images, so kinds of noise that need them are refused.
    """

    def of_execution(self, number: int) -> Self:
        """Return the same samples: every execution reads the same weights."""
        return self

    def normal(self, draw: int) -> Tensor:
        """Return samples of N(0, 1) with the weights' shape, equal for every image."""
        z = self.sampler.pattern(self.site, draw, math.prod(self.shape), None)
        return z.to(self.device).view(*self.shape)

    def pattern(self, draw: int, device: int | None) -> Tensor:
        """Raise a UserError, because an error of weights is a fixed pattern already."""
        raise UserError(
            f"site {self.site}: an error of weights is the same for all images in any case; give "
            "additive, multiplicative or mixed noise"
        )

    def images(self) -> Tensor:
        """Raise a UserError, because weights do not change from image to image."""
        raise UserError(
            f"site {self.site}: programmed weights do not drift from image to image; give "
            "additive, multiplicative or mixed noise"
        )


def derive_seed(*parts: object) -> int:
    """Return a 63-bit seed that depends on every part, equal in every process and machine."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class CachedSampler:
    """A `Sampler` that keeps another's samples for the length of a batch.

    Only the samples of the first execution are kept. Those of further executions, of which there
    may be many, are drawn again, so memory does not grow with the executions.

    Args:
        sampler: source of the samples.
        device: where they are kept.
    """

    def __init__(self, sampler: Sampler, device: torch.device = CPU) -> None:
        self._sampler = sampler
        self._device = device
        self._samples: dict[tuple[str, int], Tensor] = {}
        self._patterns: dict[tuple[str, int, int, int | None], Tensor] = {}

    def start_batch(self, first_image: int) -> None:
        """Begin a batch at this image, and forget the samples of the last one."""
        self._sampler.start_batch(first_image)
        self._samples.clear()

    def forget(self) -> None:
        """Free the memory of the batch's samples."""
        self._samples.clear()

    @property
    def first_image(self) -> int:
        """Number of the first image of the batch."""
        return self._sampler.first_image

    def pattern(self, site: str, draw: int, channels: int, device: int | None) -> Tensor:
        """Return a device's samples, which are equal for all batches."""
        key = (site, draw, channels, device)
        if key not in self._patterns:
            self._patterns[key] = self._sampler.pattern(*key).to(self._device)
        return self._patterns[key]

    def __call__(self, site: str, draw: int, shape: Sequence[int]) -> Tensor:
        """Return the batch's samples of this site and draw."""
        if draw >= DRAWS:
            self._sampler.start_batch(self._sampler.first_image)
            return self._sampler(site, draw, shape)
        if (site, draw) not in self._samples:
            self._samples[site, draw] = self._sampler(site, draw, shape).to(self._device)
        return self._samples[site, draw]
