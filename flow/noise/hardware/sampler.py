"""The hardware's samples for the software side, as common random numbers."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from flow.device import CPU
from flow.noise.gaussian import FRACTION_BITS
from flow.noise.hardware.fixed_point import PATTERN_DRAW, draw_samples
from flow.noise.hardware.sites import TapSite


class HardwareSampler:
    """A `Sampler` of the same samples as the taps.

    Args:
        sites: the taps of the accelerator.
        seed: key of the generator.
        device: where they are drawn and stay.
    """

    def __init__(self, sites: Mapping[str, TapSite], seed: int, device: torch.device = CPU) -> None:
        self.sites = sites
        self.seed = seed
        self.device = device
        self.first_image = 0

    def start_batch(self, first_image: int) -> None:
        """Begin a batch at this image."""
        self.first_image = first_image

    def __call__(self, site: str, draw: int, shape: Sequence[int]) -> Tensor:
        """Return float32 samples of the given shape, [N, C] or [N, C, H, W]."""
        images, channels, *pixels = shape
        tap = self.sites[site]
        size = (self.first_image, images, channels * math.prod(pixels))
        z = draw_samples(self.seed, tap.number, draw, *size, device=self.device)
        samples = self._real(z).view(images, *pixels, channels)
        if draw % 2 == 1 and tap.negated:
            # the hardware adds to the negated accumulator
            samples[..., tap.negated] *= -1
        return samples.movedim(-1, 1)

    def pattern(self, site: str, draw: int, channels: int, device: int | None) -> Tensor:
        """Return float32 samples, [channels], of the generator keyed by the device."""
        tap, seed = self.sites[site], self.seed if device is None else device
        size = (0, 1, channels)
        z = draw_samples(seed, tap.number, PATTERN_DRAW + draw, *size, device=self.device)
        samples = self._real(z)[0]
        if draw == 1 and tap.negated:
            samples[tap.negated] *= -1
        return samples

    @staticmethod
    def _real(z: Tensor) -> Tensor:
        return z.to(torch.float32).div_(1 << FRACTION_BITS)
