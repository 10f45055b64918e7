"""Float noise in the integer graph: the compiled network with a tap that computes in real numbers.

At the noisy tap, with real = scale · (acc + o) as the network has it, and F the fractional bits,

    v = 2^F · (acc + (noise(real) − real) / scale),

in float64, neither rounded nor saturated. A threshold t behind the tap is stored as the whole
number T = ceil(t · 2^F), so that t · 2^F lies in (T − 1, T]: v is compared with the middle,
T − 1/2. Compared with T it would find every threshold half a step higher than it is, which is the
bias that the hardware's rounding of v takes away. A tap that rounds gives the nearest value of its
grid, halves up. All other layers are the golden model's own.

The noise is that of `flow.noise`, applied to values in the network's unit, sign and order, so that
a sampler gives it the very samples that it gives the network itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flow.golden.layers import Layer, Tap, Thresholds
from flow.golden.model import GoldenModel, Part
from flow.models import CachedSampler
from flow.models.evaluation import Labels
from flow.noise import Noise, Sampler, Source
from flow.noise.hardware.sites import TapSite


def float_tap(acc: Tensor, tap: Tap, site: TapSite, noise: Noise, sampler: Sampler) -> Tensor:
    """Put noise on a stream in real arithmetic.

    Args:
        acc: whole numbers [N, C] or [N, H, W, C].
        tap: the golden model's tap.
        site: the same in the accelerator, for its scale and sign.
        noise: of the site.
        sampler: of the samples, started at the first of these images.

    Returns:
        what the layers behind the tap are to read, of the shape of ``acc``: float64 in units of
        2^−F, or whole numbers in float32 behind a tap that rounds.
    """
    unit = torch.full((site.channels,), site.scale, dtype=torch.float64)
    unit[site.negated] *= -1
    offset = tap.offsets.double() / (1 << tap.format.frac)
    real = (unit * (acc.double() + offset)).movedim(-1, 1)
    noisy = noise.apply(real, Source(sampler, site.name, real.shape))
    value = acc.double() + (noisy - real).movedim(1, -1) / unit
    if not tap.format.rounds:
        return value * (1 << tap.format.frac)
    low, high = tap.format.out_min, tap.format.out_max
    if tap.format.step != 1:
        # the middle between −1 and 1 belongs to 1
        return torch.where(value < 0, float(low), float(high))
    return (value + 0.5).floor().clamp(low, high).float()


def classify(
    golden: GoldenModel,
    part: Part,
    site: TapSite,
    levels: Sequence[Noise],
    sampler: Sampler,
    batch: int,
) -> Labels:
    """Classify images at each level of float noise on one tap.

    Args:
        golden: the model.
        part: what is left of the images at the site (`GoldenModel.before`).
        site: the tap.
        levels: what is applied there, one after another, with the same samples.
        sampler: where the samples come from.
        batch: images at a time; TorchSampler's samples depend on it.

    Returns:
        labels, uint8 [levels, N].
    """
    tap, once = golden.taps[site.name], CachedSampler(sampler)
    behind = [_behind(layer, tap) for layer in part.layers if layer is not tap]
    images = len(part.streams[tap.inputs[0]])
    labels = np.empty((len(levels), images), dtype=np.uint8)
    for first in range(0, images, batch):
        rows = slice(first, first + batch)
        streams = {name: values[rows] for name, values in part.streams.items()}
        once.start_batch(first)
        for row, noise in zip(labels, levels, strict=True):
            noisy = float_tap(streams[tap.inputs[0]], tap, site, noise, once)
            left = Part(behind, {**streams, tap.output: noisy})
            row[rows] = golden.run(left).numpy()
    return labels


@dataclass(frozen=True)
class _Comparison(Thresholds):
    """Thresholds of unrounded values, in the middle of where they may lie."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return activations, float32 [N, …, C], of values, float64 [N, …, C]."""
        return super().__call__(v + 0.5).float()


def _behind(layer: Layer, tap: Tap) -> Layer:
    """Return a layer as it is to read what the tap gives."""
    reads = tap.output in layer.inputs and isinstance(layer, Thresholds)
    return _Comparison(**vars(layer)) if reads else layer
