"""Float noise in the integer graph: the compiled network with a tap in real arithmetic.

At the noisy tap, with the network's value real = scale · (acc + o) and F fractional bits,

    v = 2^F · (acc + (noise(real) − real) / scale),

in float64, neither rounded nor saturated. A threshold t downstream of the tap is stored as the
integer T = ceil(t · 2^F), so t · 2^F lies in (T − 1, T], and v is compared with the middle,
T − 1/2. Compared with T, every threshold would be half a step too high on average, a bias that
hardware removes by rounding v. A tap that rounds outputs the nearest value of its grid, halves up.
All other layers are those of the golden model.

The noise is that of `flow.noise`, applied to values in the network's unit, sign and order, so a
sampler returns the same samples as for the network itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flow.golden.layers import Layer, Tap, Thresholds
from flow.golden.model import GoldenModel, Subgraph
from flow.models import CachedSampler
from flow.models.evaluation import Labels
from flow.noise import Noise, Sampler, Source
from flow.noise.hardware.sites import TapSite


def float_tap(acc: Tensor, tap: Tap, site: TapSite, noise: Noise, sampler: Sampler) -> Tensor:
    """Apply noise to a stream in real arithmetic.

    Args:
        acc: whole numbers [N, C] or [N, H, W, C].
        tap: the golden model's tap.
        site: the accelerator's tap, for its scale and sign.
        noise: noise at the site.
        sampler: source of the samples, whose batch begins at the first of these images.

    Returns:
        The stream downstream of the tap, with the shape of ``acc``: float64 in units of 2^−F, or
        whole numbers in float32 if the tap rounds.
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
        # halves up: 0, half way between −1 and 1, becomes 1
        return torch.where(value < 0, float(low), float(high))
    return (value + 0.5).floor().clamp(low, high).float()


def classify(
    golden: GoldenModel,
    subgraph: Subgraph,
    site: TapSite,
    levels: Sequence[Noise],
    sampler: Sampler,
    batch: int,
) -> Labels:
    """Classify images at each level of float noise on one tap.

    Args:
        golden: the model.
        subgraph: the layers downstream of the site, with their streams (`GoldenModel.before`).
        site: the tap.
        levels: the noise at each level; all levels share their samples.
        sampler: source of the samples.
        batch: images per batch; TorchSampler's samples depend on it.

    Returns:
        The predicted labels, [levels, N].
    """
    tap, once = golden.taps[site.name], CachedSampler(sampler)
    rest = (layer for layer in subgraph.layers if layer.output != tap.output)
    downstream = [_consumer(layer, tap) for layer in rest]
    images = len(subgraph.streams[tap.inputs[0]])
    labels = np.empty((len(levels), images), dtype=np.uint16)
    for first in range(0, images, batch):
        rows = slice(first, first + batch)
        streams = {name: values[rows] for name, values in subgraph.streams.items()}
        once.start_batch(first)
        for row, noise in zip(labels, levels, strict=True):
            noisy = float_tap(streams[tap.inputs[0]], tap, site, noise, once)
            begun = Subgraph(downstream, {**streams, tap.output: noisy})
            row[rows] = golden.run(begun).numpy()
    return labels


@dataclass(frozen=True)
class _Comparison(Thresholds):
    """Thresholds for unrounded values, each in the middle of its possible range."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return activations, float32 [N, …, C], of values, float64 [N, …, C]."""
        return super().__call__(v + 0.5).float()


def _consumer(layer: Layer, tap: Tap) -> Layer:
    """Return a layer that can consume the tap's output."""
    compares = tap.output in layer.inputs and isinstance(layer, Thresholds)
    return _Comparison(**vars(layer)) if compares else layer
